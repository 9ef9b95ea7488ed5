# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution in plain PyTorch: the definition, for any device.

`deform_conv` has the formula and the arguments. Every faster implementation has the same two
functions and is tested against these.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]

_BILINEAR = _ZEROS = 0
"""Codes of `aten::grid_sampler_2d`."""


def forward(x, offset, mask, weight, bias, stride, padding, dilation) -> Tensor:
    """Sample K shifted images, weigh them, multiply by W."""
    grid = _sampling_grid(offset, weight.shape[2:], stride, padding, dilation, x.shape[2:])
    columns = _sample(x, grid) * mask.flatten(2)[:, None]  # (N, C, K, H'W')
    y = weight.flatten(1) @ columns.flatten(1, 2).to(x.dtype)  # (N, D, H'W')
    y = y.unflatten(2, offset.shape[2:])
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def backward(grad, x, offset, mask, weight, stride, padding, dilation) -> tuple[Tensor, ...]:
    """Gradients of x, offset, mask and weight; the columns are sampled again."""
    grid = _sampling_grid(offset, weight.shape[2:], stride, padding, dilation, x.shape[2:])
    sampled = _sample(x, grid)  # (N, C, K, H'W')
    grad = grad.flatten(2)  # (N, D, H'W')
    mask_of_positions = mask.flatten(2)[:, None]  # (N, 1, K, H'W')

    grad_columns = (weight.flatten(1).t() @ grad).unflatten(1, sampled.shape[1:3])
    columns = (sampled * mask_of_positions).flatten(1, 2).to(x.dtype)
    grad_weight = torch.einsum('ndp,ncp->dc', grad, columns).view(weight.shape)
    grad_mask = (grad_columns * sampled).sum(1).view(mask.shape)
    grad_sampled = (grad_columns * mask_of_positions).flatten(2).to(grid.dtype)

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
    grad_offset = grad_offset.permute(0, 1, 4, 2, 3).reshape(offset.shape)
    grads = ((grad_x, x), (grad_offset, offset), (grad_mask, mask), (grad_weight, weight))
    return tuple(grad.to(tensor.dtype) for grad, tensor in grads)


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
    """Sampling locations: (N, K, H', W', 2) in `grid_sample`'s (x, y).

    Two pixels outside the image samples and their gradients are zero, so clamping there only keeps
    infinite offsets in range. NaN counts as outside.
    """
    y, x = _sampling_locations(offset, kernel, stride, padding, dilation)
    axes = []
    for coordinate, length in ((x, size[1]), (y, size[0])):
        clamped = torch.nan_to_num(coordinate, nan=-2.0).clamp(-2.0, length + 1.0)
        axes.append((2.0 * clamped + 1.0) / length - 1.0)
    return torch.stack(axes, dim=-1)


def _sampling_locations(
    offset: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Tensor, Tensor]:
    """Rows and columns of the sampling locations in the input, each (N, K, H', W')."""
    out_h, out_w = offset.shape[2:]
    dtype = torch.promote_types(offset.dtype, torch.float32)

    def along(size: int, kernel_size: int, axis: int) -> Tensor:
        pixel = torch.arange(size, device=offset.device, dtype=dtype)
        position = torch.arange(kernel_size, device=offset.device, dtype=dtype)
        start = pixel * stride[axis] - padding[axis]
        return position[:, None] * dilation[axis] + start  # (kernel_size, size)

    rows = along(out_h, kernel[0], 0)[:, None, :, None].expand(-1, kernel[1], -1, out_w)
    columns = along(out_w, kernel[1], 1)[None, :, None, :].expand(kernel[0], -1, out_h, -1)
    offset = offset.to(dtype).unflatten(1, (-1, 2))  # (N, K, 2, H', W')
    return offset[:, :, 0] + rows.flatten(0, 1), offset[:, :, 1] + columns.flatten(0, 1)
