# SPDX-License-Identifier: Apache-2.0
"""Sampling locations in the colour image."""

import torch
import numpy as np
import pytest
from torch import nn
from networks import untrained, with_offsets

from sgnet_core.errors import InputError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.model import modulated_deform_conv2d
from sgnet_core.model.efficientnet_lite import EfficientNetLite
from sgnet_core.model.resnet import BasicBlock, DeepStemResNet
from sgnet_core.visualization.sampling_locations import SamplingLocations

NETWORK_SIZE, FRAME_SIZE = (64, 96), (120, 150)
# (stride, padding, dilation) of windows that keep the input `stride` times the output.
WINDOWS = [(1, 1, 1), (2, 1, 1), (1, 2, 2), (2, 2, 2)]


def locations(stride=1, padding=1, dilation=1, input_stride=4, offset=None, samples=9):
    """A layer on NETWORK_SIZE, with random offsets of some pixels or with the given ones."""
    h, w = (n // input_stride // stride for n in NETWORK_SIZE)
    rng = np.random.default_rng(3)
    if offset is None:
        offset = rng.normal(0, 1.5, (2 * samples, h, w)).astype(np.float32)
    mask = rng.uniform(0, 1, (samples, h, w)).astype(np.float32)
    return SamplingLocations(
        'backbone.layer1.0.conv2', np.broadcast_to(offset, (2 * samples, h, w)), mask,
        stride, padding, dilation, NETWORK_SIZE, FRAME_SIZE,
    )  # fmt: skip


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('input_stride', [4, 8])
def test_zero_offsets_give_a_regular_grid(window, input_stride):
    stride, _, dilation = window
    layer = locations(*window, input_stride, np.float32(0))
    # Of the image per pixel of the layer's input.
    down, right = input_stride * 120 / 64, input_stride * 150 / 96
    assert layer.frame_step == pytest.approx((down, right))
    for column, row in [(0, 0), (70, 51), (33, 87), (119, 100)]:
        grid = layer.positions_at(column, row).reshape(3, 3, 2)
        np.testing.assert_allclose(np.diff(grid[..., 0], axis=1), dilation * right)
        np.testing.assert_allclose(np.diff(grid[..., 1], axis=0), dilation * down)
        assert np.ptp(grid[..., 0], axis=0).max() < 1e-9
        away = np.abs(grid[1, 1] - (column, row))
        # The grid of the layer starts half a pixel of the network's input after the image's edge.
        assert (away <= np.array([right, down]) * stride / 2 + 1e-9).all()
        np.testing.assert_array_equal(grid.reshape(9, 2), layer.positions_at(column, row, False))


@pytest.mark.parametrize('window', WINDOWS)
def test_positions_equal_those_of_the_operator(window):
    """The operator samples a map of image positions."""
    stride, padding, dilation = window
    layer = locations(*window, input_stride=4)
    h, w = (n * stride for n in layer.size)
    column = (np.arange(w) * 4 + 0.5) * 150 / 96 - 0.5
    row = (np.arange(h) * 4 + 0.5) * 120 / 64 - 0.5
    place = torch.from_numpy(np.stack(np.meshgrid(column, row)))[None]
    offset, mask = (torch.from_numpy(a.copy()).double()[None] for a in (layer.offset, layer.mask))
    # One pixel from the edge on, a sample is part zero; this pixel's samples are well inside.
    u, v = 77, 66
    y, x = layer.pixel_at(u, v)
    for sample, (i, j) in enumerate(np.ndindex(3, 3)):
        pick = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
        pick[0, 0, i, j] = pick[1, 1, i, j] = 1
        sampled = modulated_deform_conv2d(
            place, offset, mask, pick, None, stride, padding, dilation
        )[0, :, y, x]
        weight = layer.weights_at(u, v)[sample]
        np.testing.assert_allclose(sampled / weight, layer.positions_at(u, v)[sample], atol=1e-5)


def test_movement_is_in_image_pixels():
    offset = np.zeros((18, 1, 1), np.float32)
    offset[0], offset[1] = 3, 4
    offset[17] = -2
    fine = locations(input_stride=4, offset=offset).movement()
    coarse = locations(input_stride=8, offset=offset / 2).movement()
    expected = np.hypot(3 * 4 * 120 / 64, 4 * 4 * 150 / 96) + 2 * 4 * 150 / 96
    assert fine.shape == (16, 24)
    assert coarse.shape == (8, 12)
    np.testing.assert_allclose(fine, expected, rtol=1e-6)
    np.testing.assert_allclose(coarse, expected, rtol=1e-6)


def centre_of_gradient(features, image, y, x):
    """(row, column) of the image that pixel (y, x) of the features depends on, on average."""
    (gradient,) = torch.autograd.grad(features[0, :, y, x].sum(), image, retain_graph=True)
    weight = gradient[0].sum(0)
    rows, columns = (torch.arange(n, dtype=weight.dtype) for n in weight.shape)
    down = (weight.sum(1) * rows).sum() / weight.sum()
    right = (weight.sum(0) * columns).sum() / weight.sum()
    return down.item(), right.item()


@pytest.mark.parametrize('backbone', ['resnet', 'lite'])
def test_features_are_centred_on_whole_strides(backbone):
    """Pixel q of stride s lies at s q, not at s (q + 1/2) - 1/2, with equal weights."""
    if backbone == 'resnet':
        network = DeepStemResNet(BasicBlock, (1, 1, 1, 1), 0)
        # Among equals the maximum would be the first of the window: the average shows its centre.
        network.maxpool = nn.AvgPool2d(3, stride=2, padding=1)
        run, strides = (lambda image: network(image, None)[:1]), [16]
    else:
        network = EfficientNetLite(1.0, 0.5)
        run, strides = (lambda image: network(image)[1:3]), [8, 16]
    for module in network.eval().modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    image = torch.full((1, 3, 256, 320), 1e-3, requires_grad=True)
    for features, stride in zip(run(image), strides, strict=True):
        y, x = 128 // stride, 160 // stride
        centre = centre_of_gradient(features, image, y, x)
        assert centre == pytest.approx((stride * y, stride * x), abs=0.03 * stride)


@pytest.mark.parametrize('pixel', [(150, 3), (3, 120), (-1, 3), (3, -1)])
def test_pixel_outside_is_an_error(pixel):
    with pytest.raises(InputError, match=rf'{pixel[0]},{pixel[1]} .* outside the image of 150x120'):
        locations().positions_at(*pixel)


def test_inconsistent_shapes_are_an_error():
    with pytest.raises(InputError, match=r'got \(18, 16, 24\) and \(4, 16, 24\)'):
        layer = locations()
        SamplingLocations('x', layer.offset, layer.mask[:4], 1, 1, 1, NETWORK_SIZE, FRAME_SIZE)


# --- of a network


@pytest.mark.parametrize('spatial', ['depth', 'features'])
def test_segmenter_samples_every_layer(tiny_samples, spatial):
    checkpoint = with_offsets(untrained(spatial=spatial))
    segmenter = Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu')
    frame = tiny_samples[0].frame
    layers = segmenter.sampling(frame)
    assert [layer.name for layer in layers] == checkpoint.build().sconv_positions()
    assert [layer.short_name for layer in layers] == ['mixers.0', 'mixers.1', 'mixers.2']
    assert [layer.size for layer in layers] == [(2, 3), (4, 6), (8, 12)]
    assert [layer.frame_step for layer in layers] == [(12, 12), (6, 6), (3, 3)]
    assert all(layer.movement().min() > 0 for layer in layers)
    brighter = type(frame)(frame.rgb // 2, frame.depth_m, frame.intrinsics)
    same = [
        np.array_equal(a.offset, b.offset)
        for a, b in zip(layers, segmenter.sampling(brighter), strict=True)
    ]
    assert same == [spatial == 'depth'] * 3


def test_network_without_sampling_is_an_error(tiny_samples):
    plain = untrained(spatial='none')
    segmenter = Segmenter(plain.build(), plain.input_spec, plain.label_set, 'cpu')
    with pytest.raises(InputError, match='plain convolutions .spatial none.*give a checkpoint'):
        segmenter.sampling(tiny_samples[0].frame)
    elsewhere = Segmenter(nn.Identity(), plain.input_spec, plain.label_set, 'cpu')
    with pytest.raises(InputError, match='only the backend torch'):
        elsewhere.sampling(tiny_samples[0].frame)
