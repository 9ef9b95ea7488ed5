# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the S-Conv operator alone, offsets and masks given.

It is compared with the plain convolution of the same shape and with other implementations of the
same operator, at every S-Conv of sgnet_r50.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import study
import torch.nn.functional as F
from torch import Tensor
from im2col import im2col_deform_conv2d
from tqdm import tqdm

from sgnet_core.benchmark.memory_process import in_fresh_process, peak_mb
from sgnet_core.benchmark.networks import OFFSET_STD
from sgnet_core.benchmark.synthetic_frames import Size, network_size
from sgnet_core.model.sconv import Geometry, SConv2d
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig
from sgnet_core.ops.deform_conv import modulated_deform_conv2d
from sgnet_core.ops.deform_conv_reference import forward as reference_forward

VARIANT = 'sgnet_r50'
OURS, PLAIN = 'sgnet', 'conv2d'

Call = Callable[[], object]


@dataclass(frozen=True)
class Position:
    """One S-Conv of a network at one input size.

    Attributes:
        name: as in `SGNet.sconv_positions`.
        x_shape: (C, H, W) of its input.
        weight_shape: (D, C, kernel height, kernel width).
        window: `stride`, `padding`, `dilation`.
    """

    name: str
    x_shape: tuple[int, int, int]
    weight_shape: tuple[int, int, int, int]
    window: dict[str, int]

    @property
    def out_size(self) -> Size:
        """(H', W')."""
        stride, padding, dilation = (self.window[k] for k in ('stride', 'padding', 'dilation'))
        height, width = (
            (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel in zip(self.x_shape[1:], self.weight_shape[2:], strict=True)
        )
        return height, width


@dataclass(frozen=True)
class Inputs:
    """Arguments of the operator, channels last as in the networks."""

    x: Tensor
    offset: Tensor
    mask: Tensor
    weight: Tensor
    window: dict[str, int]

    def contiguous(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.x.contiguous(), self.offset, self.mask, self.weight.contiguous()


def positions(variant: str, size: Size) -> list[Position]:
    """The S-Convs of a variant for frames of `size` (height, width); nothing is computed."""
    with torch.device('meta'), torch.no_grad():
        network = SGNet(SGNetConfig(variant)).eval()
        names = {network.get_submodule(name): name for name in network.sconv_positions()}
        channels = SPATIAL_CHANNELS[network.config.spatial]
        found: list[Position] = []

        def note(conv: SConv2d, x: Tensor) -> Geometry:
            shapes = tuple(x.shape[1:]), tuple(conv.weight.shape)
            found.append(Position(names[conv], *shapes, dict(conv.window)))
            return conv.geometry(torch.empty(1, channels, *x.shape[2:]))

        network.guided_forward(torch.empty(1, 3, *network_size(size)), note)
    return found


def random_inputs(position: Position, device: str) -> Inputs:
    """Features, offsets of some pixels, masks between 0 and 1; equal in every call."""
    generator = torch.Generator().manual_seed(7)
    d, c, kernel_h, kernel_w = position.weight_shape
    k, out = kernel_h * kernel_w, position.out_size
    x = torch.randn(1, *position.x_shape, generator=generator)
    # Zero offsets would need less memory traffic than real ones.
    offset = OFFSET_STD * torch.randn(1, 2 * k, *out, generator=generator)
    mask = torch.rand(1, k, *out, generator=generator)
    weight = torch.randn(d, c, kernel_h, kernel_w, generator=generator) / (c * k) ** 0.5
    # The networks run in half precision on a GPU.
    dtype = torch.float32 if device == 'cpu' else torch.float16
    x, weight = (t.to(device, dtype, memory_format=torch.channels_last) for t in (x, weight))
    return Inputs(x, offset.to(device), mask.to(device), weight, position.window)


def calls_at(inputs: Inputs) -> tuple[dict[str, Call], dict[str, str]]:
    """Backend -> call of the operator, and backend -> reason of those that do not exist here."""
    calls = {
        OURS: lambda: modulated_deform_conv2d(
            inputs.x, inputs.offset, inputs.mask, inputs.weight, **inputs.window
        ),
        PLAIN: lambda: F.conv2d(inputs.x, inputs.weight, None, **inputs.window),
        f'{PLAIN} contiguous': _contiguous_conv2d(inputs),
    }
    missing: dict[str, str] = {}
    for backend, prepare in BASELINES.items():
        try:
            calls[backend] = prepare(inputs)
        # A torchvision wheel for another build of torch fails while it loads its library.
        except (ImportError, RuntimeError, OSError) as error:
            missing[backend] = str(error)
    return calls, missing


def memory_at(position: Position, device: str) -> dict[str, float | None]:
    """Backend -> peak memory of one call above its inputs, 10^6 bytes."""
    calls, _ = calls_at(random_inputs(position, device))
    # It keeps its buffers between calls.
    calls.pop('onnxruntime', None)
    for call in calls.values():
        call()
    return {backend: peak_mb(call, device) for backend, call in calls.items()}


def measure(position: Position, device: str, seconds: float) -> tuple[list[study.Row], dict]:
    """The rows of one position; of the two layouts of the plain convolution the faster one."""
    # fp32 as fp32: the product of our operator does not round to TF32 either.
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with torch.inference_mode(), cudnn:
        calls, missing = calls_at(random_inputs(position, device))
        times, problems = study.time_by_turns(calls, device, seconds)
    peaks = (
        in_fresh_process(memory_at, position, device)
        if device == 'cpu'
        else memory_at(position, device)
    )
    if sum(times[f'{PLAIN} contiguous']) < sum(times[PLAIN]):
        times[PLAIN], peaks[PLAIN] = (of[f'{PLAIN} contiguous'] for of in (times, peaks))
    del times[f'{PLAIN} contiguous']
    rows = [
        study.row(ms, peaks.get(backend), position=position.name, backend=backend)
        for backend, ms in times.items()
    ]
    return rows, missing | problems


def main() -> None:
    args = study.start(study.options(__doc__))
    found = positions(VARIANT, args.size)
    rows, missing = [], {}
    for position in tqdm(found, 'positions', disable=None):
        of_position, problems = measure(position, args.device, args.seconds / 6)
        rows += of_position
        missing |= problems
    sums: dict[str, float] = {}
    for one in rows:
        sums[one['backend']] = sums.get(one['backend'], 0.0) + one['median_ms']
    ratios = {f'{backend}_over_{OURS}': ms / sums[OURS] for backend, ms in sums.items()}
    ratios |= {f'{OURS}_over_{PLAIN}': sums[OURS] / sums[PLAIN]}
    rows += [
        {'position': 'sum', 'backend': backend, 'median_ms': ms, 'p95_ms': None, 'peak_mb': None}
        for backend, ms in sums.items()
    ]
    del ratios[f'{OURS}_over_{OURS}']
    study.show(args, rows, ratios, missing)


def _contiguous_conv2d(inputs: Inputs) -> Call:
    x, _, _, weight = inputs.contiguous()
    return lambda: F.conv2d(x, weight, None, **inputs.window)


def _reference(inputs: Inputs) -> Call:
    window = [(value, value) for value in inputs.window.values()]
    arguments = inputs.contiguous()
    return lambda: reference_forward(*arguments, None, *window)


def _im2col(inputs: Inputs) -> Call:
    arguments = inputs.contiguous()
    return lambda: im2col_deform_conv2d(*arguments, **inputs.window)


def _torchvision(inputs: Inputs) -> Call:
    from torchvision.ops import deform_conv2d

    # It needs one dtype for all tensors, coordinates included.
    x, offset, mask, weight = (tensor.to(inputs.x.dtype) for tensor in inputs.contiguous())
    return lambda: deform_conv2d(x, offset, weight, mask=mask, **inputs.window)


def _triton(inputs: Inputs) -> Call:
    if not inputs.x.is_cuda:
        raise RuntimeError('needs a CUDA device')
    from sgnet_core.ops.deform_conv_triton import forward

    window = [(value, value) for value in inputs.window.values()]
    arguments = inputs.x, inputs.offset, inputs.mask, inputs.weight, None
    return lambda: forward(*arguments, *window)


def _onnxruntime(inputs: Inputs) -> Call:
    """DeformConv of ONNX Runtime; the weights are constants, as in an exported network."""
    if inputs.x.is_cuda:
        raise RuntimeError('has DeformConv on a CPU only')
    from onnx import TensorProto, helper, numpy_helper

    from sgnet_core.onnx.export import IR_VERSION, OPSET
    from sgnet_core.onnx.session import import_onnxruntime, make_session

    x, offset, mask, weight = (tensor.numpy() for tensor in inputs.contiguous())
    feeds = {'x': x, 'offset': offset, 'mask': mask}
    node = helper.make_node(
        'DeformConv',
        ['x', 'weight', 'offset', '', 'mask'],
        ['y'],
        kernel_shape=weight.shape[2:],
        strides=[inputs.window['stride']] * 2,
        pads=[inputs.window['padding']] * 4,
        dilations=[inputs.window['dilation']] * 2,
    )
    shapes = {name: array.shape for name, array in feeds.items()}
    graph = helper.make_graph(
        [node],
        'deform_conv',
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, (1, None, None, None))],
        [numpy_helper.from_array(weight, 'weight')],
    )
    opset = helper.make_opsetid('', OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    session = make_session(import_onnxruntime(), model.SerializeToString(), torch.device('cpu'))
    return lambda: session.run(None, feeds)


BASELINES = {
    'reference': _reference,
    'im2col': _im2col,
    'onnxruntime': _onnxruntime,
    'torchvision': _torchvision,
    'triton': _triton,
}
"""Backend -> function that makes a call of it, or raises the reason."""

if __name__ == '__main__':
    main()
