# SPDX-License-Identifier: Apache-2.0
"""Mapping of classes by a YAML file."""

from pathlib import Path

import numpy as np
import pytest

from sgnet_core.errors import ConfigError
from sgnet_core.evaluation.class_mapping import ScoredClasses, read_class_mapping
from sgnet_core.labels import NYU13, NYU40, nyu40_to_nyu13
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample, SegmentationResult

CONFIG = Path(__file__).resolve().parents[3] / 'config'
TRUTH = ('ground', 'box', 'dog')
PREDICTED = ('floor', 'rug', 'box', 'sky')


@pytest.fixture
def remap(tmp_path):
    path = tmp_path / 'classes.yaml'
    path.write_text('obstacle: [box]\nfree: [ground, floor, rug]\n')
    return read_class_mapping(path)


def test_shipped_file_is_the_nyuv2_mapping():
    remap = read_class_mapping(CONFIG / 'nyu40_to_nyu13.yaml')
    assert remap.class_names == NYU13.class_names
    np.testing.assert_array_equal(remap.lookup(NYU40.class_names), nyu40_to_nyu13)


def test_truth_and_masks_are_mapped(remap):
    compared = ScoredClasses(TRUTH, PREDICTED, remap)
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

    class Fake:
        class_names = PREDICTED

        def segment(self, frame):
            return SegmentationResult(masks, np.full((2, 3), 0.25, np.float32), PREDICTED)

    result = compared.segmenter(Fake()).segment(frame)
    np.testing.assert_array_equal(result.labels, compared.mask(masks))
    assert result.class_names == compared.segmenter(Fake()).class_names == ('obstacle', 'free')
    assert (result.confidence == 0.25).all()


def test_no_mapping_changes_nothing():
    compared = ScoredClasses(TRUTH, TRUTH, None)
    labels, segmenter = np.zeros((2, 3), np.uint8), object()
    assert compared.class_names == TRUTH
    assert compared.mask(labels) is labels
    assert compared.segmenter(segmenter) is segmenter


def test_unknown_class_is_an_error(remap):
    with pytest.raises(ConfigError, match="unknown key 'box'.*'boxes'"):
        ScoredClasses(('ground', 'boxes'), ('floor', 'rug'), remap)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('free: [floor]\nobstacle: [floor]', "'floor' is listed twice"),
        ('free: [floor]\nfree: [rug]', "line 2: the key 'free' is repeated"),
        ('free: floor', 'must be a list of classes'),
        ('free: []', 'must be a list of classes'),
        ('- floor', 'must hold lines'),
        ('', 'must hold lines'),
        ('free: [floor', 'not YAML: line 1'),
    ],
)
def test_invalid_files_are_errors(tmp_path, text, message):
    path = tmp_path / 'classes.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_class_mapping(path)
    assert str(path) in str(error.value)
    with pytest.raises(ConfigError, match='cannot be read'):
        read_class_mapping(tmp_path / 'none.yaml')
