# SPDX-License-Identifier: Apache-2.0
"""Builds the networks to measure: one variant, backend, precision and frame size each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sgnet_core.benchmark.memory_process import peak_mb
from sgnet_core.benchmark.synthetic_frames import Size, network_size, synthetic_images
from sgnet_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_core.model.sconv import SConv2d
from sgnet_core.model.sgnet import (
    SPATIAL_CHANNELS,
    VARIANTS,
    LiteVariant,
    SGNet,
    SGNetConfig,
)
from sgnet_core.onnx.export import checkpoint_to_onnx
from sgnet_core.onnx.session import OnnxRuntimeNetwork, import_onnxruntime
from sgnet_core.preprocessing import InputSpec

SHIPPED = 'shipped'
OFFSET_STD = 1.5
"""Spread of the random offsets, pixels."""


@dataclass(frozen=True)
class NetworkCase:
    """One network as one backend runs it on frames of one size.

    Attributes:
        variant: a key of `VARIANTS`, or `SHIPPED` for the bundled checkpoint.
        size: (height, width) of the frames; the network input is the next multiple of 32, or the
            own input size of the bundled checkpoint.
        backend: `torch` or `onnxruntime`.
        precision: a key of `PRECISIONS`.
        spatial: as in `SGNetConfig`.
        fused: whether the exact inference rewrites are applied.
    """

    variant: str
    size: Size
    backend: str = 'torch'
    precision: str = 'fp32'
    spatial: str = 'depth'
    fused: bool = True

    @property
    def name(self) -> str:
        """The variant and what is special: `sgnet_r50`, `sgnet_r50_none`, `sgnet_r50_unfused`."""
        spatial = '' if self.spatial == 'depth' else f'_{self.spatial}'
        return f'{self.variant}{spatial}{"" if self.fused else "_unfused"}'

    @property
    def size_text(self) -> str:
        """`HEIGHTxWIDTH`."""
        return f'{self.size[0]}x{self.size[1]}'


def architecture(case: NetworkCase) -> str:
    """A key of `VARIANTS`, also for the bundled checkpoint."""
    return load_checkpoint(None).config.variant if case.variant == SHIPPED else case.variant


def build(case: NetworkCase, device: str, graphs: Path) -> Segmenter:
    """The segmenter of a case, before its first frame.

    Args:
        graphs: folder that keeps ONNX graphs between calls. The user's cache is not used: networks
            with random weights would push trained ones out of it.

    Raises:
        InputError: the backend is not installed or does not support the precision.
    """
    if case.precision != 'fp32' and (case.backend == 'onnxruntime' or not case.fused):
        raise InputError('ONNX Runtime and networks that are not fused compute in fp32 only')
    checkpoint = checkpoint_of(case)
    if case.backend == 'onnxruntime':
        network = _onnx_network(case, checkpoint, device, graphs)
    else:
        network = checkpoint.build()
    return Segmenter(
        network,
        checkpoint.input_spec,
        checkpoint.label_set,
        device,
        case.precision,
        fused=case.fused,
    )


def _onnx_network(
    case: NetworkCase, checkpoint: Checkpoint, device: str, graphs: Path
) -> OnnxRuntimeNetwork:
    path = graphs / f'{case.name}_{case.size_text}.onnx'
    import_onnxruntime()
    if not path.exists():
        path.write_bytes(checkpoint_to_onnx(checkpoint).SerializeToString())
    return OnnxRuntimeNetwork(path.read_bytes(), checkpoint.config, device)


def segment_call(segmenter: Segmenter, size: Size) -> Callable[[], object]:
    """A call that segments a frame of `size`: from raw images to the mask in CPU memory."""
    images = synthetic_images(size)
    return lambda: segmenter.segment(images.frame())


def measure_memory(cases: list[NetworkCase], device: str, graphs: Path) -> list[float | None]:
    """Peak memory of each case, 10^6 bytes, from before its construction to its second frame."""
    # Libraries load and compile on first use; that is not the memory of a network.
    for case in {case.backend: case for case in cases}.values():
        _segment_twice(case, device, graphs)
    return [peak_mb(partial(_segment_twice, case, device, graphs), device) for case in cases]


def _segment_twice(case: NetworkCase, device: str, graphs: Path) -> None:
    call = segment_call(build(case, device, graphs), case.size)
    call()
    call()


def checkpoint_of(case: NetworkCase) -> Checkpoint:
    """The bundled checkpoint, or random weights that are equal in every call."""
    if case.variant == SHIPPED:
        return load_checkpoint(None)
    height, width = network_size(case.size)
    spec = InputSpec(height, width, 'rgb', (127.0,) * 3, (60.0,) * 3, case.spatial)
    lite = isinstance(VARIANTS.get(case.variant), LiteVariant)
    config = SGNetConfig(case.variant, len(NYU40), case.spatial, joint_bilateral=lite)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = SGNet(config)
        warm_up(network)
    return Checkpoint(config, spec, NYU40, network.state_dict(), {'data': 'none, random weights'})


def warm_up(network: SGNet) -> None:
    """Give random weights the ranges of trained ones: batch statistics and offsets.

    Untrained S-Convs have zero offsets, which need less memory traffic than real ones. Without
    batch statistics features grow from block to block until half precision overflows.
    """
    hooks = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, SConv2d):
            nn.init.normal_(module.offset_generator.weight)
            hooks.append(module.offset_generator.register_forward_hook(_scale_offsets))
    channels = SPATIAL_CHANNELS[network.config.spatial]
    spatial = 1.0 + 4.0 * torch.rand(2, channels, 96, 128) if channels else None
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 96, 128), spatial)
    network.eval()
    for hook in hooks:
        hook.remove()


def _scale_offsets(generator: nn.Conv2d, _: tuple[Tensor, ...], offset: Tensor) -> Tensor:
    factor = OFFSET_STD / offset.std()
    generator.weight.mul_(factor)
    return offset * factor
