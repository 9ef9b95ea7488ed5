# SPDX-License-Identifier: Apache-2.0
"""Pictures made where the network runs are those made of its arrays."""

import torch
import cv2
import numpy as np
import pytest

from sgnet_core.device_maps import DeviceMaps
from sgnet_core.labels import NYU40, colorize
from sgnet_core.types import UNLABELLED, SegmentationResult
from sgnet_core.visualize import overlay

SIZE = (37, 53)
DEVICES = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]


@pytest.fixture
def arrays():
    """Colour, labels in patches of which some pixels are unlabelled, and confidence."""
    rng = np.random.default_rng(4)
    patches = rng.integers(0, 40, (7, 9)).astype(np.uint8)
    labels = cv2.resize(patches, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    labels[rng.random(SIZE) < 0.1] = UNLABELLED
    rgb = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    return rgb, labels, rng.random(SIZE, np.float32)


@pytest.mark.parametrize('device', DEVICES)
def test_colors(arrays, device):
    maps = DeviceMaps(*(torch.from_numpy(array).to(device) for array in arrays))
    np.testing.assert_array_equal(maps.colors(NYU40.palette), colorize(arrays[1], NYU40.palette))


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('alpha', [0, 0.3, 0.5, 0.77, 1])
def test_overlay(arrays, alpha, device):
    rgb, labels, _ = arrays
    maps = DeviceMaps(*(torch.from_numpy(array).to(device) for array in arrays))
    seen = maps.overlay(NYU40.palette, alpha).astype(int)
    difference = np.abs(seen - overlay(rgb, labels, NYU40.palette, alpha))
    assert difference.max() <= 1, 'a border or an unlabelled pixel is elsewhere'
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize('size', [(1, 9), (9, 1), (2, 2)])
def test_overlay_of_narrow_images(size):
    rng = np.random.default_rng(6)
    rgb, labels = rng.integers(0, 256, (*size, 3)).astype(np.uint8), np.eye(*size, dtype=np.uint8)
    maps = DeviceMaps(*map(torch.from_numpy, (rgb, labels, np.ones(size, np.float32))))
    np.testing.assert_array_equal(
        maps.overlay(NYU40.palette, 0.5), overlay(rgb, labels, NYU40.palette, 0.5)
    )


def test_what_is_not_confident_enough_is_unlabelled_in_both(arrays):
    rgb, labels, confidence = arrays
    maps = DeviceMaps(*map(torch.from_numpy, arrays))
    result = SegmentationResult(labels, confidence, NYU40.class_names, maps).confident(0.6)
    assert (result.labels != labels).any()
    np.testing.assert_array_equal(result.on_device.labels, result.labels)
    assert result.on_device.rgb is maps.rgb
    np.testing.assert_array_equal(maps.labels, labels)
