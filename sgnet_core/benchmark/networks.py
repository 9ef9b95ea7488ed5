# SPDX-License-Identifier: Apache-2.0
"""Builds the networks to measure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from sgnet_core.benchmark import synthetic_frames
from sgnet_core.benchmark.memory_process import peak_mb
from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import Call
from sgnet_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_core.model import SConv2d, SGNet, SGNetConfig
from sgnet_core.model.sgnet import SPATIAL_CHANNELS
from sgnet_core.onnx.export import checkpoint_to_onnx
from sgnet_core.onnx.session import OnnxRuntimeNetwork, import_onnxruntime
from sgnet_core.preprocessing import SIZE_MULTIPLE, InputSpec

SHIPPED = 'shipped'
OFFSET_STD = 1.5
"""Approximate spread of the random offsets, pixels."""

Engine = tuple[str, str]
"""A backend, `torch` or `onnxruntime`, and a key of `PRECISIONS`."""


def network_size(size: Size) -> Size:
    """The smallest network input that is not smaller than a frame of `size`."""
    height, width = (-(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE for length in size)
    return height, width


def benchmark_checkpoint(name: str, size: Size) -> Checkpoint:
    """The bundled checkpoint for `SHIPPED`; otherwise random weights of the variant `name`."""
    return load_checkpoint() if name == SHIPPED else random_checkpoint(name, size)


def random_checkpoint(variant: str, size: Size, spatial: str = 'depth') -> Checkpoint:
    """A network with random weights for frames of `size`; equal in every call."""
    input_size = network_size(size)
    spec = InputSpec(*input_size, 'rgb', (127.0,) * 3, (60.0,) * 3, spatial)
    lite = variant.startswith('sgnet_lite')
    config = SGNetConfig(variant, len(NYU40), spatial, joint_bilateral=lite)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = SGNet(config)
        randomize(network)
    return Checkpoint(config, spec, NYU40, network.state_dict(), {'data': 'none, random weights'})


@torch.no_grad()
def randomize(network: SGNet) -> None:
    """Give initial weights the ranges of trained ones: offsets and batch statistics.

    Initial offsets are zero and need less memory traffic than trained ones. Without batch
    statistics, features grow from block to block until half precision overflows.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, SConv2d):
            nn.init.kaiming_normal_(module.offset_generator.weight).mul_(OFFSET_STD)
    channels = SPATIAL_CHANNELS[network.config.spatial]
    spatial = 1.0 + 4.0 * torch.rand(2, channels, 96, 128) if channels else None
    network.train()(torch.randn(2, 3, 96, 128), spatial)
    network.eval()


def build(checkpoint: Checkpoint, engine: Engine, device: str, graph: Path) -> Segmenter:
    """The segmenter of a checkpoint; the file `graph` keeps the ONNX graph between calls.

    The user's cache is not used: random networks would displace trained ones.

    Raises:
        InputError: the backend is not installed or does not support the precision.
    """
    backend, precision = engine
    if backend == 'torch':
        network = checkpoint.build()
    else:
        if precision != 'fp32':
            raise InputError('ONNX Runtime computes in fp32 only')
        import_onnxruntime()
        if not graph.exists():
            graph.write_bytes(checkpoint_to_onnx(checkpoint).SerializeToString())
        network = OnnxRuntimeNetwork(graph.read_bytes(), checkpoint.config, device)
    return Segmenter(network, checkpoint.input_spec, checkpoint.label_set, device, precision)


def segment_call(segmenter: Segmenter, size: Size) -> Call:
    """A call that segments a frame of `size`: from raw images to the mask in CPU memory."""
    images = synthetic_frames.synthetic_images(size)
    return lambda: segmenter.segment(synthetic_frames.frame_from_images(*images))


def measure_memory(
    name: str, size: Size, engines: Sequence[Engine], device: str, graph: Path
) -> list[float | None]:
    """Peak memory of each engine, 10^6 bytes, from before its construction to its second frame."""
    checkpoint = benchmark_checkpoint(name, size)

    def segment_twice(engine: Engine) -> None:
        call = segment_call(build(checkpoint, engine, device, graph), size)
        call()
        call()

    # Libraries load and compile on first use; that is not the memory of a network.
    for engine in {backend: (backend, precision) for backend, precision in engines}.values():
        segment_twice(engine)
    return [peak_mb(partial(segment_twice, engine), device) for engine in engines]
