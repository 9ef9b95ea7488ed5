# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a training step: our operator, im2col in its place, and no S-Conv at all.

A step is forward and backward in fp32, without optimiser and data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest import mock

import torch
import study
from torch import Tensor
from im2col import im2col_deform_conv2d

from sgnet_core.benchmark.memory_process import peak_mb
from sgnet_core.benchmark.networks import network_size, randomize
from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import time_by_turns
from sgnet_core.model import sconv
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, SGNet, SGNetConfig

OURS, PLAIN = 'sgnet', 'none'
SUBSTITUTES: dict[str, Callable[..., Tensor]] = {
    'im2col': im2col_deform_conv2d,
    'im2col_columns': partial(im2col_deform_conv2d, keep_corners=False),
}
"""Backend -> function in place of the operator."""
WARM_UP_SIZE = (64, 96)


def make_step(variant: str, backend: str, batch: int, size: Size, device: str) -> Callable:
    """Forward and backward of one random batch; `PLAIN` is the network without S-Conv."""
    network = SGNet(SGNetConfig(variant, spatial='none' if backend == PLAIN else 'depth'))
    randomize(network)
    network.train().to(device, memory_format=torch.channels_last)
    channels = SPATIAL_CHANNELS[network.config.spatial]
    operator = SUBSTITUTES.get(backend, sconv.modulated_deform_conv2d)

    def step(height: int = size[0], width: int = size[1]) -> None:
        image = torch.randn(batch, 3, height, width, device=device)
        spatial = None
        if channels:
            spatial = 1.0 + 4.0 * torch.rand(batch, channels, height, width, device=device)
        with mock.patch.object(sconv, 'modulated_deform_conv2d', operator):
            network(image, spatial).square().mean().backward()
        network.zero_grad(set_to_none=True)
        if device != 'cpu':
            torch.cuda.synchronize()

    return step


def step_memory(variant: str, backend: str, batch: int, size: Size, device: str) -> float | None:
    """Peak memory of a step above network and inputs, gradients included, 10^6 bytes."""
    step = make_step(variant, backend, batch, size, device)
    # Libraries load and compile on first use; that is not the memory of the method.
    step(*WARM_UP_SIZE)
    return peak_mb(step, device)


def main() -> None:
    parser = study.options(__doc__)
    parser.add_argument('--variant', default='sgnet_r50')
    parser.add_argument('--batch', type=int, default=1)
    args = study.start(parser)
    case = args.batch, network_size(args.size), args.device
    steps = {name: make_step(args.variant, name, *case) for name in (OURS, PLAIN, *SUBSTITUTES)}
    times, problems = time_by_turns(steps, args.seconds)
    rows = []
    for name, times_ms in times.items():
        peak = study.run_alone(step_memory, args.variant, name, *case, device=args.device)
        rows.append(study.row(times_ms, peak, step=args.variant, backend=name))
    ratios = {
        f'{number}_{OURS}_over_{other["backend"]}': rows[0][number] / other[number]
        for number in ('median_ms', 'peak_mb')
        for other in rows[1:]
        if other[number]
    }
    ratios |= {
        f'images_per_s.{row["backend"]}': 1e3 * args.batch / row['median_ms'] for row in rows
    }
    study.show(args, rows, ratios, problems)


if __name__ == '__main__':
    main()
