# SPDX-License-Identifier: Apache-2.0
"""The usual implementation of the operator: im2col of four gathered corners, then one product.

It uses no more memory than the method needs: bilinear weights and mask are one factor for each
sample, and all channels share the indices.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from sgnet_core.ops.deform_conv_reference import Pair


def im2col_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
) -> Tensor:
    """Like `sgnet_core.model.modulated_deform_conv2d`, differentiable by autograd alone.

    Autograd keeps the column buffer and the four gathered corners until the backward pass.
    """
    window = tuple(_pair(value) for value in (stride, padding, dilation))
    columns = deformable_columns(x, offset, mask, weight.shape[2:], *window)
    return _product(columns, offset, weight.to(x.dtype), bias)


def im2col_deform_conv2d_keeping_columns(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
) -> Tensor:
    """The same, but only the column buffer is kept for the backward pass."""
    window = tuple(_pair(value) for value in (stride, padding, dilation))
    columns = _Columns.apply(x, offset, mask, weight.shape[2:], *window)
    return _product(columns, offset, weight.to(x.dtype), bias)


def deformable_columns(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """(N, C, H, W) at the sampling locations: (N, C, K, H'W')."""
    row, column = (
        _sampling_locations(offset, axis, kernel, stride[axis], padding[axis], dilation[axis])
        .nan_to_num(-2.0)
        .clamp(-2.0, x.shape[2 + axis] + 1.0)
        for axis in (0, 1)
    )  # (N, K, H'W')
    top, left = row.detach().floor(), column.detach().floor()
    down, right = row - top, column - left
    rows, lines = ((top, 1 - down), (top + 1, down)), ((left, 1 - right), (left + 1, right))
    columns = None
    for (r, share_of_row), (c, share_of_column) in itertools.product(rows, lines):
        inside = (r >= 0) & (r < x.shape[2]) & (c >= 0) & (c < x.shape[3])
        factor = share_of_row * share_of_column * inside * mask.flatten(2)
        index = (r.clamp(0, x.shape[2] - 1) * x.shape[3] + c.clamp(0, x.shape[3] - 1)).long()
        corner = _gather(x, index) * factor[:, None].to(x.dtype)
        columns = corner if columns is None else columns + corner
    return columns


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """x (N, C, H, W) at flat indices (N, K, P) -> (N, C, K, P)."""
    flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, flat).unflatten(2, index.shape[1:])


def _product(columns: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y = (weight.flatten(1) @ columns.flatten(1, 2)).unflatten(2, offset.shape[2:])
    return y if bias is None else y + bias.to(y.dtype).view(1, -1, 1, 1)


class _Columns(torch.autograd.Function):
    """`deformable_columns`, with corners that are gathered again in the backward pass."""

    @staticmethod
    def forward(ctx, x, offset, mask, *window):
        ctx.save_for_backward(x, offset, mask)
        ctx.window = window
        return deformable_columns(x, offset, mask, *window)

    @staticmethod
    def backward(ctx, grad):
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
        with torch.enable_grad():
            columns = deformable_columns(*inputs, *ctx.window)
        return *torch.autograd.grad(columns, inputs, grad), None, None, None, None


def _sampling_locations(
    offset: Tensor, axis: int, kernel: Pair, stride: int, padding: int, dilation: int
) -> Tensor:
    """Row (axis 0) or column (axis 1) of the sampling locations: (N, K, P)."""
    dtype = torch.promote_types(offset.dtype, torch.float32)
    positions, pixels = (
        torch.meshgrid(
            *(torch.arange(size, device=offset.device, dtype=dtype) for size in shape),
            indexing='ij',
        )[axis].flatten()
        for shape in (kernel, tuple(offset.shape[2:]))
    )
    regular = pixels * stride - padding + positions[:, None] * dilation  # (K, P)
    return regular + offset[:, axis::2].flatten(2).to(dtype)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)
