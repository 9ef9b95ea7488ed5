# SPDX-License-Identifier: Apache-2.0
"""Labels and masks in the classes that are scored."""

import numpy as np
import pytest

from sgnet_core.errors import ConfigError
from sgnet_core.evaluation.scored_classes import ScoredClasses
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

TRUTH = ('ground', 'box', 'dog')
PREDICTED = ('floor', 'rug', 'box', 'sky')


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / 'classes.yaml'
    path.write_text('obstacle: [box]\nfree: [ground, floor, rug]\n')
    return read_class_mapping(path)


def test_truth_and_masks_are_mapped(mapping):
    compared = ScoredClasses(TRUTH, PREDICTED, mapping)
    assert compared.class_names == ('obstacle', 'free')
    frame = RgbdFrame(
        np.zeros((2, 3, 3), np.uint8),
        np.ones((2, 3), np.float32),
        CameraIntrinsics(3, 2, 4.0, 4.0, 1.0, 0.5),
    )
    truth = np.array([[0, 1, 2], [255, 0, 1]], np.uint8)
    sample = compared.sample(Sample('7', frame, truth))
    assert sample.labels.tolist() == [[1, 0, 255], [255, 1, 0]], 'dog has no line'
    masks = np.array([[0, 1, 2], [3, 255, 2]], np.uint8)
    assert compared.mask(masks).tolist() == [[1, 1, 0], [255, 255, 0]]
    # The node has the groups already.
    grouped = ScoredClasses(TRUTH, ('obstacle', 'free'), mapping)
    assert grouped.sample(Sample('7', frame, truth)).labels.tolist() == sample.labels.tolist()
    assert grouped.mask(masks) is masks


def test_no_mapping_changes_nothing():
    compared = ScoredClasses(TRUTH, TRUTH, None)
    labels, segmenter = np.zeros((2, 3), np.uint8), object()
    assert compared.class_names == TRUTH
    assert compared.mask(labels) is labels
    assert compared.segmenter(segmenter) is segmenter


def test_unknown_class_is_an_error(mapping):
    with pytest.raises(ConfigError, match="unknown class 'box'.*'boxes'"):
        ScoredClasses(('ground', 'boxes'), ('floor', 'rug'), mapping)
