# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation over scales and mirror images."""

import torch
import numpy as np
import pytest
import torch.nn.functional as F
from networks import untrained, with_offsets

from sgnet_core.checkpoint.checkpoint import save_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.evaluation import PROTOCOL
from sgnet_core.evaluation.multi_scale import MultiScaleSegmenter, load_segmenter, mirror, protocol
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.types import Gravity, RgbdFrame


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('checkpoint') / 'guided.safetensors'
    save_checkpoint(path, with_offsets(untrained()))
    return path


OPTIONS = ('cpu', 'fp32', 'torch')


def test_flip_makes_masks_symmetric(checkpoint, tiny_samples):
    views = load_segmenter(checkpoint, [1.0], True, *OPTIONS)
    frame = tiny_samples[1].frame
    result, mirrored = views.segment(frame), views.segment(mirror(frame))
    assert (result.labels == mirrored.labels[:, ::-1]).mean() > 0.99
    np.testing.assert_allclose(result.confidence, mirrored.confidence[:, ::-1], atol=1e-4)
    plain = Segmenter.from_checkpoint(checkpoint, *OPTIONS)
    once, twice = plain.segment(frame), plain.segment(mirror(frame))
    assert (once.labels == twice.labels[:, ::-1]).mean() < 0.98, 'else nothing is shown'


def test_probabilities_are_averaged(checkpoint, tiny_samples):
    frame = tiny_samples[2].frame
    views = load_segmenter(checkpoint, [0.5, 1.0, 2.0], True, *OPTIONS)
    total = 0
    for size in ((32, 64), (64, 96), (128, 192)):
        segmenter = Segmenter.from_checkpoint(checkpoint, *OPTIONS, size)
        assert segmenter.input_spec.size == size
        for view, direction in ((frame, 1), (mirror(frame), -1)):
            scores = segmenter.scores(view)
            scores = F.interpolate(scores, frame.size, mode='bilinear', align_corners=True)
            total = total + torch.softmax(scores, 1)[0].numpy()[:, :, ::direction] / 6
    result = views.segment(frame)
    np.testing.assert_array_equal(result.labels, total.argmax(0))
    np.testing.assert_allclose(result.confidence, total.max(0), atol=1e-5)
    assert '64x32, 96x64, 192x128 and mirrored' in views.description
    assert views.label_set == Segmenter.from_checkpoint(checkpoint, *OPTIONS).label_set


def test_single_scale_is_the_plain_segmenter(checkpoint):
    assert isinstance(load_segmenter(checkpoint, [1.0], False, *OPTIONS), Segmenter)
    assert isinstance(load_segmenter(checkpoint, [1.0], True, *OPTIONS), MultiScaleSegmenter)
    assert protocol([1.0], False) == PROTOCOL
    assert protocol([0.5, 1], True).startswith('mean over scales 0.5 1 and their mirror images, f')


def test_mirror_twice_is_identity(tiny_samples):
    frame = tiny_samples[0].frame
    frame = RgbdFrame(frame.rgb, frame.depth_m, frame.intrinsics, Gravity([0.2, 1, 0.1], 1.5))
    once = mirror(frame)
    np.testing.assert_array_equal(once.rgb, frame.rgb[:, ::-1])
    np.testing.assert_allclose(once.gravity.down, frame.gravity.down * (-1, 1, 1))
    assert once.gravity.camera_height_m == 1.5
    twice = mirror(once)
    np.testing.assert_array_equal(twice.depth_m, frame.depth_m)
    assert twice.intrinsics == frame.intrinsics
    np.testing.assert_allclose(twice.gravity.down, frame.gravity.down)


@pytest.mark.parametrize('scale', [0.2, 5, float('nan')])
def test_invalid_scales_are_errors(checkpoint, scale):
    with pytest.raises(InputError, match=r'scales must be from 0.25 to 4, got'):
        load_segmenter(checkpoint, [1.0, scale], False, *OPTIONS)
