# SPDX-License-Identifier: Apache-2.0
"""Memory of one training step, with our operator and with column buffers in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sgnet_core.benchmark.im2col import im2col_deform_conv2d, im2col_deform_conv2d_keeping_columns
from sgnet_core.benchmark.memory import peak_mb
from sgnet_core.benchmark.networks import settle
from sgnet_core.benchmark.plan import Plan
from sgnet_core.benchmark.results import Key
from sgnet_core.benchmark.sensor import Size, network_size
from sgnet_core.model import sconv
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig

VARIANT = 'sgnet_r50'
OURS = 'sgnet'
SUBSTITUTES: dict[str, Callable[..., Tensor]] = {
    'im2col': im2col_deform_conv2d,
    'im2col_columns': im2col_deform_conv2d_keeping_columns,
}
"""Backend of a row -> what takes the place of the operator."""

WARM_UP_SIZE = (64, 96)


def backends(plan: Plan) -> tuple[str, ...]:
    """What is weighed: ours and what it is compared with."""
    return (OURS, *SUBSTITUTES)[: 2 if plan.quick else None]


def row_key(backend: str, size: Size) -> Key:
    """Of the row that has the memory of one training step."""
    return Key('training', f'{VARIANT}_training_step', backend, 'fp32', f'{size[0]}x{size[1]}')


def training_peak_mb(backend: str, size: Size, device: str) -> float | None:
    """Forward and backward of one fp32 image of `size`, batch 1, above network and inputs."""
    network = SGNet(SGNetConfig(VARIANT))
    settle(network)
    network.train().to(device)
    # Libraries load and compile on first use; that is not the method's memory.
    with operator_replaced(backend):
        _step(network, WARM_UP_SIZE)
        network.zero_grad(set_to_none=True)
        return peak_mb(lambda: _step(network, network_size(size)), device)


@contextmanager
def operator_replaced(backend: str) -> Iterator[None]:
    """S-Convs compute with one of `SUBSTITUTES`; `OURS` leaves them as they are."""
    ours = sconv.modulated_deform_conv2d
    sconv.modulated_deform_conv2d = SUBSTITUTES.get(backend, ours)
    try:
        yield
    finally:
        sconv.modulated_deform_conv2d = ours


def _step(network: SGNet, size: Size) -> None:
    device = next(network.parameters()).device
    batch = 1
    image = torch.randn(batch, 3, *size, device=device)
    channels = SPATIAL_CHANNELS[network.config.spatial]
    spatial = 1.0 + 4.0 * torch.rand(batch, channels, *size, device=device)
    network(image, spatial).square().mean().backward()
