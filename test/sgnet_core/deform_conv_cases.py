# SPDX-License-Identifier: Apache-2.0
"""Inputs of the deformable convolution, in several layouts, and where its kernels can run."""

from typing import NamedTuple

import torch
from torch import Tensor

from sgnet_core.ops import deform_conv_reference

Pair = tuple[int, int]

TOLERANCE = {torch.float32: 5e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


class Case(NamedTuple):
    """Never square, never a multiple of a tile."""

    channels: int
    filters: int
    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def window(self) -> tuple[Pair, Pair, Pair]:
        return self.stride, self.padding, self.dilation

    def inputs(self, dtype: torch.dtype, batch: int = 2, spread: float = 1.5) -> list[Tensor]:
        """x, offset, mask, weight and bias; the offset and the mask in float32 whatever `dtype`."""
        generator = torch.Generator().manual_seed(3)

        def draw(*shape):
            return torch.randn(*shape, generator=generator)

        positions = self.kernel[0] * self.kernel[1]
        shape = (batch, positions, *self.out_size)
        weight = draw(self.filters, self.channels, *self.kernel) / self.channels**0.5
        x, bias = draw(batch, self.channels, *self.size), draw(self.filters)
        # Sums with pixel numbers are exact in float32, and never whole: there the gradient jumps.
        offset = (draw(batch, 2 * positions, *self.out_size) * spread * 64).floor() / 64 + 1 / 128
        return [x.to(dtype), offset, draw(*shape).sigmoid(), weight.to(dtype), bias.to(dtype)]

    def grad(self, dtype: torch.dtype, batch: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        return torch.randn(batch, self.filters, *self.out_size, generator=generator).to(dtype)

    @property
    def out_size(self) -> Pair:
        return tuple(
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, padding, dilation in zip(
                self.size, self.kernel, *self.window, strict=True
            )
        )


# Small: the interpreter takes a millisecond for an operation, and a tile of it is 16 x 16.
CASES = {
    'channels in two parts': Case(70, 9, (3, 7), (1, 2)),
    'strided and dilated': Case(17, 21, (5, 6), (3, 2), (2, 1), (1, 0), (1, 2)),
    'few channels': Case(3, 7, (3, 7), (3, 3), padding=(1, 1)),
    'small': Case(19, 5, (3, 4), (2, 1)),
    'one column': Case(3, 5, (7, 1), (3, 1)),
    'one row': Case(3, 5, (1, 7), (1, 3)),
}


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def channels_of_a_wider_map(tensor: Tensor) -> Tensor:
    """Pixels evenly spaced, channels not all; NaN on both sides."""
    if tensor.ndim != 4:
        return tensor
    n, c, h, w = tensor.shape
    wider = tensor.new_full((n, h, w, c + 3), torch.nan).permute(0, 3, 1, 2)
    return wider[:, 2:-1].copy_(tensor)


def crop_of_a_larger_map(tensor: Tensor) -> Tensor:
    if tensor.ndim != 4:
        return tensor
    n, c, h, w = tensor.shape
    return tensor.new_full((n, c, h + 2, w + 3), torch.nan)[..., 1:-1, 2:-1].copy_(tensor)


def images_of_a_larger_batch(tensor: Tensor) -> Tensor:
    """Channels-last images that need no copy, with NaN before the first and after the last."""
    larger = tensor.new_full((tensor.shape[0] + 2, *tensor.shape[1:]), torch.nan)
    return channels_last(larger)[1:-1].copy_(tensor)


def columns_before_rows(tensor: Tensor) -> Tensor:
    """A transposed map: a single column is contiguous to PyTorch, and has an odd last stride."""
    if tensor.ndim != 4:
        return tensor
    n, c, h, w = tensor.shape
    return tensor.new_full((n + 2, c, w, h), torch.nan).transpose(2, 3)[1:-1].copy_(tensor)


LAYOUTS = {
    function.__name__: function
    for function in (
        torch.Tensor.contiguous,
        channels_last,
        channels_of_a_wider_map,
        crop_of_a_larger_map,
        images_of_a_larger_batch,
        columns_before_rows,
    )
}


def call_triton(
    name: str, case: Case, inputs: list[Tensor | None], layout: str, device: str
) -> list[Tensor]:
    """What `forward` or `backward` of the kernels gives, in this process, of inputs so laid out."""
    from sgnet_core.ops import deform_conv_triton

    inputs = [None if tensor is None else LAYOUTS[layout](tensor.to(device)) for tensor in inputs]
    results = getattr(deform_conv_triton, name)(*inputs, *case.window)
    return [result.cpu() for result in ([results] if name == 'forward' else results)]


def call_reference(name: str, case: Case, inputs: list[Tensor | None]) -> list[Tensor]:
    """The same in float64 and plain PyTorch."""
    inputs = [None if tensor is None else tensor.double() for tensor in inputs]
    results = getattr(deform_conv_reference, name)(*inputs, *case.window)
    return [results] if name == 'forward' else list(results)


def assert_close(results: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    for result, right in zip(results, expected, strict=True):
        tolerance = TOLERANCE[dtype]
        largest = right.abs().max().item() if right.numel() else 0.0
        torch.testing.assert_close(result.double(), right, rtol=tolerance, atol=tolerance * largest)
