# SPDX-License-Identifier: Apache-2.0
"""Groups of classes: the YAML file, and the sum of their probabilities."""

from pathlib import Path

import torch
import numpy as np
import pytest

from sgnet_core.errors import ConfigError
from sgnet_core.inference.class_mapping import merged_scores, read_class_mapping
from sgnet_core.inference.postprocessing import most_probable
from sgnet_core.labels import NYU13, NYU40, label_set_of, nyu40_to_nyu13
from sgnet_core.types import UNLABELLED

CONFIG = Path(__file__).resolve().parents[3] / 'config'


def read(tmp_path, text):
    path = tmp_path / 'classes.yaml'
    path.write_text(text)
    return read_class_mapping(path)


def test_shipped_file_is_the_nyuv2_mapping():
    mapping = read_class_mapping(CONFIG / 'nyu40_to_nyu13.yaml')
    assert mapping.label_set == NYU13
    np.testing.assert_array_equal(mapping.label_set.palette, NYU13.palette)
    np.testing.assert_array_equal(mapping.lookup(NYU40.class_names), nyu40_to_nyu13)


def test_colors_are_optional(tmp_path):
    mapping = read(
        tmp_path, 'free: [floor, rug]\ndynamic: {classes: [person], color: [255, 7, 0]}\n'
    )
    assert mapping.lookup(('rug', 'wall', 'person')).tolist() == [0, UNLABELLED, 1]
    free, dynamic = mapping.label_set.palette.tolist()
    assert free == label_set_of(('free', 'dynamic')).palette[0].tolist()
    assert dynamic == [255, 7, 0]


def test_probabilities_are_summed():
    """A group wins although another class is the most probable one; so does a lone class."""
    probabilities = torch.tensor([[0.35, 0.3, 0.25, 0.1], [0.1, 0.2, 0.2, 0.5]]).T[None, :, None]
    scores = merged_scores(probabilities.log() + 3, np.array([1, 0, 0, 255], np.uint8))
    expected = torch.tensor([[0.55, 0.35, 0.1], [0.4, 0.1, 0.5]]).T[None, :, None]
    np.testing.assert_allclose(scores.exp(), expected, rtol=1e-5)
    labels, confidence = most_probable(scores)
    assert labels.tolist() == [[[0, 2]]], 'channel 2 has no group'
    np.testing.assert_allclose(confidence, [[[0.55, 0.5]]], rtol=1e-5)
    certain = merged_scores(torch.tensor([500.0, -500.0]).view(1, 2, 1, 1), np.array([0, 1], 'u1'))
    assert certain.isfinite().all()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('free: [floor]\nobstacle: [floor]', "'floor' is in 'free' and again in 'obstacle'"),
        ('free: [floor, floor]', "'floor' is in 'free' and again in 'free'"),
        ('free: [floor]\nfree: [rug]', "line 2: the key 'free' is repeated"),
        ('free: floor', 'must be a list of classes'),
        ('free: {color: [1, 2, 3]}', 'must be a list of classes'),
        ('free: {classes: [floor], colour: [1, 2, 3]}', "did you mean 'color'"),
        ('free: {classes: [floor], color: [1, 2, 256]}', r'free: color must be .* got \[1, 2, 256'),
        ('free: {classes: [floor], color: [0, 0, 0]}', 'not black'),
        ('free: {classes: [floor], color: red}', "got 'red'"),
        (
            'a: {classes: [b], color: [9, 9, 9]}\nc: {classes: [d], color: [9, 9, 9]}',
            "'a' and 'c' have the same color",
        ),
        ('free: []', 'free is empty; list at least one class'),
        ('- floor', 'must hold lines'),
        ('', 'must hold lines'),
        ('free: [floor', 'not YAML: line 1'),
    ],
)
def test_invalid_files_are_errors(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, text)
    assert str(tmp_path / 'classes.yaml') in str(error.value)
    with pytest.raises(ConfigError, match='cannot be read'):
        read_class_mapping(tmp_path / 'none.yaml')


def test_unknown_class_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="unknown class 'flor' .* did you mean 'floor'"):
        read(tmp_path, 'free: [flor]').check(NYU40.class_names)
