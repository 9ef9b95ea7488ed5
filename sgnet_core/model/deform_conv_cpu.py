# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution on a CPU: a gather that `embedding_bag` does, and a product.

A bilinear sample is a weighted sum of four rows of a channels-last image, and summing weighted rows
of a table is what `embedding_bag` does, with all channels of a row in vector registers. All
channels share the taps, so rows and factors are found once for each pixel and tap. The image gets a
border of zeros, so that no sample is a special case.

Either the samples are gathered and then multiplied, a strip of pixels at a time, so that they are
still in the cache when the product reads them. Or, where there are few output channels as in a
weight generator, every pixel is multiplied with the weights of every tap and the products are
gathered: sampling is linear, so the order does not matter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# The gradients are those of the reference, which samples the columns again.
from sgnet_core.model.deform_conv_reference import Pair, backward

__all__ = ['DTYPES', 'backward', 'forward']

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

STRIP_PIXELS = 2400
"""Rows of the column buffer: fewer, and the matrix product does not reach its speed; more, and the
buffer leaves the cache, and the heap (measured on two cores of a server, 64 to 512 channels)."""
_BEFORE, _AFTER = 1, 2
"""Rows and columns of zeros around the image: a sample at `size` also reads `size + 1`."""


def forward(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """As the reference; the output is channels-last."""
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    # Half precision features are sampled in float32, like in the reference.
    dtype = torch.promote_types(x.dtype, torch.float32)
    table = F.pad(x.permute(0, 2, 3, 1).to(dtype), (0, 0, _BEFORE, _AFTER, _BEFORE, _AFTER))
    table = table.flatten(1, 2)  # (N, (H+3)(W+3), C)
    gather_products = 2 * weight.shape[0] * stride[0] * stride[1] <= weight.shape[1]
    offset, mask = (t.permute(0, 2, 3, 1).contiguous() for t in (offset, mask))
    shape = (x.shape[0], weight.shape[0], *mask.shape[1:3])
    y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
    pixels = y.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H'W', D), the same memory
    for image in range(x.shape[0] if y.numel() else 0):
        rows, factors = _corners(
            offset[image].unflatten(2, (*kernel, 2)),
            mask[image],
            size,
            (stride, padding, dilation),
            rows_per_pixel=mask.shape[3] if gather_products else 1,
        )
        combine = _multiply_and_gather if gather_products else _gather_and_multiply
        combine(table[image], rows, factors.to(dtype), weight, pixels[image])
    if bias is not None:
        pixels += bias
    return y


def _gather_and_multiply(
    table: Tensor, rows: Tensor, factors: Tensor, weight: Tensor, y: Tensor
) -> None:
    """Rows and factors (H'W', K, 4) into `table` (R, C), times `weight`, into y (H'W', D)."""
    # (K C, D), without a copy where the weights are channels-last.
    weight = weight.permute(0, 2, 3, 1).flatten(1).t()
    strips = (t.split(STRIP_PIXELS) for t in (rows, factors, y))
    for rows_of_strip, factors_of_strip, y_of_strip in zip(*strips, strict=True):
        columns = F.embedding_bag(
            rows_of_strip.flatten(0, 1),
            table,
            mode='sum',
            per_sample_weights=factors_of_strip.flatten(0, 1),
        )  # (strip K, C)
        columns = columns.view(len(y_of_strip), -1).to(y.dtype)
        torch.mm(columns, weight, out=y_of_strip)


def _multiply_and_gather(
    table: Tensor, rows: Tensor, factors: Tensor, weight: Tensor, y: Tensor
) -> None:
    """The same, with rows into the products: row r of `table` makes the rows r K to r K + K - 1."""
    weight = weight.permute(1, 2, 3, 0).flatten(1).to(table.dtype)  # (C, K D)
    products = (table @ weight).view(-1, len(y[0]))  # (R K, D)
    y.copy_(
        F.embedding_bag(
            rows.flatten(1), products, mode='sum', per_sample_weights=factors.flatten(1)
        )
    )


def _corners(
    offset: Tensor, mask: Tensor, size: Pair, window: tuple[Pair, Pair, Pair], rows_per_pixel: int
) -> tuple[Tensor, Tensor]:
    """The four pixels around every tap and the factor of each, mask included.

    Args:
        offset: (H', W', kernel height, kernel width, 2) in pixels, (dy, dx).
        mask: (H', W', K).
        size: (H, W) of the image.
        window: stride, padding, dilation.
        rows_per_pixel: of the table: 1, or K where every tap has its own.

    Returns:
        Rows of the table of the padded image (H'W', K, 4) int32, and factors (H'W', K, 4).
    """
    coordinates = []
    for axis in (0, 1):
        start = _tap_positions(offset.shape[axis], offset.shape[2 + axis], axis, window)
        # (H', 1, kernel height, 1) or (1, W', 1, kernel width)
        start = start[:, None, :, None] if axis == 0 else start[None, :, None, :]
        # Beyond the border all is zero, so clamping there changes nothing, not even for infinity.
        at = (offset[..., axis].to(torch.promote_types(offset.dtype, torch.float32))) + start
        at = at.nan_to_num_(nan=0.0).clamp_(0, size[axis] + _BEFORE)
        coordinates.append(at.view(-1, mask.shape[2]))  # (H'W', K)
    y, x = coordinates
    width = size[1] + _BEFORE + _AFTER
    first = torch.add(x.int(), y.int(), alpha=width)
    if rows_per_pixel > 1:
        taps = torch.arange(rows_per_pixel, dtype=torch.int32)
        first = torch.add(taps, first, alpha=rows_per_pixel)
    rows = first.new_empty(*first.shape, 4)
    for corner, step in enumerate((0, 1, width, width + 1)):
        torch.add(first, step * rows_per_pixel, out=rows[..., corner])

    mask = mask.view(-1, mask.shape[2])
    bottom = y.frac_() * mask
    top = mask - bottom
    x.frac_()
    factors = bottom.new_empty(*bottom.shape, 4)
    for corner, of_row in ((0, top), (2, bottom)):
        right = torch.mul(of_row, x, out=factors[..., corner + 1])
        torch.sub(of_row, right, out=factors[..., corner])
    return rows, factors


def _tap_positions(length: int, kernel: int, axis: int, window: tuple[Pair, Pair, Pair]) -> Tensor:
    """Unshifted positions (length, kernel) along one axis, in pixels of the padded image."""
    stride, padding, dilation = (values[axis] for values in window)
    pixel = torch.arange(length, dtype=torch.float32)[:, None] * stride
    return pixel + torch.arange(kernel, dtype=torch.float32) * dilation + (_BEFORE - padding)
