# SPDX-License-Identifier: Apache-2.0
"""Upsampled scores follow the edges of colour and depth."""

import math

import torch
import numpy as np
import pytest
import torch.nn.functional as F
from networks import untrained, with_offsets

from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.model.fusion import fuse
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.ops import joint_bilateral_upsampling
from sgnet_core.ops.joint_bilateral_upsampling import (
    COLOUR_BANDWIDTH,
    DISTANCES_PX,
    SPATIAL_BANDWIDTH,
    joint_bilateral_upsample,
)


def naive(scores, image, spatial):
    """The definition in loops, for one image whose arrays are at the resolution wanted."""
    height, width = scores.shape[1:]
    image = image / (COLOUR_BANDWIDTH * np.sqrt(np.mean([channel.var() for channel in image])))
    features = np.concatenate([image, spatial / SPATIAL_BANDWIDTH])
    for distance in DISTANCES_PX:
        for down, right in ((distance, 0), (0, distance)):
            averaged = np.empty_like(scores)
            for v in range(height):
                for u in range(width):
                    total, weight = np.zeros(len(scores)), 0.0
                    for sign in (-1, 0, 1):
                        y = min(max(v + sign * down, 0), height - 1)
                        x = min(max(u + sign * right, 0), width - 1)
                        other = ((features[:, y, x] - features[:, v, u]) ** 2).sum()
                        total += math.exp(-other / 2) * scores[:, y, x]
                        weight += math.exp(-other / 2)
                    averaged[:, v, u] = total / weight
            scores = averaged
    return scores


def example(batch=1, classes=3, height=5, width=7, channels=1):
    """Coarse scores, and an image and depth of a few plain surfaces at twice their resolution."""
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(batch, classes, height, width, generator=generator)
    surface = torch.randint(0, 3, (batch, 1, 2 * height, 2 * width), generator=generator)
    noise = torch.randn(batch, 3, *surface.shape[2:], generator=generator)
    return scores, surface + 0.1 * noise, 0.05 * surface.repeat(1, channels, 1, 1) + 1.0


@pytest.mark.parametrize('channels', [1, 3])
def test_upsampling_equals_naive_loops(channels):
    scores, image, spatial = example(channels=channels)
    got = joint_bilateral_upsample(scores, image, spatial)
    coarse = F.interpolate(scores, (10, 14), mode='bilinear', align_corners=False)
    coarse = coarse[0].double().numpy()
    expected = naive(coarse, image[0].double().numpy(), spatial[0].double().numpy())
    assert got.shape == (1, 3, 10, 14)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-5)
    # Neither all neighbours are alike here, nor none.
    assert np.abs(expected - coarse).max() > 0.3


@pytest.mark.parametrize('size', [(3, 9), (6, 5)], ids=['below the distance', 'above it'])
def test_gradient_is_that_of_the_plain_sum(size, monkeypatch):
    """Upsampling is linear in the scores, so one product with random numbers shows the gradient."""
    scores, image, spatial = example(2, 3, *size)
    scores.requires_grad_()
    monkeypatch.setattr(joint_bilateral_upsampling, 'DISTANCES_PX', (8, 1))
    weight = torch.randn(2, 3, 2 * size[0], 2 * size[1])
    gradients = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda value=compiling: value)
        total = (weight * joint_bilateral_upsample(scores, image, spatial)).sum()
        gradients.append(torch.autograd.grad(total, scores)[0])
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('seen_by', ['colour', 'depth', 'neither'])
def test_scores_follow_the_edge(seen_by):
    """The edge is in the middle of a coarse pixel, whose score is of both sides."""
    scores = torch.zeros(1, 2, 8, 9)
    scores[0, 1, :, 5:] = 1
    scores[0, 1, :, 4] = 0.5
    edge = (torch.arange(36) >= 18).float().expand(1, 1, 32, 36)
    image, depth = (edge * (seen_by == name) for name in ('colour', 'depth'))
    right = joint_bilateral_upsample(scores, image.repeat(1, 3, 1, 1), 2 + depth)[0, 1]
    step = right[:, 9] - right[:, 8]
    assert (step < 0.3).all() if seen_by == 'neither' else (step > 0.7).all()


@pytest.mark.parametrize('side', ['left', 'right'])
def test_edges_align_with_resized_scores(side):
    """Far from the middle, where aligned corners and aligned pixels differ by some pixels."""
    edges = torch.arange(24, 64) if side == 'left' else torch.arange(320, 360)
    columns = torch.arange(384)
    image = (columns >= edges[:, None]).float()[:, None, None].expand(-1, 3, 64, -1)
    # Scores that do not know better than to some 16 pixels where the edge is.
    scores = ((torch.linspace(0, 383, 48) - edges[:, None] + 0.5) / 32).clamp(-1, 1)
    scores = scores[:, None, None].expand(-1, -1, 8, -1)
    mask = resize_scores(joint_bilateral_upsample(scores, image, None), (64, 384))[:, 0, 32] > 0
    found = 384 - mask.sum(1)
    assert abs((found - edges).float().mean()) < 0.4
    assert (found - edges).abs().max() <= 2


def test_batch_equals_single_images():
    scores, image, spatial = example(batch=3)
    image *= torch.tensor([0.1, 1.0, 7.0]).view(3, 1, 1, 1)
    together = joint_bilateral_upsample(scores, image, spatial)
    for i in range(3):
        alone = joint_bilateral_upsample(scores[i : i + 1], image[i : i + 1], spatial[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize('value', [0.0, 255.0])
def test_image_of_one_colour_has_no_edges(value):
    scores, image, spatial = example()
    got = joint_bilateral_upsample(scores, torch.full_like(image, value), None)
    spatial = torch.ones_like(spatial)
    assert got.isfinite().all()
    torch.testing.assert_close(
        got, joint_bilateral_upsample(scores, torch.zeros_like(image), spatial)
    )


def test_nan_score_stays_within_the_window():
    scores, image, spatial = example(height=40, width=36)
    scores[0, 1, 20, 18] = math.nan
    spoiled = joint_bilateral_upsample(scores, image, spatial)[0, 1].isnan()
    rows, columns = (spoiled.any(axis).nonzero() for axis in (1, 0))
    # Bilinear interpolation has taken it to four rows and columns before.
    reach = 2 * sum(DISTANCES_PX) + 4
    assert rows.max() - rows.min() < reach
    assert columns.max() - columns.min() < reach


@torch.no_grad()
@pytest.mark.parametrize('spatial', ['depth', 'hha', 'none'])
def test_network_upsamples_its_scores(spatial):
    plain = with_offsets(untrained(spatial=spatial)).build()
    network = SGNet(SGNetConfig('sgnet_lite0', 40, spatial, joint_bilateral=True)).eval()
    network.load_state_dict(plain.state_dict())  # of the same tensors: nothing is learned
    image = torch.randn(2, 3, 64, 96)
    channels = {'depth': 1, 'hha': 3, 'none': 0}[spatial]
    guide = torch.rand(2, channels, 48, 72) if channels else None
    scores = network(image, guide)
    assert scores.shape == (2, 40, 16, 24)
    expected = joint_bilateral_upsample(plain(image, guide), image, guide)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(fuse(network)(image, guide), expected, atol=1e-4, rtol=1e-4)
