# SPDX-License-Identifier: Apache-2.0
"""The usual implementation of the operator: im2col of four gathered corners, then one product.

Bilinear weights and mask are one factor for each sample, and all channels share the indices.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

Pair = tuple[int, int]


def im2col_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    keep_corners: bool = True,
) -> Tensor:
    """Like `sgnet_core.model.modulated_deform_conv2d`, differentiable by autograd alone.

    Autograd keeps the column buffer until the backward pass, and the four gathered corners unless
    `keep_corners` is false: then it gathers them again.
    """
    window = [
        (value, value) if isinstance(value, int) else value for value in (stride, padding, dilation)
    ]
    sample = deformable_columns if keep_corners else _Columns.apply
    columns = sample(x, offset, mask, weight.shape[2:], *window)
    y = weight.to(x.dtype).flatten(1) @ columns.flatten(1, 2)
    y = y.unflatten(2, offset.shape[2:])
    return y if bias is None else y + bias.to(y.dtype).view(1, -1, 1, 1)


def deformable_columns(
    x: Tensor, offset: Tensor, mask: Tensor, kernel: Pair, *window: Pair
) -> Tensor:
    """(N, C, H, W) at the sampling locations: (N, C, K, H'W')."""
    row, column = (
        _sampling_locations(offset, axis, kernel, *(value[axis] for value in window))
        .nan_to_num(-2.0)
        .clamp(-2.0, x.shape[2 + axis] + 1.0)
        for axis in (0, 1)
    )  # (N, K, H'W')
    top, left = row.detach().floor(), column.detach().floor()
    down, right = row - top, column - left
    columns = 0
    for (r, row_weight), (c, column_weight) in itertools.product(
        ((top, 1 - down), (top + 1, down)), ((left, 1 - right), (left + 1, right))
    ):
        inside = (r >= 0) & (r < x.shape[2]) & (c >= 0) & (c < x.shape[3])
        factor = row_weight * column_weight * inside * mask.flatten(2)
        index = (r.clamp(0, x.shape[2] - 1) * x.shape[3] + c.clamp(0, x.shape[3] - 1)).long()
        flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
        corner = x.flatten(2).gather(2, flat).unflatten(2, index.shape[1:])
        columns = columns + corner * factor[:, None].to(x.dtype)
    return columns


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
