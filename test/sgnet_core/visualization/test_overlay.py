# SPDX-License-Identifier: Apache-2.0
"""Class colours and overlays equal a NumPy formula, with OpenCV and with PyTorch kernels."""

import torch
import cv2
import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.labels import NYU40
from sgnet_core.types import UNLABELLED, SegmentationResult
from sgnet_core.visualization.overlay import (
    DeviceResult,
    class_colors,
    overlay,
    overlay_image,
)

KERNELS = ['opencv', 'torch', *(['cuda'] if torch.cuda.is_available() else [])]


def frame_of(size):
    """Colour, labels in patches with some pixels unlabelled, confidence."""
    rng = np.random.default_rng(4)
    patches = rng.integers(0, 40, (7, 9)).astype(np.uint8)
    labels = cv2.resize(patches, size[::-1], interpolation=cv2.INTER_NEAREST)
    labels[rng.random(size) < 0.1] = UNLABELLED
    rgb = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return rgb, labels, rng.random(size, np.float32)


@pytest.fixture(params=KERNELS)
def device(request, monkeypatch):
    """Where tensors lie; on a CPU also with the kernels of PyTorch."""
    if request.param == 'torch':
        monkeypatch.setattr(
            'sgnet_core.visualization.overlay._opencv_is_faster', lambda tensor: False
        )
    return 'cuda' if request.param == 'cuda' else 'cpu'


def expected_overlay(rgb, labels, colors, alpha):
    blended = np.rint((1 - alpha) * rgb.astype(float) + alpha * colors)
    padded = np.pad(labels, 1, mode='edge')
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    border = np.any([n != labels for n in neighbours], axis=0) & (alpha > 0)
    picture = np.where(border[..., None], colors, blended)
    return np.where((labels == UNLABELLED)[..., None], rgb, picture)


@pytest.mark.parametrize('size', [(37, 53), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize('alpha', [0, 0.3, 0.5, 0.77, 1])
def test_overlay_equals_the_formula(size, alpha, device):
    rgb, labels, _ = frame_of(size)
    tensors = [torch.from_numpy(array.copy()).to(device) for array in (rgb, labels)]
    colors = class_colors(tensors[1], NYU40.palette)
    table = np.vstack([NYU40.palette, np.zeros((216, 3), np.uint8)])
    np.testing.assert_array_equal(colors.cpu(), table[labels])
    picture = overlay(*tensors, colors, alpha).cpu().numpy()
    difference = np.abs(picture - expected_overlay(rgb, labels, table[labels], alpha))
    # A product that ends in exactly one half may be rounded the other way in float32.
    assert difference.max() <= (alpha in (0.3, 0.77))
    assert (difference > 0).mean() < 0.01
    np.testing.assert_array_equal(tensors[0].cpu(), rgb)
    np.testing.assert_array_equal(tensors[1].cpu(), labels)


def test_pixels_below_the_threshold_are_unlabelled():
    rgb, labels, confidence = frame_of((37, 53))
    result = SegmentationResult(labels.copy(), confidence, NYU40.class_names)
    on_device = DeviceResult.from_numpy(rgb, result)
    assert on_device.confident(0) is on_device
    seen = on_device.confident(0.6).to_numpy()
    np.testing.assert_array_equal(seen.labels, np.where(confidence < 0.6, UNLABELLED, labels))
    np.testing.assert_array_equal(on_device.to_numpy().labels, labels)


@pytest.mark.filterwarnings('error')
def test_overlay_image_takes_flipped_read_only_and_empty_arrays():
    rgb, labels, _ = frame_of((20, 31))
    expected = overlay_image(rgb, labels, NYU40.palette)
    rgb.flags.writeable = labels.flags.writeable = False
    picture = overlay_image(rgb[:, ::-1], labels[:, ::-1], NYU40.palette)
    np.testing.assert_array_equal(picture, expected[:, ::-1])
    assert overlay_image(rgb[:0], labels[:0], NYU40.palette).shape == (0, 31, 3)


def test_overlay_image_rejects_invalid_labels():
    rgb, labels, _ = frame_of((20, 31))
    with pytest.raises(InputError, match=r'labels \(19, 31\) and image \(20, 31\) differ'):
        overlay_image(rgb, labels[1:], NYU40.palette)
    with pytest.raises(InputError, match='in labels of 5 classes'):
        overlay_image(rgb, labels, NYU40.palette[:5])
