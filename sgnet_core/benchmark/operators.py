# SPDX-License-Identifier: Apache-2.0
"""The operator alone, given offsets and mask, at every S-Conv of a network.

What it is compared with: the plain convolution of the same shape, and other ways to compute the
same thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.benchmark.im2col import im2col_deform_conv2d
from sgnet_core.benchmark.plan import BACKENDS, Plan
from sgnet_core.benchmark.results import Key
from sgnet_core.benchmark.sensor import Size, network_size
from sgnet_core.device import PRECISIONS
from sgnet_core.errors import InputError
from sgnet_core.model.deform_conv import modulated_deform_conv2d
from sgnet_core.model.deform_conv_reference import forward as reference_forward
from sgnet_core.model.sconv import Geometry, SConv2d
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig

Call = Callable[[], object]

OFFSET_STD = 1.5
"""Spread of the random offsets, pixels: zero offsets would be kinder to caches than real ones."""

OURS, PLAIN, REFERENCE, IM2COL = 'sgnet', 'conv2d', 'reference', 'im2col'
ONNXRUNTIME, TORCHVISION, TRITON = 'onnxruntime', 'torchvision', 'triton'
LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}


class NotAvailable(Exception):  # noqa: N818 - nothing is wrong with it
    """A way to compute the operator that does not exist here; the message says why."""


@dataclass(frozen=True)
class Position:
    """One S-Conv of a network at one input size.

    Attributes:
        name: in the network, as `SGNet.sconv_positions` gives it.
        x_shape: (C, H, W) of its input.
        weight_shape: (D, C, kernel height, kernel width).
        window: `stride`, `padding`, `dilation`.
    """

    variant: str
    name: str
    x_shape: tuple[int, int, int]
    weight_shape: tuple[int, int, int, int]
    window: dict[str, int]

    @property
    def shape(self) -> tuple:
        """What decides about its cost."""
        return self.x_shape, self.weight_shape, tuple(self.window.values())

    @property
    def out_size(self) -> Size:
        """(H', W')."""
        stride, padding, dilation = (self.window[k] for k in ('stride', 'padding', 'dilation'))
        height, width = (
            (length + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
            for length, taps in zip(self.x_shape[1:], self.weight_shape[2:], strict=True)
        )
        return height, width

    def as_json(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Position:
        shapes = {name: tuple(values[name]) for name in ('x_shape', 'weight_shape')}
        return cls(**{**values, **shapes})

    def details(self, layout: str) -> dict[str, Any]:
        """What a row says of it."""
        return {
            'layout': layout,
            'x': list(self.x_shape),
            'weight': list(self.weight_shape),
            **self.window,
        }


@dataclass(frozen=True)
class Inputs:
    """Arguments of the operator, channels last as the networks hand them over."""

    x: Tensor
    offset: Tensor
    mask: Tensor
    weight: Tensor
    window: dict[str, int]


def positions(variant: str, size: Size) -> list[Position]:
    """The S-Convs of a variant for frames of `size` (height, width), nothing being computed."""
    with torch.device('meta'), torch.no_grad():
        network = SGNet(SGNetConfig(variant)).eval()
        names = {network.get_submodule(name): name for name in network.sconv_positions()}
        channels = SPATIAL_CHANNELS[network.config.spatial]
        found: list[Position] = []

        def note(conv: SConv2d, x: Tensor) -> Geometry:
            shapes = tuple(x.shape[1:]), tuple(conv.weight.shape)
            found.append(Position(variant, names[conv], *shapes, dict(conv.window)))
            return conv.geometry(torch.empty(1, channels, *x.shape[2:]))

        network.guided_forward(torch.empty(1, 3, *network_size(size)), note)
    return found


def positions_of_all(variants: tuple[str, ...], size: Size) -> list[Position]:
    """All positions of the first variant, and those of the others that have other shapes."""
    first, *others = (positions(variant, size) for variant in variants)
    shapes = {position.shape for position in first}
    return first + [p for listed in others for p in listed if p.shape not in shapes]


def row_key(position: Position, backend: str, precision: str, size: Size) -> Key:
    """Of the row that has the time of one contender."""
    return Key('operator', position.name, backend, precision, f'{size[0]}x{size[1]}')


def random_inputs(position: Position, device: str, precision: str) -> Inputs:
    """The same every time: features, offsets of some pixels, masks between 0 and 1."""
    generator = torch.Generator().manual_seed(7)
    d, c, kernel_h, kernel_w = position.weight_shape
    taps = kernel_h * kernel_w
    out = position.out_size
    x = torch.randn(1, *position.x_shape, generator=generator)
    offset = OFFSET_STD * torch.randn(1, 2 * taps, *out, generator=generator)
    mask = torch.rand(1, taps, *out, generator=generator)
    weight = torch.randn(d, c, kernel_h, kernel_w, generator=generator) / (c * taps) ** 0.5
    x, weight = (
        tensor.to(device, PRECISIONS[precision]).contiguous(memory_format=torch.channels_last)
        for tensor in (x, weight)
    )
    return Inputs(x, offset.to(device), mask.to(device), weight, position.window)


def wanted_backends(plan: Plan, precision: str) -> tuple[str, ...]:
    """What competes: everything in the first precision, else only what the targets are about."""
    if precision != plan.precisions[0]:
        return (OURS, PLAIN, TORCHVISION, TRITON)
    everything = (OURS, PLAIN, *_OTHERS)
    left_out = set(BACKENDS) - set(plan.backends)
    return tuple(backend for backend in everything if backend not in left_out)


def contenders(
    inputs: Inputs, wanted: tuple[str, ...]
) -> tuple[dict[tuple[str, str], Call], dict[str, str]]:
    """Ways to compute one position: ({(backend, layout): call}, {backend: why there is none}).

    The plain convolution comes in both memory layouts, for the faster one to count.
    """
    calls: dict[tuple[str, str], Call] = {
        (OURS, 'channels_last'): lambda: modulated_deform_conv2d(
            inputs.x, inputs.offset, inputs.mask, inputs.weight, **inputs.window
        )
    }
    for layout, memory_format in LAYOUTS.items():
        calls[PLAIN, layout] = _plain(inputs, memory_format)
    missing: dict[str, str] = {}
    for backend, (layout, prepare) in _OTHERS.items():
        if backend not in wanted:
            continue
        try:
            calls[backend, layout] = prepare(inputs)
        except NotAvailable as reason:
            missing[backend] = str(reason)
    return calls, missing


def _plain(inputs: Inputs, memory_format: torch.memory_format) -> Call:
    x, weight = (t.contiguous(memory_format=memory_format) for t in (inputs.x, inputs.weight))
    return lambda: F.conv2d(x, weight, None, **inputs.window)


def _reference(inputs: Inputs) -> Call:
    x, weight = inputs.x.contiguous(), inputs.weight.contiguous()
    window = [(value, value) for value in inputs.window.values()]
    return lambda: reference_forward(x, inputs.offset, inputs.mask, weight, None, *window)


def _im2col(inputs: Inputs) -> Call:
    x, weight = inputs.x.contiguous(), inputs.weight.contiguous()
    return lambda: im2col_deform_conv2d(x, inputs.offset, inputs.mask, weight, **inputs.window)


def _torchvision(inputs: Inputs) -> Call:
    try:
        from torchvision.ops import deform_conv2d
    # A wheel for another build of torch fails on loading its library.
    except (ImportError, RuntimeError, OSError) as error:
        reason = f'torchvision cannot be loaded here ({error})'
        missing = isinstance(error, ModuleNotFoundError)
        raise NotAvailable('torchvision is not installed' if missing else reason) from error
    x, weight = inputs.x.contiguous(), inputs.weight.contiguous()
    if x.dtype == torch.bfloat16:
        raise NotAvailable("torchvision's deform_conv2d has no bf16")
    # It wants one dtype for everything, coordinates included.
    offset, mask = inputs.offset.to(x.dtype), inputs.mask.to(x.dtype)
    return lambda: deform_conv2d(x, offset, weight, mask=mask, **inputs.window)


def _onnxruntime(inputs: Inputs) -> Call:
    if inputs.x.dtype != torch.float32 or inputs.x.is_cuda:
        raise NotAvailable("ONNX Runtime's DeformConv is measured in fp32 on a CPU")
    try:
        from sgnet_core.benchmark.onnx_operator import deform_conv_call
    except ImportError as error:
        raise NotAvailable(f'{error.name} is not installed') from error
    try:
        return deform_conv_call(inputs)
    except InputError as error:
        raise NotAvailable(str(error)) from error


def _triton(inputs: Inputs) -> Call:
    if not inputs.x.is_cuda:
        raise NotAvailable('no CUDA device')
    try:
        from sgnet_core.model.deform_conv_triton import forward
    except ImportError as error:
        raise NotAvailable(f'Triton cannot be loaded here ({error})') from error
    window = [(value, value) for value in inputs.window.values()]
    arguments = inputs.x, inputs.offset, inputs.mask, inputs.weight, None
    return lambda: forward(*arguments, *window)


_OTHERS = {
    REFERENCE: ('contiguous', _reference),
    IM2COL: ('contiguous', _im2col),
    ONNXRUNTIME: ('contiguous', _onnxruntime),
    TORCHVISION: ('contiguous', _torchvision),
    TRITON: ('channels_last', _triton),
}
"""Backend -> its memory layout, and what makes a call of it or raises `NotAvailable`."""
