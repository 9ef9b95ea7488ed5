# SPDX-License-Identifier: Apache-2.0
"""The CPU implementation of the deformable convolution against the reference."""

import math
import os
import subprocess
import sys

import torch
import pytest
from deform_conv_cases import CASES, LAYOUTS, assert_close, call_reference

from sgnet_core.ops import deform_conv_cpu


def gradients(case, inputs, layout='contiguous'):
    return deform_conv_cpu.backward(*(LAYOUTS[layout](t) for t in inputs), *case.window)


def gradient_inputs(case, dtype=torch.float32, **options):
    x, offset, mask, weight, _ = case.inputs(dtype, **options)
    return [case.grad(dtype, options.get('batch', 2)), x, offset, mask, weight]


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('spread', [0.4, 6.0])
def test_values_and_gradients_equal_the_reference(name, layout, spread):
    case = CASES[name]
    inputs = case.inputs(torch.float32, spread=spread)
    y = deform_conv_cpu.forward(*map(LAYOUTS[layout], inputs), *case.window)
    assert_close([y], call_reference('forward', case, inputs), torch.float32)
    inputs = gradient_inputs(case, spread=spread)
    results = gradients(case, inputs, layout)
    assert_close(results, call_reference('backward', case, inputs), torch.float32)


@pytest.mark.parametrize('strip_pixels', [1, 7, 20])
def test_strips_may_cross_image_borders(monkeypatch, strip_pixels):
    """A strip of 20 pixels holds more than an image of 15, one of 7 a part of it."""
    case = CASES['few channels']
    inputs = gradient_inputs(case, batch=3)
    monkeypatch.setattr(deform_conv_cpu, 'STRIP_PIXELS', strip_pixels)
    assert_close(gradients(case, inputs), call_reference('backward', case, inputs), torch.float32)


@pytest.mark.parametrize('move', [0.0, -1.0, 1.0, 2.0])
def test_gradient_at_whole_pixels_is_the_right_sided_one(move):
    """Training begins with offsets of zero: every sample on a pixel, some on the border's.

    In float64, as the reference's coordinates are rounded on their way to `grid_sample`.
    """
    case = CASES['few channels']
    grad, x, offset, mask, weight = (t.double() for t in gradient_inputs(case))
    inputs = [grad, x, torch.full_like(offset, move), mask, weight]
    nearby = [grad, x, torch.full_like(offset, move + 1e-9), mask, weight]
    torch.testing.assert_close(
        gradients(case, inputs)[1], call_reference('backward', case, nearby)[1],
        atol=1e-6, rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e30, -3.5])
def test_huge_offsets_have_zero_gradient(value):
    case = CASES['strided and dilated']
    inputs = gradient_inputs(case)
    inputs[2][:, ::3] = value
    results = gradients(case, inputs)
    assert_close(results, call_reference('backward', case, inputs), torch.float32)
    if value != -3.5:
        assert not results[1][:, ::3].any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_gradients_keep_their_dtypes(dtype):
    case = CASES['channels in two parts']
    inputs = gradient_inputs(case, dtype)
    results = gradients(case, inputs)
    assert [t.dtype for t in results] == [t.dtype for t in inputs[1:]]
    assert_close(results, call_reference('backward', case, inputs), dtype)


def test_backward_gives_no_warning():
    """PyTorch's about sparse tensors, once in a process: hence a new one."""
    program = (
        'import torch; from sgnet_core.model import modulated_deform_conv2d as convolve\n'
        'x = torch.ones(2, 3, 5, 7, requires_grad=True)\n'
        'convolve(x, torch.zeros(2, 18, 3, 5), torch.ones(2, 9, 3, 5), torch.ones(4, 3, 3, 3))'
        '.sum().backward()'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'error', '-c', program],
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, '')
