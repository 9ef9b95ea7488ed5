# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolution on a GPU: gather, modulation and matrix product in one kernel.

The two functions are those of `deform_conv_reference`, except that y is channels last and that the
gradient of x is summed in float32 in an order that changes from run to run.

A channels-last x and weight are not copied: put the network into that memory format.

The first call for a size compiles variants of a kernel and keeps the fastest; Triton caches both on
disk. A CUDA graph cannot capture these measurements: call once before the capture. Nothing else
synchronises with the GPU.

With TRITON_INTERPRET=1, set before Triton is imported, the kernels run on CPU tensors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from sgnet_core.ops.deform_conv_triton_autotune import (
    WIDEST_BLOCK,
    tuned_forward,
    tuned_input_gradients,
    tuned_weight_gradient,
)
from sgnet_core.ops.deform_conv_triton_kernels import Window, sum_parts_kernel

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Dtypes of x; offset and mask may have any floating-point dtype."""

_PROCESSORS_OF_H200 = 132

if torch.cuda.is_available() and not triton.knobs.runtime.interpret:
    try:
        # Builds the launcher of kernels with a C compiler, unless it is cached.
        triton.runtime.driver.active.get_current_target()
    except Exception as error:  # no compiler, a wrong CC, no Python.h, no libcuda, ...
        raise ImportError(
            f'Triton {triton.__version__} cannot build the launcher of its kernels ({error}): '
            'install gcc and the headers of Python, or set CC to a C compiler'
        ) from error


def forward(x, offset, mask, weight, bias, stride, padding, dilation) -> Tensor:
    """As the reference; weight and bias in the dtype of x, one of `DTYPES`. y is channels last."""
    call = _Call.of(x, offset, mask, weight, stride, padding, dilation)
    y = x.new_empty(x.shape[0], *offset.shape[2:], weight.shape[0])
    if y.numel():
        with torch.cuda.device_of(x):
            _forward(call, bias, y)
    return y.permute(0, 3, 1, 2)


def backward(grad, x, offset, mask, weight, stride, padding, dilation) -> tuple[Tensor, ...]:
    """As the reference: gradients of x (channels last), offset, mask and weight."""
    inputs = (x, offset, mask, weight)
    if not grad.numel():
        return tuple(torch.zeros_like(tensor) for tensor in inputs)
    call = _Call.of(*inputs, stride, padding, dilation)
    grad = grad.permute(0, 2, 3, 1).contiguous()
    with torch.cuda.device_of(x):
        gradients = (*_input_gradients(call, grad), _weight_gradient(call, grad))
    return tuple(
        gradient.to(tensor.dtype) for gradient, tensor in zip(gradients, inputs, strict=True)
    )


class _Call(NamedTuple):
    """Arguments of the kernels: tensors in their layout, strides, sizes, compile-time constants."""

    x: Tensor  # (N, H, W, C)
    offset: Tensor  # (N, 2K, H'W')
    mask: Tensor  # (N, K, H'W')
    weight: Tensor  # (D, kernel height, kernel width, C)
    sizes: tuple[int, ...]
    constants: dict[str, Any]

    @classmethod
    def of(cls, x, offset, mask, weight, stride, padding, dilation) -> _Call:
        x, weight = (tensor.permute(0, 2, 3, 1).contiguous() for tensor in (x, weight))
        filters, kernel_height, kernel_width, channels = weight.shape
        out_width = mask.shape[3]
        # `flatten` copies if the pixels of a channel are not evenly spaced. Without it the step
        # between pixels is unknown: the stride of an axis of one pixel is arbitrary.
        offset, mask = offset.flatten(2), mask.flatten(2)
        images, _, out_pixels = mask.shape
        # The tuner runs again when the work doubles, not for every size.
        magnitude = (images * out_pixels).bit_length()
        strides = (t.stride(axis) for t in (offset, mask) for axis in (0, 1, 2))
        sizes = (*strides, *x.shape[1:3], out_width, out_pixels, images, magnitude)
        window = Window(kernel_height * kernel_width, kernel_width, *stride, *padding, *dilation)
        constants = {'channels': channels, 'filters': filters, 'window': window}
        return cls(x, offset, mask, weight, sizes, constants)

    def tiles(self, block_p: int) -> int:
        """Number of tiles of pixels; no tile spans two images."""
        images, _, pixels = self.mask.shape
        return images * triton.cdiv(pixels, block_p)

    def block(self, axis: str, half: int, single: int) -> int:
        """Channels or filters per step of a program, at most `half` or `single` by precision."""
        largest = single if self.x.dtype == torch.float32 else half
        # Both sides of a product must be at least 16.
        return min(max(triton.next_power_of_2(self.constants[axis]), 16), largest)

    @property
    def processors(self) -> int:
        if not self.x.is_cuda:
            return _PROCESSORS_OF_H200
        return torch.cuda.get_device_properties(self.x.device).multi_processor_count


def _forward(call: _Call, bias: Tensor | None, y: Tensor) -> None:
    """Fills y (N, H', W', D)."""
    channels, filters = call.constants['channels'], call.constants['filters']
    # If pixels are too few to occupy the GPU, programs share the channels, at least 64 each.
    programs = call.tiles(64) * triton.cdiv(filters, WIDEST_BLOCK)
    blocks = triton.cdiv(channels, 64)
    blocks_of_part = triton.cdiv(blocks, triton.cdiv(call.processors, programs))
    parts = triton.cdiv(blocks, blocks_of_part)
    sums = y if parts == 1 else y.new_empty(parts, *y.shape, dtype=torch.float32)
    has_bias = bias is not None

    def grid(meta):
        return call.tiles(meta['block_p']), triton.cdiv(filters, meta['block_d']), parts

    tuned_forward[grid](
        call.x, call.offset, call.mask, call.weight, bias, sums, *call.sizes, **call.constants,
        part_channels=min(blocks_of_part * 64, channels), has_bias=has_bias,
        block_c=call.block('channels', half=64, single=16),
    )  # fmt: skip
    if parts > 1:
        block = 1024
        sum_parts_kernel[(triton.cdiv(y.numel(), block),)](
            sums, bias, y, y.numel(),
            filters=filters, count=parts, has_bias=has_bias, block=block,
        )  # fmt: skip


def _input_gradients(call: _Call, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (N, C, H, W) in float32, of offset and of mask; grad is (N, H', W', D)."""
    grad_x = torch.zeros_like(call.x, dtype=torch.float32)
    grad_offset = torch.empty_like(call.offset, memory_format=torch.contiguous_format)
    grad_mask = torch.empty_like(call.mask, memory_format=torch.contiguous_format)

    def grid(meta):
        return call.tiles(meta['block_p']), call.constants['window'].size

    tuned_input_gradients[grid](
        grad, call.x, call.offset, call.mask, call.weight, grad_x, grad_offset, grad_mask,
        *call.sizes, **call.constants,
        block_c=call.block('channels', half=32, single=16),
        block_d=call.block('filters', half=64, single=16),
    )  # fmt: skip
    grad_offset, grad_mask = (t.unflatten(2, grad.shape[1:3]) for t in (grad_offset, grad_mask))
    return grad_x.permute(0, 3, 1, 2), grad_offset, grad_mask


def _weight_gradient(call: _Call, grad: Tensor) -> Tensor:
    """Gradient of weight (D, C, kernel height, kernel width) in float32."""
    block_c = call.block('channels', half=64, single=32)
    block_d = call.block('filters', half=64, single=64)
    blocks = triton.cdiv(call.constants['channels'], block_c)
    blocks *= triton.cdiv(call.constants['filters'], block_d)
    kernel_size = call.constants['window'].size
    # Two programs per processor: one computes while the other waits.
    parts = min(triton.cdiv(2 * call.processors, kernel_size * blocks), call.tiles(64))
    sums = grad.new_empty(parts, *call.weight.shape, dtype=torch.float32)
    tuned_weight_gradient[(kernel_size, blocks, parts)](
        grad, call.x, call.offset, call.mask, sums, *call.sizes, **call.constants,
        block_c=block_c, block_d=block_d,
    )  # fmt: skip
    return sums.sum(0).permute(0, 3, 1, 2)
