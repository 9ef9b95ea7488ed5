# SPDX-License-Identifier: Apache-2.0
"""Whole networks, from the bytes of a sensor to the mask at their resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sgnet_core.benchmark.operators import OFFSET_STD
from sgnet_core.benchmark.plan import Plan, Size
from sgnet_core.benchmark.results import Key
from sgnet_core.benchmark.sensor import generated_bytes, network_size
from sgnet_core.checkpoint import Checkpoint, load_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.input_spec import InputSpec
from sgnet_core.labels import NYU40
from sgnet_core.model.sconv import SConv2d
from sgnet_core.model.sgnet import (
    SPATIAL_CHANNELS,
    VARIANTS,
    LiteVariant,
    SGNet,
    SGNetConfig,
)
from sgnet_core.onnx_graph import checkpoint_to_onnx
from sgnet_core.onnx_runtime import OnnxRuntimeNetwork, import_onnxruntime
from sgnet_core.segmenter import Segmenter

SHIPPED = 'shipped'


@dataclass(frozen=True)
class NetworkCase:
    """One network as one backend runs it on frames of one size.

    Attributes:
        variant: a key of `VARIANTS`, or `SHIPPED` for the checkpoint of the package as it is.
        spatial: as of `SGNetConfig`.
        fused: with the exact inference rewrites.
        size: (height, width) of the frames; the network sees the next multiples of 32, the shipped
            one its own size.
    """

    variant: str
    spatial: str
    fused: bool
    backend: str
    precision: str
    size: Size

    @property
    def name(self) -> str:
        """The variant and what is special: `sgnet_r50`, `sgnet_r50_none`, `sgnet_r50_unfused`."""
        spatial = '' if self.spatial == 'depth' else f'_{self.spatial}'
        return f'{self.variant}{spatial}{"" if self.fused else "_unfused"}'

    @property
    def key(self) -> Key:
        height, width = self.size
        return Key('network', self.name, self.backend, self.precision, f'{height}x{width}')

    def as_json(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkCase:
        return cls(**{**values, 'size': tuple(values['size'])})


def groups(plan: Plan) -> list[list[NetworkCase]]:
    """What is measured side by side: one variant at one size each, and the shipped checkpoint."""
    found = [
        _cases(variant, size, plan) for variant in plan.variants for size in plan.sizes_of(variant)
    ]
    if not plan.quick and load_checkpoint(None).config.variant in plan.variants:
        found.append(_cases(SHIPPED, plan.sizes[0], plan))
    return found


def _cases(variant: str, size: Size, plan: Plan) -> list[NetworkCase]:
    """Backends and precisions of one network, and its twins without S-Conv, without rewrites."""
    found = []
    for precision in plan.precisions:
        for backend in plan.backends:
            found.append(NetworkCase(variant, 'depth', True, backend, precision, size))
        if 'torch' in plan.backends and variant != SHIPPED:
            found.append(NetworkCase(variant, 'none', True, 'torch', precision, size))
            found.append(NetworkCase(variant, 'depth', False, 'torch', precision, size))
    return found


def architecture(case: NetworkCase) -> str:
    """A key of `VARIANTS`, also of the shipped checkpoint."""
    return load_checkpoint(None).config.variant if case.variant == SHIPPED else case.variant


def build(case: NetworkCase, device: str, graphs: Path) -> Segmenter:
    """The segmenter of a case, not warmed up.

    Args:
        graphs: folder where ONNX graphs are kept between calls. The user's cache is left alone:
            networks of random weights would push trained ones out of it.

    Raises:
        InputError: the backend, or the precision in it, does not exist here.
    """
    if case.precision != 'fp32' and (case.backend == 'onnxruntime' or not case.fused):
        raise InputError('ONNX Runtime, and a network that is not fused, compute in fp32 only')
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
    path = graphs / f'{case.name}_{case.key.size}.onnx'
    import_onnxruntime()
    if not path.exists():
        path.write_bytes(checkpoint_to_onnx(checkpoint).SerializeToString())
    return OnnxRuntimeNetwork(path.read_bytes(), checkpoint.config, device)


def segment_call(segmenter: Segmenter, size: Size) -> Callable[[], object]:
    """One frame of `size`, from sensor bytes to the finished mask in memory of the CPU."""
    sensor = generated_bytes(size)
    return lambda: segmenter.segment(sensor.frame())


def checkpoint_of(case: NetworkCase) -> Checkpoint:
    """The shipped checkpoint, or random weights, the same every time."""
    if case.variant == SHIPPED:
        return load_checkpoint(None)
    height, width = network_size(case.size)
    spec = InputSpec(height, width, 'rgb', (127.0,) * 3, (60.0,) * 3, case.spatial)
    # As their recipes have it.
    lite = isinstance(VARIANTS.get(case.variant), LiteVariant)
    config = SGNetConfig(case.variant, len(NYU40), case.spatial, joint_bilateral=lite)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = SGNet(config)
        settle(network)
    return Checkpoint(config, spec, NYU40, network.state_dict(), {'data': 'none, random weights'})


def settle(network: SGNet) -> None:
    """Give random weights the ranges of trained ones: normalised features, offsets not zero.

    Untrained S-Convs start at zero offsets, which are kinder to caches than real ones; and without
    statistics of their own, features grow from block to block until half precision overflows.
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
