# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the S-Conv operator alone, offsets and masks given.

It is compared with the plain convolution of the same shape and with other implementations of the
same operator, at every S-Conv of sgnet_r50.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
import study
import torch.nn.functional as F
from torch import Tensor
from im2col import im2col_deform_conv2d
from tqdm import tqdm

from sgnet_core.benchmark.memory_process import peak_mb
from sgnet_core.benchmark.networks import OFFSET_STD, network_size
from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import Call
from sgnet_core.model.sconv import Geometry, SConv2d
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig
from sgnet_core.ops.deform_conv import modulated_deform_conv2d
from sgnet_core.ops.deform_conv_reference import forward as reference_forward

VARIANT = 'sgnet_r50'
OURS, PLAIN = 'sgnet', 'conv2d'
CONTIGUOUS = f'{PLAIN} contiguous'


class Position(NamedTuple):
    """One S-Conv of a network: its name, shapes without batch, and stride, padding, dilation."""

    name: str
    x_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    out_size: tuple[int, ...]
    window: dict[str, int]


def positions(variant: str, size: Size) -> list[Position]:
    """The S-Convs of a variant for frames of `size` (height, width); nothing is computed."""
    with torch.device('meta'), torch.no_grad():
        network = SGNet(SGNetConfig(variant)).eval()
        names = {network.get_submodule(name): name for name in network.sconv_positions()}
        channels = SPATIAL_CHANNELS[network.config.spatial]
        found: list[Position] = []

        def record(conv: SConv2d, x: Tensor) -> Geometry:
            geometry = conv.offsets_and_masks(torch.empty(1, channels, *x.shape[2:]))
            shapes = x.shape[1:], conv.weight.shape, geometry[0].shape[2:]
            found.append(Position(names[conv], *map(tuple, shapes), dict(conv.window)))
            return geometry

        image, spatial = (torch.empty(1, n, *network_size(size)) for n in (3, channels))
        network.guided_forward(image, spatial, record)
    return found


def random_inputs(position: Position, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, offsets, masks between 0 and 1, weights; equal in every call."""
    generator = torch.Generator().manual_seed(7)
    kernel_size = position.weight_shape[2] * position.weight_shape[3]
    x = torch.randn(1, *position.x_shape, generator=generator)
    # Zero offsets would need less memory traffic than real ones.
    offset = OFFSET_STD * torch.randn(1, 2 * kernel_size, *position.out_size, generator=generator)
    mask = torch.rand(1, kernel_size, *position.out_size, generator=generator)
    weight = torch.randn(position.weight_shape, generator=generator)
    weight /= (position.weight_shape[1] * kernel_size) ** 0.5
    # The networks run in half precision on a GPU, and with channels last.
    dtype = torch.float32 if device == 'cpu' else torch.float16
    x, weight = (t.to(device, dtype, memory_format=torch.channels_last) for t in (x, weight))
    return x, offset.to(device), mask.to(device), weight


def calls_at(position: Position, device: str) -> tuple[dict[str, Call], dict[str, str]]:
    """Backend -> call of the operator; and backend -> reason of those that are not available."""
    inputs = x, offset, mask, weight = random_inputs(position, device)
    plain_x, plain_weight = x.contiguous(), weight.contiguous()
    plain = plain_x, offset, mask, plain_weight
    window = position.window
    pairs = [(value, value) for value in window.values()]
    calls = {
        OURS: lambda: modulated_deform_conv2d(*inputs, **window),
        PLAIN: lambda: F.conv2d(x, weight, None, **window),
        CONTIGUOUS: lambda: F.conv2d(plain_x, plain_weight, None, **window),
        'reference': lambda: reference_forward(*plain, None, *pairs),
        'im2col': lambda: im2col_deform_conv2d(*plain, **window),
    }
    missing: dict[str, str] = {}
    for backend, prepare, arguments in (
        ('onnxruntime', _onnxruntime, plain),
        ('torchvision', _torchvision, plain),
        ('triton', _triton, inputs),
    ):
        try:
            calls[backend] = prepare(arguments, window)
        # A torchvision wheel for another build of torch fails while it loads its library.
        except (ImportError, RuntimeError, OSError) as error:
            missing[backend] = str(error)
    return calls, missing


def memory_at(position: Position, device: str) -> dict[str, float | None]:
    """Backend -> peak memory of one call above its inputs, 10^6 bytes."""
    calls, _ = calls_at(position, device)
    # ONNX Runtime keeps its buffers between calls.
    calls.pop('onnxruntime', None)
    for call in calls.values():
        call()
    return {backend: peak_mb(call, device) for backend, call in calls.items()}


def measure(position: Position, device: str, seconds: float) -> tuple[list[study.Row], dict]:
    """The rows of one position; of the two layouts of the plain convolution the faster one."""
    # fp32 as fp32: the product of our operator does not round to TF32 either.
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with torch.inference_mode(), cudnn:
        calls, missing = calls_at(position, device)
        times, problems = study.time_operators(calls, device, seconds)
    peaks = study.run_alone(memory_at, position, device, device=device)
    if sum(times[CONTIGUOUS]) < sum(times[PLAIN]):
        times[PLAIN], peaks[PLAIN] = times[CONTIGUOUS], peaks[CONTIGUOUS]
    del times[CONTIGUOUS]
    rows = [
        study.row(ms, peaks.get(backend), position=position.name, backend=backend)
        for backend, ms in times.items()
    ]
    return rows, missing | problems


def main() -> None:
    args = study.start(study.options(__doc__))
    rows, missing, sums = [], {}, Counter()
    for position in tqdm(positions(VARIANT, args.size), 'positions', disable=None):
        of_position, problems = measure(position, args.device, args.seconds / 6)
        rows += of_position
        missing |= problems
        sums.update({row['backend']: row['median_ms'] for row in of_position})
    ratios = {f'{name}_over_{OURS}': ms / sums[OURS] for name, ms in sums.items() if name != OURS}
    ratios[f'{OURS}_over_{PLAIN}'] = sums[OURS] / sums[PLAIN]
    for name, ms in sums.items():
        rows.append(study.row([ms], position='sum', backend=name) | {'p95_ms': None})
    study.show(args, rows, ratios, missing)


def _torchvision(inputs: tuple[Tensor, ...], window: dict[str, int]) -> Call:
    from torchvision.ops import deform_conv2d

    # It needs one dtype for all tensors, coordinates included.
    x, offset, mask, weight = (tensor.to(inputs[0].dtype) for tensor in inputs)
    return lambda: deform_conv2d(x, offset, weight, mask=mask, **window)


def _triton(inputs: tuple[Tensor, ...], window: dict[str, int]) -> Call:
    if not inputs[0].is_cuda:
        raise RuntimeError('needs a CUDA device')
    from sgnet_core.ops.deform_conv_triton import forward

    return lambda: forward(*inputs, None, *((value, value) for value in window.values()))


def _onnxruntime(inputs: tuple[Tensor, ...], window: dict[str, int]) -> Call:
    """DeformConv of ONNX Runtime; the weights are constants, as in an exported network."""
    if inputs[0].is_cuda:
        raise RuntimeError('has DeformConv on a CPU only')
    from onnx import numpy_helper
    from onnx.parser import parse_model

    from sgnet_core.onnx.export import IR_VERSION, OPSET
    from sgnet_core.onnx.session import import_onnxruntime, make_session

    x, offset, mask, weight = (tensor.numpy() for tensor in inputs)
    stride, padding, dilation = window['stride'], window['padding'], window['dilation']
    model = parse_model(f"""
        <ir_version: {IR_VERSION}, opset_import: ["": {OPSET}]>
        deform_conv (float[1, a, b, c] x, float[1, d, e, f] offset, float[1, g, e, f] mask)
            => (float[1, h, e, f] y) {{
            y = DeformConv<
                kernel_shape = {list(weight.shape[2:])}, strides = {[stride] * 2},
                pads = {[padding] * 4}, dilations = {[dilation] * 2}
            >(x, weight, offset, "", mask)
        }}""")
    model.graph.initializer.append(numpy_helper.from_array(weight, 'weight'))
    session = make_session(import_onnxruntime(), model.SerializeToString(), torch.device('cpu'))
    return lambda: session.run(None, {'x': x, 'offset': offset, 'mask': mask})


if __name__ == '__main__':
    main()
