# SPDX-License-Identifier: Apache-2.0
"""A converted checkpoint computes what the authors' network computes.

The first part restates the authors' forward pass without `sgnet_core`.
"""

import torch
import numpy as np
import pytest
import torch.nn.functional as F
from authors_files import ASPP, DEPTHS, tensor_shapes, write_authors_file

from sgnet_core.checkpoint.authors_checkpoint import AUTHORS_INPUT, convert, read_state_dict
from sgnet_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint


def random_state(variant: str) -> dict[str, torch.Tensor]:
    """Weights that leave no term of the forward pass without effect, not even the frozen biases."""
    torch.manual_seed(23)
    state = {}
    for name, shape in tensor_shapes(variant).items():
        if len(shape) == 4:
            state[name] = torch.randn(shape) * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith('running_var'):
            state[name] = torch.rand(shape) + 0.5
            state[name][::7] = 1e-6
        elif name.endswith('.weight'):
            # Scales of both signs. A few are next to nothing, and so are the variances there: that
            # is where both 1e-5 are felt.
            state[name] = torch.randn(shape) * (0.3 if '.bn3.' in name else 1.0)
            state[name][::7] *= 1e-5
        else:
            state[name] = torch.randn(shape) * 0.1
    state['conv1.weight'] *= 0.02  # sees grey levels
    for classifier in {'dsn3.3.weight', 'dsn4.3.weight', 'head.1.weight'} & state.keys():
        state[classifier] *= 0.3  # scores of one digit
    return state


def norm(state, name, x):
    mean, var, scale, shift = (
        state[f'{name}.{leaf}'][:, None, None]
        for leaf in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * (scale.abs() + 1e-5) + shift


def conv(state, name, x, **window):
    return F.conv2d(x, state[f'{name}.weight'], state.get(f'{name}.bias'), **window)


def deform(x, offset, mask, weight, stride):
    """Nine samples, each from its four neighbours in an image with a border of zeros."""
    height, width = x.shape[2:]
    bordered = F.pad(x, (1, 1, 1, 1)).flatten(2)
    rows = torch.arange(offset.shape[2])[:, None] * stride - 1
    columns = torch.arange(offset.shape[3]) * stride - 1
    out = 0
    for k in range(9):
        v = (rows + k // 3 + offset[:, 2 * k]).clamp(-1, height) + 1
        u = (columns + k % 3 + offset[:, 2 * k + 1]).clamp(-1, width) + 1
        top, left = v.floor().clamp(max=height), u.floor().clamp(max=width)
        value = 0
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - (v - top - down).abs()) * (1 - (u - left - right).abs())
            index = ((top + down) * (width + 2) + left + right).long().flatten(1)
            corner = bordered.gather(2, index[:, None].expand(-1, x.shape[1], -1))
            value = value + corner.unflatten(2, share.shape[1:]) * share[:, None]
        kernel = weight[:, :, k // 3, k % 3]
        out = out + torch.einsum('oc,ncyx->noyx', kernel, value * mask[:, k : k + 1])
    return out


def sconv(state, name, x, depth, stride):
    s = F.interpolate(depth, x.shape[2:], mode='bilinear', align_corners=True)
    for layer in (0, 3, 6):
        s = conv(state, f'{name}.spatial_projector.{layer}', s, padding=1)
        s = F.relu(norm(state, f'{name}.spatial_projector.{layer + 1}', s))
    offset = conv(state, f'{name}.offset_generator', s, padding=1, stride=stride)
    assert offset.abs().amax() > 2  # far enough to matter, and over the border
    evenly = torch.ones_like(offset[:, :9])
    s = deform(s, offset, evenly, state[f'{name}.weight_generator1.weight'], stride)
    mask = torch.sigmoid(conv(state, f'{name}.weight_generator2', s))
    y = deform(x, offset, mask, state[f'{name}.weight'], stride)
    return y + state[f'{name}.bias'][:, None, None]


def block(state, name, x, depth, stride, dilation):
    y = F.relu(norm(state, f'{name}.bn1', conv(state, f'{name}.conv1', x)))
    if f'{name}.conv2.bias' in state:
        y = sconv(state, f'{name}.conv2', y, depth, stride)
    else:
        y = conv(state, f'{name}.conv2', y, padding=dilation, dilation=dilation)
    y = conv(state, f'{name}.conv3', F.relu(norm(state, f'{name}.bn2', y)))
    y = norm(state, f'{name}.bn3', y)
    if f'{name}.downsample.0.weight' in state:
        x = conv(state, f'{name}.downsample.0', x, stride=stride)
        x = norm(state, f'{name}.downsample.1', x)
    return F.relu(x + y)


def leaky_norm(state, name, x):
    return F.leaky_relu(norm(state, name, x), 0.01)


def plain_head(state, name, x):
    y = leaky_norm(state, f'{name}.1', conv(state, f'{name}.0', x, padding=1))
    return conv(state, f'{name}.3', y)


def aspp_head(state, x):
    pooled = conv(state, 'head.0.conv1.1', x.mean((2, 3), keepdim=True))
    branches = [leaky_norm(state, 'head.0.conv1.2', pooled).expand(-1, -1, *x.shape[2:])]
    for index, (kernel, rate) in enumerate(ASPP[1:], 2):
        window = {'padding': rate, 'dilation': rate} if kernel == 3 else {}
        y = conv(state, f'head.0.conv{index}.0', x, **window)
        branches.append(leaky_norm(state, f'head.0.conv{index}.1', y))
    y = conv(state, 'head.0.bottleneck.0', torch.cat(branches, 1))
    return conv(state, 'head.1', leaky_norm(state, 'head.0.bottleneck.1', y))


def authors_forward(state, variant, image, depth):
    """Main and auxiliary scores of the authors' network."""
    x = image
    for index in (1, 2, 3):
        x = conv(state, f'conv{index}', x, padding=1, stride=2 if index == 1 else 1)
        x = F.relu(norm(state, f'bn{index}', x))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    middle = x
    for stage, (depth_of_stage, stride, dilation) in enumerate(
        zip(DEPTHS[variant], (1, 2, 2, 1), (1, 1, 2, 4), strict=True), 1
    ):
        middle = x
        for index in range(depth_of_stage):
            x = block(state, f'layer{stage}.{index}', x, depth, 1 if index else stride, dilation)
    main = aspp_head(state, x) if 'dsn4.0.weight' not in state else plain_head(state, 'dsn4', x)
    return main, plain_head(state, 'dsn3', middle)


@pytest.mark.parametrize('variant', DEPTHS)
def test_converted_network_equals_the_authors(variant, tmp_path):
    state = random_state(variant)
    path = write_authors_file(tmp_path / 'authors.pth.tar', state)
    checkpoint, _ = convert(read_state_dict(path), variant, keep_auxiliary=True)
    save_checkpoint(tmp_path / 'converted.safetensors', checkpoint)
    path.unlink()
    network = load_checkpoint(tmp_path / 'converted.safetensors').build(auxiliary=True)

    image = torch.rand(2, 3, 64, 96) * 255 - 110
    depth = torch.rand(2, 1, 64, 96) * 8
    depth[:, :, 20:30, 40:70] = 0
    with torch.no_grad():
        expected = authors_forward(state, variant, image, depth)
        scores = network.forward_with_auxiliary(image, depth)
    for score, wanted in zip(scores, expected, strict=True):
        assert 1 < wanted.abs().amax() < 20
        torch.testing.assert_close(score, wanted, atol=1e-4, rtol=0)


def test_authors_input_equals_the_original_preprocessing(tiny_samples):
    """Colour minus the mean, then B, G, R; depth in metres, 0 if missing."""
    frame = tiny_samples[0].frame
    image, depth = AUTHORS_INPUT.encode(
        torch.from_numpy(frame.rgb).permute(2, 0, 1).float(),
        torch.from_numpy(frame.depth_m),
        frame.intrinsics,
    )
    expected = (frame.rgb - np.array([122.675, 116.669, 104.008]))[..., ::-1]
    np.testing.assert_allclose(image[0].permute(1, 2, 0), expected, atol=1e-4)
    np.testing.assert_array_equal(depth[0, 0], np.nan_to_num(frame.depth_m))
    assert AUTHORS_INPUT.size == (480, 640)
