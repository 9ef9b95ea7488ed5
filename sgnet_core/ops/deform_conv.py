# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution, the one operator under S-Conv, as a torch custom op.

Zhu et al., "Deformable ConvNets v2" (CVPR 2019), eq. 1; Chen et al., SGNet (TIP 2021), eq. 7:

    Y(p) = sum_k  m_k(p) * W_k . X(stride * p - padding + dilation * k + offset_k(p))

X is sampled bilinearly and is zero outside the image: a sample half a pixel outside counts half.
Kernel position k = i * kernel_width + j; channel 2k of `offset` moves it down (dy), channel 2k + 1
right (dx), in pixels of the input: the order of torchvision and of ONNX DeformConv.

The implementation depends on the device: `deform_conv_cpu`, `deform_conv_triton` on CUDA, and the
definition in `deform_conv_reference` elsewhere.
"""

from __future__ import annotations

import functools
import logging
import math
from types import ModuleType

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from sgnet_core.ops import deform_conv_cpu, deform_conv_reference
from sgnet_core.ops.deform_conv_reference import Pair

logger = logging.getLogger(__name__)


def modulated_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
) -> Tensor:
    """Convolve `x` at shifted sampling locations, each weighted by `mask`.

    Args:
        x: (N, C, H, W), float32, float64, float16 or bfloat16.
        offset: (N, 2K, H', W') in pixels, (dy, dx) per kernel position; K = kernel height * width.
        mask: (N, K, H', W'), one factor per kernel position and output pixel, for all channels.
        weight: (D, C, kernel height, kernel width).
        bias: (D,) or None.
        stride, padding, dilation: one number or (vertical, horizontal).

    Returns:
        (N, D, H', W') in the dtype of `x`, channels-last. Coordinates are computed in at least
        float32: bfloat16 steps a whole pixel above 128.

    Raises:
        ValueError: shapes do not match; the message has both.
    """
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    _check_shapes(x, offset, mask, weight, bias, stride, padding, dilation)
    # Under autocast the features have low precision and the parameters do not.
    weight = weight.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    return torch.ops.sgnet.modulated_deform_conv2d(
        x, offset, mask, weight, bias, stride, padding, dilation
    )


@functools.cache
def _implementation(device_type: str, dtype: torch.dtype) -> ModuleType:
    """The fastest module with `forward` and `backward` for this device and dtype."""
    if device_type == 'cpu' and dtype in deform_conv_cpu.DTYPES:
        return deform_conv_cpu
    reason = 'there is no faster implementation for them'
    if device_type == 'cuda':
        try:
            from sgnet_core.ops import deform_conv_triton
        except (ImportError, OSError, RuntimeError) as error:
            reason = f'Triton cannot be used: {error}'
        else:
            if dtype in deform_conv_triton.DTYPES:
                return deform_conv_triton
    # Logged once: this function is cached.
    logger.warning('plain PyTorch computes S-Conv on %s in %s: %s', device_type, dtype, reason)
    return deform_conv_reference


# --- the custom op: one name for tracing, export and counting ------------------------------------

# Not `torch.library.custom_op`: its first call imports PyTorch's compiler, which takes two seconds.
_FORWARD = 'sgnet::modulated_deform_conv2d'
_BACKWARD = 'sgnet::modulated_deform_conv2d_backward'
_ARGUMENTS = (
    'Tensor x, Tensor offset, Tensor mask, Tensor weight, Tensor? bias, '
    'int[2] stride, int[2] padding, int[2] dilation'
)
torch.library.define(_FORWARD, f'({_ARGUMENTS}) -> Tensor')
torch.library.define(
    _BACKWARD, f'(Tensor grad, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)'
)


@torch.library.impl(_FORWARD, 'default')
def _forward_op(x, offset, mask, weight, bias, stride, padding, dilation):
    forward = _implementation(x.device.type, x.dtype).forward
    # Autocast must not change the dtypes again.
    with torch.autocast(x.device.type, enabled=False):
        y = forward(x, offset, mask, weight, bias, stride, padding, dilation)
    return y.contiguous(memory_format=torch.channels_last)


@torch.library.register_fake(_FORWARD)
def _forward_shape(x, offset, mask, weight, bias, stride, padding, dilation):
    shape = (x.shape[0], weight.shape[0], *offset.shape[2:])
    return torch.empty_like(x.new_empty(shape), memory_format=torch.channels_last)


@torch.library.impl(_BACKWARD, 'default')
def _backward_op(grad, x, offset, mask, weight, bias, stride, padding, dilation):
    backward = _implementation(x.device.type, x.dtype).backward
    with torch.autocast(x.device.type, enabled=False):
        *maps, grad_weight = backward(grad, x, offset, mask, weight, stride, padding, dilation)
    return (
        *(gradient.contiguous(memory_format=torch.channels_last) for gradient in maps),
        grad_weight.contiguous(),
        grad.new_zeros(grad.shape[1]) if bias is None else grad.sum((0, 2, 3)),
    )


@torch.library.register_fake(_BACKWARD)
def _backward_shape(grad, x, offset, mask, weight, bias, stride, padding, dilation):
    return (
        *(torch.empty_like(t, memory_format=torch.channels_last) for t in (x, offset, mask)),
        torch.empty_like(weight, memory_format=torch.contiguous_format),
        grad.new_empty(grad.shape[1]),
    )


def _save_for_backward(ctx, inputs, output):
    *tensors, ctx.stride, ctx.padding, ctx.dilation = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad):
    bias = ctx.saved_tensors[4]
    *grads, bias_grad = torch.ops.sgnet.modulated_deform_conv2d_backward(
        grad, *ctx.saved_tensors, ctx.stride, ctx.padding, ctx.dilation
    )
    return *grads, (None if bias is None else bias_grad), None, None, None


def _no_second_derivative(ctx, *grads):
    raise NotImplementedError('modulated_deform_conv2d has no second derivatives')


torch.library.register_autograd(_FORWARD, _backward, setup_context=_save_for_backward)
torch.library.register_autograd(_BACKWARD, _no_second_derivative)


@register_flop_formula(torch.ops.sgnet.modulated_deform_conv2d)
def _flops(x_shape, offset_shape, mask_shape, weight_shape, *_, out_shape=None, **__) -> int:
    """Twice the multiply-adds of the matrix product, as `torch` counts a convolution."""
    n, _, out_h, out_w = mask_shape
    return 2 * n * math.prod(weight_shape) * out_h * out_w


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _check_shapes(x, offset, mask, weight, bias, stride, padding, dilation) -> None:
    limits = (('stride', stride, 1), ('padding', padding, 0), ('dilation', dilation, 1))
    for name, pair, least in limits:
        if len(pair) != 2 or min(pair) < least:
            raise ValueError(f'{name} must be one or two numbers of at least {least}, got {pair}')
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f'x and weight must be 4-dimensional, got {tuple(x.shape)} and {tuple(weight.shape)}'
        )
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f'x has {x.shape[1]} channels, weight takes {weight.shape[1]}: '
            f'{tuple(x.shape)} and {tuple(weight.shape)}'
        )
    out = [
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i]
        + 1
        for i in (0, 1)
    ]
    positions = weight.shape[2] * weight.shape[3]
    expected = {
        'offset': (offset, (x.shape[0], 2 * positions, *out)),
        'mask': (mask, (x.shape[0], positions, *out)),
    }
    if bias is not None:
        expected['bias'] = (bias, (weight.shape[0],))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f'{name} must be {shape} for x {tuple(x.shape)}, weight {tuple(weight.shape)}, '
                f'stride {stride}, padding {padding}, dilation {dilation}; got '
                f'{tuple(tensor.shape)}'
            )
