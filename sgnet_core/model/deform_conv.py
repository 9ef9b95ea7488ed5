# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution, the one operator under S-Conv, as a torch custom op.

Zhu et al., "Deformable ConvNets v2" (CVPR 2019), eq. 1; Chen et al., SGNet (TIP 2021), eq. 7:

    Y(p) = sum_k  m_k(p) * W_k . X(stride * p - padding + dilation * k + offset_k(p))

X is sampled bilinearly and is zero outside the image, pixel by pixel: a sample half a pixel outside
counts half. Tap k = i * kernel_width + j; channel 2k of `offset` moves it down (dy), channel 2k + 1
right (dx), in pixels of the input: the order of torchvision and of ONNX DeformConv.

This module knows nothing of depth or of networks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

Pair = tuple[int, int]


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
    """Convolve `x` at freely shifted, individually weighted taps.

    Args:
        x: (N, C, H, W), float32, float64, float16 or bfloat16.
        offset: (N, 2K, H', W') in pixels, (dy, dx) per tap; K = kernel height * kernel width.
        mask: (N, K, H', W'), one factor per tap and output pixel, shared by all channels.
        weight: (D, C, kernel height, kernel width).
        bias: (D,) or None.
        stride, padding, dilation: one number or (vertical, horizontal).

    Returns:
        (N, D, H', W') in the dtype of `x`. Coordinates are computed in at least float32 whatever
        the dtype of `x`: bfloat16 steps a whole pixel above 128.

    Raises:
        ValueError: shapes that do not fit together; the message has both.
    """
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    _check_shapes(x, offset, mask, weight, bias, stride, padding, dilation)
    # Under autocast the features are low precision and the parameters are not.
    weight = weight.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    return torch.ops.sgnet.modulated_deform_conv2d(
        x, offset, mask, weight, bias, stride, padding, dilation
    )


def modulated_deform_conv2d_reference(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """The definition in plain PyTorch: sample K shifted images, weigh them, multiply by W."""
    grid = _sampling_grid(offset, weight.shape[2:], stride, padding, dilation, x.shape[2:])
    columns = _sample(x, grid) * mask.flatten(2)[:, None]  # (N, C, K, H'W')
    y = weight.flatten(1) @ columns.flatten(1, 2).to(x.dtype)  # (N, D, H'W')
    y = y.unflatten(2, offset.shape[2:])
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def _sample(x: Tensor, grid: Tensor) -> Tensor:
    """x (N, C, H, W) at grid (N, K, H', W', 2) -> (N, C, K, H'W'), in the dtype of the grid."""
    sampled = F.grid_sample(
        # `grid_sample` wants one dtype; half precision features are sampled in float32.
        x.to(grid.dtype),
        grid.flatten(1, 2),
        mode='bilinear',
        padding_mode='zeros',
        align_corners=False,
    )  # (N, C, K*H', W')
    return sampled.unflatten(2, grid.shape[1:3]).flatten(3)


def _sampling_grid(
    offset: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, size: Pair
) -> Tensor:
    """Where every tap of every output pixel samples: (N, K, H', W', 2) in `grid_sample`'s (x, y).

    Two pixels outside, samples and their gradients are zero; clamping there keeps infinite offsets
    in range without changing anything. NaN counts as outside.
    """
    y, x = _tap_coordinates(offset, kernel, stride, padding, dilation)
    axes = []
    for coordinate, length in ((x, size[1]), (y, size[0])):
        clamped = torch.nan_to_num(coordinate, nan=-2.0).clamp(-2.0, length + 1.0)
        axes.append((2.0 * clamped + 1.0) / length - 1.0)
    return torch.stack(axes, dim=-1)


def _tap_coordinates(
    offset: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Tensor, Tensor]:
    """Row and column in the input of every tap of every output pixel, each (N, K, H', W')."""
    out_h, out_w = offset.shape[2:]
    dtype = torch.promote_types(offset.dtype, torch.float32)

    def along(size: int, kernel_size: int, axis: int) -> Tensor:
        pixel = torch.arange(size, device=offset.device, dtype=dtype)
        tap = torch.arange(kernel_size, device=offset.device, dtype=dtype)
        start = pixel * stride[axis] - padding[axis]
        return tap[:, None] * dilation[axis] + start  # (kernel_size, size)

    rows = along(out_h, kernel[0], 0)[:, None, :, None].expand(-1, kernel[1], -1, out_w)
    columns = along(out_w, kernel[1], 1)[None, :, None, :].expand(kernel[0], -1, out_h, -1)
    offset = offset.to(dtype).unflatten(1, (-1, 2))  # (N, K, 2, H', W')
    return (
        offset[:, :, 0] + rows.flatten(0, 1),
        offset[:, :, 1] + columns.flatten(0, 1),
    )


# --- the custom op: one name for tracing, export and counting, whatever computes it --------------

# The codes of `aten::grid_sampler_2d`.
_BILINEAR = 0
_ZEROS = 0

_SCHEMA = (
    '(Tensor x, Tensor offset, Tensor mask, Tensor weight, Tensor? bias, '
    'int[2] stride, int[2] padding, int[2] dilation) -> Tensor'
)
_BACKWARD_SCHEMA = (
    '(Tensor grad, Tensor x, Tensor offset, Tensor mask, Tensor weight, Tensor? bias, '
    'int[2] stride, int[2] padding, int[2] dilation) -> (Tensor, Tensor, Tensor, Tensor, Tensor)'
)


@torch.library.custom_op('sgnet::modulated_deform_conv2d', mutates_args=(), schema=_SCHEMA)
def _forward_op(x, offset, mask, weight, bias, stride, padding, dilation):
    return modulated_deform_conv2d_reference(
        x, offset, mask, weight, bias, stride, padding, dilation
    )


@_forward_op.register_fake
def _forward_shape(x, offset, mask, weight, bias, stride, padding, dilation):
    return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])


@torch.library.custom_op(
    'sgnet::modulated_deform_conv2d_backward', mutates_args=(), schema=_BACKWARD_SCHEMA
)
def _backward_op(grad, x, offset, mask, weight, bias, stride, padding, dilation):
    """Gradients of the reference, step by step; the columns are sampled again, not kept."""
    grid = _sampling_grid(offset, weight.shape[2:], stride, padding, dilation, x.shape[2:])
    sampled = _sample(x, grid)  # (N, C, K, H'W')
    grad = grad.flatten(2)  # (N, D, H'W')
    mask_of_taps = mask.flatten(2)[:, None]  # (N, 1, K, H'W')

    grad_columns = (weight.flatten(1).t() @ grad).unflatten(1, sampled.shape[1:3])
    columns = (sampled * mask_of_taps).flatten(1, 2).to(x.dtype)
    grad_weight = torch.einsum('ndp,ncp->dc', grad, columns).view_as(weight)
    grad_mask = (grad_columns * sampled).sum(1).view_as(mask)
    grad_sampled = (grad_columns * mask_of_taps).flatten(2).to(grid.dtype)

    grad_x, grad_grid = torch.ops.aten.grid_sampler_2d_backward(
        grad_sampled.view(*x.shape[:2], grid.shape[1] * grid.shape[2], grid.shape[3]),
        x.to(grid.dtype),
        grid.flatten(1, 2),
        _BILINEAR,
        _ZEROS,
        False,
        [True, True],
    )
    # From (x, y) on [-1, 1] back to (dy, dx) in pixels.
    per_pixel = grad_grid.new_tensor([2.0 / x.shape[3], 2.0 / x.shape[2]])
    grad_offset = (grad_grid * per_pixel).view(grid.shape).flip(-1)
    grad_offset = grad_offset.permute(0, 1, 4, 2, 3).reshape_as(offset)
    return (
        grad_x.to(x.dtype),
        grad_offset.to(offset.dtype),
        grad_mask.to(mask.dtype),
        grad_weight,
        grad.sum((0, 2)),
    )


@_backward_op.register_fake
def _backward_shape(grad, x, offset, mask, weight, bias, stride, padding, dilation):
    return (
        *(torch.empty_like(t) for t in (x, offset, mask, weight)),
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


_forward_op.register_autograd(_backward, setup_context=_save_for_backward)


@register_flop_formula(torch.ops.sgnet.modulated_deform_conv2d)
def _flops(x_shape, offset_shape, mask_shape, weight_shape, *_, out_shape=None, **__) -> int:
    """Multiply-adds of the matrix product, twice, as `torch` counts a convolution."""
    n, _, out_h, out_w = mask_shape
    d, c, kernel_h, kernel_w = weight_shape
    return 2 * n * d * c * kernel_h * kernel_w * out_h * out_w


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _check_shapes(x, offset, mask, weight, bias, stride, padding, dilation) -> None:
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
    taps = weight.shape[2] * weight.shape[3]
    expected = {
        'offset': (offset, (x.shape[0], 2 * taps, *out)),
        'mask': (mask, (x.shape[0], taps, *out)),
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
