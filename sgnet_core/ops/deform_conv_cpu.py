# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution on a CPU: a gather that `embedding_bag` does, and a product.

A bilinear sample is a weighted sum of four rows of a channels-last image, and `embedding_bag` sums
weighted rows of a table with all channels of a row in vector registers. All channels share the
sampling locations, so rows and factors are computed once. The image gets a border of zeros, so
that no sample is a special case.

The samples are gathered and then multiplied, one strip of pixels at a time, while they are in the
cache. With few output channels, as in a weight generator, every pixel is first multiplied by the
weights of every kernel position and the products are gathered: sampling is linear.

In the backward pass the transpose of a gather is a gather too, of the samples that read a pixel,
sorted by pixel. The gradients of the factors are the entries of a sampled matrix product.
"""

from __future__ import annotations

import functools
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.ops.deform_conv_reference import Pair

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

STRIP_PIXELS = 2400
"""Rows of the column buffer: fewer slow down the matrix product; more leave the cache and the heap
(measured on two cores of a server, 64 to 512 channels)."""
_BEFORE, _AFTER = 1, 2
"""Rows and columns of zeros around the image: a sample at `size` also reads `size + 1`."""


def forward(x, offset, mask, weight, bias, stride, padding, dilation) -> Tensor:
    """Like the reference; the output is channels-last."""
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    table = _table(x)
    gather_products = 2 * weight.shape[0] * stride[0] * stride[1] <= weight.shape[1]
    shape = (x.shape[0], weight.shape[0], *mask.shape[2:])
    # Not a view: autograd forbids in-place changes to a view that a custom function returns.
    y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
    pixels = y.permute(0, 2, 3, 1).flatten(0, 2)  # (P, D), the same memory
    if y.numel():
        at = _sampling_locations(_channels_last(offset), kernel, (stride, padding, dilation))
        masks = _channels_last(mask).flatten(0, 2)  # (P, K)
        rows, factors = _corners(
            *at, masks, size, len(x), rows_per_pixel=masks.shape[1] if gather_products else 1
        )
        combine = _multiply_and_gather if gather_products else _gather_and_multiply
        combine(table, rows, factors.to(table.dtype), weight, pixels)
    if bias is not None:
        pixels += bias
    return y


def _gather_and_multiply(
    table: Tensor, rows: Tensor, factors: Tensor, weight: Tensor, y: Tensor
) -> None:
    """Rows and factors (P, K, 4) into `table` (R, C), times `weight`, into y (P, D)."""
    # (K C, D), without a copy if the weights are channels-last.
    weight = weight.permute(0, 2, 3, 1).flatten(1).t()
    strips = (t.split(STRIP_PIXELS) for t in (rows, factors, y))
    for rows_of_strip, factors_of_strip, y_of_strip in zip(*strips, strict=True):
        columns = _gather(table, rows_of_strip.flatten(0, 1), factors_of_strip.flatten(0, 1))
        columns = columns.view(len(y_of_strip), -1).to(y.dtype)
        torch.mm(columns, weight, out=y_of_strip)


def _multiply_and_gather(
    table: Tensor, rows: Tensor, factors: Tensor, weight: Tensor, y: Tensor
) -> None:
    """Like `_gather_and_multiply`; row r of `table` becomes rows r K to r K + K - 1 of products."""
    weight = weight.permute(1, 2, 3, 0).flatten(1).to(table.dtype)  # (C, K D)
    products = (table @ weight).view(-1, len(y[0]))  # (R K, D)
    y.copy_(_gather(products, rows.flatten(1), factors.flatten(1)))


def _gather(table: Tensor, rows: Tensor, factors: Tensor) -> Tensor:
    """The sums of the rows (M, n) of `table` (R, C), times factors (M, n): (M, C)."""
    return F.embedding_bag(rows, table, mode='sum', per_sample_weights=factors)


def _table(x: Tensor) -> Tensor:
    """The pixels of x (N, C, H, W), each image in a border of zeros: (N (H+3)(W+3), C)."""
    # Half-precision features are sampled in float32, as in the reference.
    dtype = torch.promote_types(x.dtype, torch.float32)
    table = F.pad(x.permute(0, 2, 3, 1).to(dtype), (0, 0, _BEFORE, _AFTER, _BEFORE, _AFTER))
    return table.flatten(0, 2)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 2, 3, 1).contiguous()


def _sampling_locations(
    offset: Tensor, kernel: Pair, window: tuple[Pair, Pair, Pair]
) -> tuple[Tensor, Tensor]:
    """Rows and columns of the samples in the padded image, each (P, K), P = N H' W' pixels.

    `offset` is (N, H', W', 2K), (dy, dx) per kernel position; `window`: stride, padding, dilation.
    """
    unshifted = []  # (H', kernel height), (W', kernel width)
    axes = zip(offset.shape[1:3], kernel, *window, strict=True)
    for length, positions, stride, padding, dilation in axes:
        pixel = torch.arange(length, dtype=torch.float32)[:, None] * stride
        position = torch.arange(positions, dtype=torch.float32) * dilation
        unshifted.append(pixel + position + (_BEFORE - padding))
    start = (unshifted[0][:, None, :, None], unshifted[1][:, None])
    dtype = torch.promote_types(offset.dtype, torch.float32)
    offset = offset.to(dtype).unflatten(3, (*kernel, 2))
    return tuple((offset[..., i] + start[i]).view(-1, kernel[0] * kernel[1]) for i in (0, 1))


def _corners(
    y: Tensor, x: Tensor, mask: Tensor, size: Pair, images: int, rows_per_pixel: int = 1
) -> tuple[Tensor, Tensor]:
    """Table rows (P, K, 4) int32 of the pixels around every sample, and factors, mask included.

    The table holds N = `images` of `size` (H, W), one below the other, with a row per pixel or one
    per pixel and kernel position. `y` and `x` are overwritten with their fractional parts.
    """
    for coordinate, length in ((y, size[0]), (x, size[1])):
        # All samples beyond the border are zero, so clamping changes nothing, even for infinity.
        coordinate.nan_to_num_(nan=0.0).clamp_(0, length + _BEFORE)
    width = size[1] + _BEFORE + _AFTER
    first = torch.add(x.int(), y.int(), alpha=width)
    above = torch.arange(images, dtype=torch.int32) * ((size[0] + _BEFORE + _AFTER) * width)
    first.view(images, -1).add_(above[:, None])
    if rows_per_pixel > 1:
        positions = torch.arange(rows_per_pixel, dtype=torch.int32)
        first = torch.add(positions, first, alpha=rows_per_pixel)
    rows = first.new_empty(*first.shape, 4)
    for corner, step in enumerate((0, 1, width, width + 1)):
        torch.add(first, step * rows_per_pixel, out=rows[..., corner])

    bottom = y.frac_() * mask
    top = mask - bottom
    x.frac_()
    factors = bottom.new_empty(*bottom.shape, 4)
    for corner, of_row in ((0, top), (2, bottom)):
        right = torch.mul(of_row, x, out=factors[..., corner + 1])
        torch.sub(of_row, right, out=factors[..., corner])
    return rows, factors


# --- gradients -----------------------------------------------------------------------------------


def backward(grad, x, offset, mask, weight, stride, padding, dilation) -> tuple[Tensor, ...]:
    """Like the reference; the gradients of x, offset and mask are channels-last."""
    if not grad.numel():
        return tuple(torch.zeros_like(tensor) for tensor in (x, offset, mask, weight))
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    table = _table(x)
    y_at, x_at = _sampling_locations(_channels_last(offset), kernel, (stride, padding, dilation))
    # Further out, and for NaN, neighbouring samples are zero too.
    moves = torch.stack((y_at >= 0, x_at >= 0), dim=2)  # (P, K, 2)
    masks = _channels_last(mask).flatten(0, 2)  # (P, K)
    rows, factors = _corners(y_at, x_at, masks, size, len(x))
    grad_table, grad_factors, grad_weight = _through_samples(
        _channels_last(grad).flatten(0, 2), rows, factors.to(table.dtype), table, weight
    )
    grad_offset, grad_mask = _through_factors(
        grad_factors, *(t.to(table.dtype) for t in (y_at, x_at, masks))
    )
    grad_offset *= moves
    inner = slice(_BEFORE, -_AFTER)
    grad_x = grad_table.view(len(x), size[0] + _BEFORE + _AFTER, -1, x.shape[1])[:, inner, inner]
    return (
        grad_x.permute(0, 3, 1, 2).to(x.dtype),
        *(
            gradient.view(len(x), *t.shape[2:], -1).permute(0, 3, 1, 2).to(t.dtype)
            for gradient, t in ((grad_offset, offset), (grad_mask, mask))
        ),
        grad_weight.view(len(weight), *kernel, -1).permute(0, 3, 1, 2).to(weight.dtype),
    )


def _through_samples(
    grad: Tensor, rows: Tensor, factors: Tensor, table: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backward of `_gather_and_multiply`: gradients of table, factors and weight (D, K C).

    `grad` is (P, D); rows and factors are (P, K, 4).
    """
    weight = _channels_last(weight).flatten(1)  # (D, K C)
    grad_weight = torch.zeros_like(weight, dtype=table.dtype)
    grad_table, grad_factors = torch.zeros_like(table), torch.empty_like(factors)
    strips = (t.split(STRIP_PIXELS) for t in (grad, rows, factors, grad_factors))
    for grad_y, *of_samples in zip(*strips, strict=True):
        rows_of_strip, factors_of_strip, grad_of_factors = (t.flatten(0, 1) for t in of_samples)
        columns = _gather(table, rows_of_strip, factors_of_strip).view(len(grad_y), -1)
        grad_weight += grad_y.t() @ columns.to(weight.dtype)
        grad_columns = (grad_y @ weight).view(len(rows_of_strip), -1).to(table.dtype)
        grad_of_factors.copy_(_products(grad_columns, table, rows_of_strip))
        _scatter(grad_columns, rows_of_strip, factors_of_strip, grad_table)
    return grad_table, grad_factors, grad_weight


def _products(values: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Dot products (M, 4) of `values` (M, C) with the rows (M, 4) of `table` (R, C)."""
    _suppress_sparse_warning()
    first = torch.arange(0, rows.numel() + 1, rows.shape[1], dtype=rows.dtype)
    zeros = values.new_zeros(rows.numel())
    wanted = torch.sparse_csr_tensor(first, rows.flatten(), zeros, (len(values), len(table)))
    return torch.sparse.sampled_addmm(wanted, values, table.t()).values().view(rows.shape)


@functools.cache
def _suppress_sparse_warning() -> None:
    """Suppress the warning that CSR tensors are in beta, which PyTorch gives once per process."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


def _scatter(values: Tensor, rows: Tensor, factors: Tensor, table: Tensor) -> None:
    """Add `values` (M, C) times factors (M, 4) to the rows (M, 4) of `table` (R, C)."""
    first, order = rows[:, 0].sort()
    lowest, highest = first[0].item(), first[-1].item()
    distinct = torch.arange(lowest, highest + 1, dtype=first.dtype)
    starts, order = torch.searchsorted(first, distinct, out_int32=True), order.int()
    # The distances between the four corners are equal for all samples.
    for step, factor in zip((rows[0] - rows[0, 0]).tolist(), factors[order].unbind(1), strict=True):
        table[lowest + step : highest + step + 1] += F.embedding_bag(
            order, values, starts, mode='sum', per_sample_weights=factor.contiguous()
        )


def _through_factors(grad: Tensor, y: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of (dy, dx) and mask from those of the factors (P, K, 4) of `_corners`.

    `y` and `x` are the fractional parts of the sampling locations, (P, K) like `mask`.
    """
    top_left, top_right, bottom_left, bottom_right = grad.unbind(2)
    top, bottom = top_left.lerp(top_right, x), bottom_left.lerp(bottom_right, x)
    left, right = top_left.lerp(bottom_left, y), top_right.lerp(bottom_right, y)
    grad_offset = torch.stack((bottom - top, right - left), dim=2) * mask[:, :, None]
    return grad_offset, top.lerp(bottom, y)
