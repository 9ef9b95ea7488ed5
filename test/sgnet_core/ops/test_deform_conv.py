# SPDX-License-Identifier: Apache-2.0
"""The operator against loops written from its definition, and against a plain convolution."""

import itertools
import math
import sys

import torch
import numpy as np
import pytest
import torch.nn.functional as F
from deform_conv_cases import Case

from sgnet_core.model import modulated_deform_conv2d
from sgnet_core.ops import deform_conv, deform_conv_reference

# Kernel, stride, padding, dilation: never square, never all alike.
WINDOWS = [
    ((3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 2), (2, 1), (1, 0), (1, 2)),
    ((1, 3), (1, 2), (0, 2), (1, 1)),
]


def random_inputs(window, batch=2, dtype=torch.float64, spread=1.5, size=(5, 7)):
    case = Case(3, 4, size, *window)
    return [tensor.to(dtype) for tensor in case.inputs(torch.float32, batch, spread)]


def bilinear(image, y, x):
    """Sample (C, H, W) at one point; every pixel outside is zero."""
    value = np.zeros(image.shape[0])
    if not (math.isfinite(y) and math.isfinite(x)):
        return value
    for row, column in itertools.product(
        (math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)
    ):
        if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
            value += image[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return value


def naive(x, offset, mask, weight, bias, stride, padding, dilation):
    """Seven loops, straight from the definition."""
    x, offset, mask, weight, bias = (t.numpy() for t in (x, offset, mask, weight, bias))
    n, (height, width) = x.shape[0], offset.shape[2:]
    y = np.zeros((n, weight.shape[0], height, width))
    for b, v, u in np.ndindex(n, height, width):
        y[b, :, v, u] = bias
        for i, j in np.ndindex(*weight.shape[2:]):
            k = i * weight.shape[3] + j
            dy, dx = offset[b, 2 * k : 2 * k + 2, v, u]
            sample = bilinear(
                x[b],
                v * stride[0] - padding[0] + i * dilation[0] + dy,
                u * stride[1] - padding[1] + j * dilation[1] + dx,
            )
            y[b, :, v, u] += mask[b, k, v, u] * (weight[:, :, i, j] @ sample)
    return torch.from_numpy(y)


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('spread', [0.3, 6.0])
def test_operator_equals_naive_loops(window, spread):
    inputs = random_inputs(window, spread=spread)
    torch.testing.assert_close(
        modulated_deform_conv2d(*inputs, *window[1:]), naive(*inputs, *window[1:])
    )


@pytest.mark.parametrize('window', WINDOWS)
def test_zero_offset_and_unit_mask_give_a_convolution(window):
    x, offset, mask, weight, bias = random_inputs(window)
    y = modulated_deform_conv2d(
        x, torch.zeros_like(offset), torch.ones_like(mask), weight, bias, *window[1:]
    )
    torch.testing.assert_close(y, F.conv2d(x, weight, bias, *window[1:]))


@pytest.mark.parametrize('window', WINDOWS)
def test_operator_passes_gradcheck(window):
    inputs = [tensor.requires_grad_() for tensor in random_inputs(window)]
    assert torch.autograd.gradcheck(lambda *a: modulated_deform_conv2d(*a, *window[1:]), inputs)


def test_operator_passes_opcheck():
    """Fake shapes, autograd registration and tracing agree with what the operator does."""
    inputs = [tensor.requires_grad_() for tensor in random_inputs(WINDOWS[1])]
    torch.library.opcheck(
        torch.ops.sgnet.modulated_deform_conv2d.default, (*inputs, *WINDOWS[1][1:])
    )


def test_empty_batch_gives_empty_output():
    inputs = [tensor.requires_grad_() for tensor in random_inputs(WINDOWS[0], batch=0)]
    y = modulated_deform_conv2d(*inputs, padding=1)
    assert y.shape == (0, 4, 5, 7)
    y.sum().backward()
    assert not inputs[3].grad.any()


@pytest.mark.parametrize('size', [(0, 0), (0, 3)])
def test_empty_output_has_its_shape(size):
    height, width = size
    x, weight = torch.randn(2, 3, height + 1, width + 1), torch.randn(4, 3, 2, 2)
    y = modulated_deform_conv2d(
        x, torch.zeros(2, 8, *size), torch.ones(2, 4, *size), weight, torch.ones(4)
    )
    assert y.shape == (2, 4, *size)


@pytest.mark.parametrize(('channels', 'outputs'), [(3, 4), (12, 2)])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e30])
def test_huge_offsets_sample_zero(value, channels, outputs):
    _, offset, mask, *_ = random_inputs(WINDOWS[0], dtype=torch.float32)
    x, weight = torch.randn(2, channels, 5, 7), torch.randn(outputs, channels, 3, 3)
    bias = torch.randn(outputs)
    offset[:] = value
    y = modulated_deform_conv2d(x, offset, mask, weight, bias, padding=1)
    torch.testing.assert_close(y, bias.view(1, -1, 1, 1).expand_as(y))


def test_half_precision_features_keep_float32_coordinates():
    """In bfloat16 itself, coordinates above 128 could not tell one pixel from the next."""
    window = ((1, 1), (1, 1), (0, 0), (1, 1))
    x, offset, mask, weight, bias = random_inputs(window, dtype=torch.float32, size=(3, 300))
    x, weight = x.bfloat16().float(), weight.bfloat16().float()
    exact = modulated_deform_conv2d(x, offset, mask, weight, bias)
    half = modulated_deform_conv2d(x.bfloat16(), offset, mask, weight.bfloat16(), bias.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.06, rtol=0.02)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'x': (2, 5, 5, 7)}, r'5 channels.*takes 3'),
        ({'offset': (2, 9, 5, 7)}, r'offset must be \(2, 18, 5, 7\).*got \(2, 9, 5, 7\)'),
        ({'mask': (2, 9, 7, 5)}, r'mask must be \(2, 9, 5, 7\).*got \(2, 9, 7, 5\)'),
        ({'bias': (3,)}, r'bias must be \(4,\).*got \(3,\)'),
        ({'weight': (4, 3, 3)}, r'4-dimensional'),
    ],
)
def test_operator_rejects_mismatched_shapes(change, message):
    names = ('x', 'offset', 'mask', 'weight', 'bias')
    inputs = dict(zip(names, random_inputs(WINDOWS[0]), strict=True))
    inputs |= {name: torch.zeros(shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=message):
        modulated_deform_conv2d(**inputs, padding=1)


@pytest.mark.parametrize('window', [{'stride': 0}, {'dilation': (1, 0)}, {'padding': -1}])
def test_operator_rejects_invalid_windows(window):
    with pytest.raises(ValueError, match=f'{next(iter(window))} must be'):
        modulated_deform_conv2d(*random_inputs(WINDOWS[0]), **window)


def test_autocast_does_not_change_results():
    """Features and parameters of several dtypes meet there; a few outputs take another path."""
    window = WINDOWS[0]
    _, offset, mask, *_ = random_inputs(window, dtype=torch.float32)
    x, weight = torch.randn(2, 12, 5, 7), torch.randn(2, 12, 3, 3, requires_grad=True)
    expected = modulated_deform_conv2d(x, offset, mask, weight, None, *window[1:])
    expected.square().sum().backward()
    gradient, weight.grad = weight.grad, None
    with torch.autocast('cpu', torch.bfloat16):
        y = modulated_deform_conv2d(x, offset, mask, weight, None, *window[1:])
    y.square().sum().backward()
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(weight.grad, gradient)


def test_second_derivatives_raise():
    inputs = [tensor.requires_grad_() for tensor in random_inputs(WINDOWS[0])]
    y = modulated_deform_conv2d(*inputs, *WINDOWS[0][1:])
    (gradient,) = torch.autograd.grad(y.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(NotImplementedError, match='no second derivatives'):
        gradient.square().sum().backward()


@pytest.mark.parametrize(
    ('device', 'dtype'),
    [('xpu', torch.float32), ('cuda', torch.float64), ('cpu', torch.int32)],
)
def test_other_devices_run_the_reference_with_one_warning(device, dtype, caplog):
    deform_conv._implementation.cache_clear()
    for _ in range(2):
        assert deform_conv._implementation(device, dtype) is deform_conv_reference
    assert [f'on {device} in {dtype}' in record.message for record in caplog.records] == [True]


def test_gpu_without_triton_runs_the_reference_with_one_warning(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'sgnet_core.ops.deform_conv_triton', None)
    monkeypatch.delattr('sgnet_core.ops.deform_conv_triton', raising=False)
    deform_conv._implementation.cache_clear()
    for _ in range(2):
        assert deform_conv._implementation('cuda', torch.float16) is deform_conv_reference
    assert ['Triton cannot be used' in record.message for record in caplog.records] == [True]
    deform_conv._implementation.cache_clear()
