# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of the modulated deformable convolution. `deform_conv_triton` launches them.

A program works on `block_p` output pixels of one image. For each kernel position k it finds the
four corner pixels of every sample once, for all channels, gathers `block_c` channels of each corner
(contiguous: everything is channels last), and multiplies them on the tensor cores. The columns of
an im2col exist one tile at a time, on the chip, and never in memory.

Layouts: x (N, H, W, C), weight (D, K, C), y and its gradient (N, H', W', D), all contiguous; offset
(N, 2K, H'W') and mask (N, K, H'W') with any strides, so that slices of what one convolution made
for several operators need no copy. Pixels are counted in 32 bits, elements in 64.

Two kernels have more than 40 lines: they work on everything that a program holds in registers, and
a helper function would repeat nearly all of it as arguments and results.
"""

from typing import NamedTuple

import triton
import triton.language as tl

try:
    from triton import knobs
except ImportError as error:
    raise ImportError(
        f'Triton {triton.__version__} is too old: S-Conv needs 3.4, which comes with PyTorch 2.8'
    ) from error

_INTERPRETED = tl.constexpr(knobs.runtime.interpret)


class Window(NamedTuple):
    """Window of the convolution, a compile-time constant: few values occur."""

    size: int  # K
    kernel_width: int
    stride_y: int
    stride_x: int
    padding_y: int
    padding_x: int
    dilation_y: int
    dilation_x: int


# The sizes of images vary too much to compile for each of them.
SIZES = [
    *('height', 'width', 'out_width', 'out_pixels', 'images', 'magnitude'),
    *('offset_image', 'offset_channel', 'offset_pixel', 'mask_image', 'mask_k', 'mask_pixel'),
]


@triton.jit
def _locate(
    offset, mask, k, pixel,
    offset_channel, offset_pixel, mask_k, mask_pixel,
    height, width, out_width, out_pixels, window: tl.constexpr,
):  # fmt: skip
    """Sample k of each pixel: row and column of the top left corner, distance (0 to 1) below and
    right of it, and the mask. Pixels past the last one sample outside.
    """
    exists = pixel < out_pixels
    pixel_64 = pixel.to(tl.int64)
    k_64 = tl.cast(k, tl.int64)
    offset += 2 * k_64 * offset_channel + pixel_64 * offset_pixel
    dy = tl.load(offset, mask=exists, other=float('nan'))
    dx = tl.load(offset + offset_channel, mask=exists, other=float('nan'))
    scale = tl.load(mask + k_64 * mask_k + pixel_64 * mask_pixel, mask=exists, other=0.0)

    row = pixel // out_width * window.stride_y - window.padding_y
    column = pixel % out_width * window.stride_x - window.padding_x
    y = (row + k // window.kernel_width * window.dilation_y).to(tl.float32) + dy.to(tl.float32)
    x = (column + k % window.kernel_width * window.dilation_x).to(tl.float32) + dx.to(tl.float32)

    # Before the conversion to integers, which is undefined for what does not fit. NaN compares
    # false. Two pixels outside no corner is inside.
    near = (y > -2.0) & (y < height + 1.0) & (x > -2.0) & (x < width + 1.0)
    y = tl.where(near, y, -2.0)
    x = tl.where(near, x, -2.0)
    top, left = tl.floor(y), tl.floor(x)
    return top.to(tl.int32), left.to(tl.int32), y - top, x - left, scale.to(tl.float32)


@triton.jit
def _corner(row, column, channel, height, width, channels: tl.constexpr, end):
    """Indices (block_p, block_c) into an image (H, W, C), and whether they are inside."""
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = ((row * width + column).to(tl.int64) * channels)[:, None] + channel[None, :]
    return index, inside[:, None] & (channel < end)[None, :]


@triton.jit
def _corner_values(x, row, column, channel, height, width, channels: tl.constexpr, end):
    """One corner of every sample (block_p, block_c), float32; 0 outside, without a read."""
    index, inside = _corner(row, column, channel, height, width, channels, end)
    # `.ca`: neighbouring samples share corners, so keep them in the cache next to the core.
    # Asynchronous copies, which Triton makes of these loads, would bypass it.
    return tl.load(x + index, mask=inside, other=0.0, cache_modifier='.ca').to(tl.float32)


@triton.jit
def _columns(x, top, left, down, right, scale, channel, height, width, channels: tl.constexpr, end):
    """Samples (block_p, block_c) times `scale`, float32: a tile of the im2col matrix."""
    up, back = (1.0 - down) * scale, 1.0 - right
    down = down * scale
    bottom, far = top + 1, left + 1
    a = _corner_values(x, top, left, channel, height, width, channels, end)
    b = _corner_values(x, top, far, channel, height, width, channels, end)
    c = _corner_values(x, bottom, left, channel, height, width, channels, end)
    d = _corner_values(x, bottom, far, channel, height, width, channels, end)
    a = a * (up * back)[:, None] + b * (up * right)[:, None]
    return a + c * (down * back)[:, None] + d * (down * right)[:, None]


@triton.jit
def _product(a, b, sums):
    """sums + a @ b, accumulated in float32."""
    if _INTERPRETED:
        # The interpreter reads the bits of bfloat16 as integers.
        a, b = a.to(tl.float32), b.to(tl.float32)
    # TF32, Triton's default for float32, keeps 10 fraction bits, but a fused network must equal the
    # unfused one to 1e-5. Products in half precision ignore the option.
    return tl.dot(a, b, sums, input_precision='ieee')


@triton.jit
def _tile_of_pixels(index, out_pixels, block_p: tl.constexpr):
    """Tile `index` of a batch: its image and its pixels."""
    tiles = tl.cdiv(out_pixels, block_p)
    return (index // tiles).to(tl.int64), index % tiles * block_p + tl.arange(0, block_p)


@triton.jit(do_not_specialize=SIZES)
def forward_kernel(
    x, offset, mask, weight, bias, y,
    offset_image, offset_channel, offset_pixel, mask_image, mask_k, mask_pixel,
    height, width, out_width, out_pixels, images, magnitude,
    channels: tl.constexpr, filters: tl.constexpr, window: tl.constexpr,
    part_channels: tl.constexpr, has_bias: tl.constexpr,
    block_c: tl.constexpr, block_p: tl.constexpr, block_d: tl.constexpr,
):  # fmt: skip
    """y(p) = bias + sum_k m_k W_k . X(sample k), for one tile of pixels and of filters.

    With `part_channels` < `channels`, program axis 2 walks over parts of the channels, and y is
    float32 (parts, N, H', W', D), for `sum_parts_kernel`.
    """
    image, pixel = _tile_of_pixels(tl.program_id(0), out_pixels, block_p)
    filter_ = tl.program_id(1) * block_d + tl.arange(0, block_d)
    first = tl.program_id(2) * part_channels
    end = tl.minimum(first + part_channels, channels)
    x += image * height * width * channels
    offset += image * offset_image
    mask += image * mask_image

    sums = tl.zeros((block_p, block_d), dtype=tl.float32)
    for k in range(window.size):
        top, left, down, right, scale = _locate(
            offset, mask, k, pixel,
            offset_channel, offset_pixel, mask_k, mask_pixel,
            height, width, out_width, out_pixels, window,
        )  # fmt: skip
        for block in range(tl.cdiv(part_channels, block_c)):
            channel = first + block * block_c + tl.arange(0, block_c)
            columns = _columns(
                x, top, left, down, right, scale, channel, height, width, channels, end
            )
            index = (filter_ * (window.size * channels))[None, :]
            index += (k * channels + channel)[:, None]
            inside = (channel < end)[:, None] & (filter_ < filters)[None, :]
            weights = tl.load(weight + index, mask=inside, other=0.0)  # (block_c, block_d)
            sums = _product(columns.to(weights.dtype), weights, sums)

    inside = (pixel < out_pixels)[:, None] & (filter_ < filters)[None, :]
    if part_channels < channels:
        y += tl.program_id(2).to(tl.int64) * images * out_pixels * filters
    elif has_bias:
        added = tl.load(bias + filter_, mask=filter_ < filters, other=0.0)
        sums += added.to(tl.float32)[None, :]
    y += image * out_pixels * filters
    index = pixel.to(tl.int64)[:, None] * filters + filter_[None, :]
    tl.store(y + index, sums.to(y.dtype.element_ty), mask=inside)


@triton.jit
def sum_parts_kernel(
    parts, bias, y, size,
    filters: tl.constexpr, count: tl.constexpr, has_bias: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """y (size) = bias + sum of parts (count, size), always in the same order; size = ... * D."""
    index = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = index < size
    total = tl.zeros((block,), dtype=tl.float32)
    for part in tl.static_range(count):
        total += tl.load(parts + part * size + index, mask=inside, other=0.0)
    if has_bias:
        total += tl.load(bias + index % filters, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + index, total.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _scatter(grad_x, row, column, channel, height, width, channels: tl.constexpr, values):
    """Add (block_p, block_c) to one corner of every sample; nothing outside."""
    index, inside = _corner(row, column, channel, height, width, channels, channels)
    # Relaxed: only the sum matters, and the end of the kernel orders it with what follows.
    tl.atomic_add(grad_x + index, values, mask=inside, sem='relaxed')


@triton.jit(do_not_specialize=SIZES)
def input_gradients_kernel(
    grad, x, offset, mask, weight, grad_x, grad_offset, grad_mask,
    offset_image, offset_channel, offset_pixel, mask_image, mask_k, mask_pixel,
    height, width, out_width, out_pixels, images, magnitude,
    channels: tl.constexpr, filters: tl.constexpr, window: tl.constexpr,
    block_c: tl.constexpr, block_d: tl.constexpr, block_p: tl.constexpr,
):  # fmt: skip
    """Gradients of x, offset and mask, for one kernel position and one tile of pixels.

    `grad_x` is float32 and holds zeros: samples overlap, so programs add to it atomically.
    """
    image, pixel = _tile_of_pixels(tl.program_id(0), out_pixels, block_p)
    k = tl.program_id(1)
    grad += image * out_pixels * filters
    x += image * height * width * channels
    grad_x += image * height * width * channels
    top, left, down, right, scale = _locate(
        offset + image * offset_image, mask + image * mask_image, k, pixel,
        offset_channel, offset_pixel, mask_k, mask_pixel,
        height, width, out_width, out_pixels, window,
    )  # fmt: skip
    exists = pixel < out_pixels
    up, back, bottom, far = 1.0 - down, 1.0 - right, top + 1, left + 1

    to_mask = tl.zeros((block_p,), dtype=tl.float32)
    to_y = tl.zeros((block_p,), dtype=tl.float32)
    to_x = tl.zeros((block_p,), dtype=tl.float32)
    for block in range(tl.cdiv(channels, block_c)):
        channel = block * block_c + tl.arange(0, block_c)
        columns = tl.zeros((block_p, block_c), dtype=tl.float32)  # gradient of the columns
        for step in range(tl.cdiv(filters, block_d)):
            filter_ = step * block_d + tl.arange(0, block_d)
            index = pixel.to(tl.int64)[:, None] * filters + filter_[None, :]
            inside = exists[:, None] & (filter_ < filters)[None, :]
            grads = tl.load(grad + index, mask=inside, other=0.0)
            index = (filter_ * (window.size * channels))[:, None]
            index += (k * channels + channel)[None, :]
            inside = (filter_ < filters)[:, None] & (channel < channels)[None, :]
            weights = tl.load(weight + index, mask=inside, other=0.0)  # (block_d, block_c)
            columns = _product(grads, weights, columns)

        a = _corner_values(x, top, left, channel, height, width, channels, channels)
        b = _corner_values(x, top, far, channel, height, width, channels, channels)
        c = _corner_values(x, bottom, left, channel, height, width, channels, channels)
        d = _corner_values(x, bottom, far, channel, height, width, channels, channels)
        above = a * back[:, None] + b * right[:, None]
        below = c * back[:, None] + d * right[:, None]
        to_mask += tl.sum(columns * (above * up[:, None] + below * down[:, None]), 1)
        to_y += tl.sum(columns * (below - above), 1)
        to_x += tl.sum(columns * ((b - a) * up[:, None] + (d - c) * down[:, None]), 1)

        columns = columns * scale[:, None]
        a = columns * (up * back)[:, None]
        b = columns * (up * right)[:, None]
        c = columns * (down * back)[:, None]
        d = columns * (down * right)[:, None]
        _scatter(grad_x, top, left, channel, height, width, channels, a)
        _scatter(grad_x, top, far, channel, height, width, channels, b)
        _scatter(grad_x, bottom, left, channel, height, width, channels, c)
        _scatter(grad_x, bottom, far, channel, height, width, channels, d)

    first = (image * window.size + k) * out_pixels
    grad_mask += first + pixel
    tl.store(grad_mask, to_mask.to(grad_mask.dtype.element_ty), mask=exists)
    grad_offset += 2 * first + pixel
    to_y, to_x = to_y * scale, to_x * scale
    tl.store(grad_offset, to_y.to(grad_offset.dtype.element_ty), mask=exists)
    tl.store(grad_offset + out_pixels, to_x.to(grad_offset.dtype.element_ty), mask=exists)


@triton.jit(do_not_specialize=SIZES)
def weight_gradient_kernel(
    grad, x, offset, mask, parts,
    offset_image, offset_channel, offset_pixel, mask_image, mask_k, mask_pixel,
    height, width, out_width, out_pixels, images, magnitude,
    channels: tl.constexpr, filters: tl.constexpr, window: tl.constexpr,
    block_c: tl.constexpr, block_d: tl.constexpr, block_p: tl.constexpr,
):  # fmt: skip
    """Gradient (block_d, block_c) of the weight at one k, over one part of all pixels.

    `parts` is float32 (parts, D, K, C), to be summed: a fixed order, unlike atomic additions.
    """
    k = tl.program_id(0)
    blocks = tl.cdiv(channels, block_c)
    channel = tl.program_id(1) % blocks * block_c + tl.arange(0, block_c)
    filter_ = tl.program_id(1) // blocks * block_d + tl.arange(0, block_d)
    tiles = tl.cdiv(out_pixels, block_p) * images
    share = tl.cdiv(tiles, tl.num_programs(2))
    first = tl.program_id(2) * share

    sums = tl.zeros((block_d, block_c), dtype=tl.float32)
    for tile in range(first, tl.minimum(first + share, tiles)):
        image, pixel = _tile_of_pixels(tile, out_pixels, block_p)
        top, left, down, right, scale = _locate(
            offset + image * offset_image, mask + image * mask_image, k, pixel,
            offset_channel, offset_pixel, mask_k, mask_pixel,
            height, width, out_width, out_pixels, window,
        )  # fmt: skip
        columns = _columns(
            x + image * height * width * channels, top, left, down, right, scale, channel,
            height, width, channels, channels,
        )  # fmt: skip
        index = pixel.to(tl.int64)[None, :] * filters + filter_[:, None]
        inside = (filter_ < filters)[:, None] & (pixel < out_pixels)[None, :]
        grads = tl.load(grad + image * out_pixels * filters + index, mask=inside, other=0.0)
        # (block_d, block_p) times (block_p, block_c)
        sums = _product(grads, columns.to(grads.dtype), sums)

    index = (filter_ * (window.size * channels))[:, None] + (k * channels + channel)[None, :]
    inside = (filter_ < filters)[:, None] & (channel < channels)[None, :]
    parts += tl.program_id(2).to(tl.int64) * filters * window.size * channels
    tl.store(parts + index, sums, mask=inside)
