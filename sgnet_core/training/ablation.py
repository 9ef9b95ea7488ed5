# SPDX-License-Identifier: Apache-2.0
"""What guides the S-Convs, and what each half of them gives: the paper's Tab. III and V, in small.

Every arm is trained under one schedule from several seeds and evaluated once, after the last
epoch: no arm profits from choosing its epoch.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch

from sgnet_core.errors import ConfigError
from sgnet_core.files import atomic_write
from sgnet_core.model import SConv2d
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.fit import Training


@dataclass(frozen=True)
class Arm:
    """One network of the comparison.

    Attributes:
        spatial: as in `SGNetConfig`.
        silenced: layer of every S-Conv that stays at zero. Without its offset generator an S-Conv
            only weighs its taps; without the last layer of its weight generator all taps weigh
            sigmoid(0), a constant that the BatchNorm behind it takes out again, and it only moves.
    """

    spatial: str
    silenced: str | None = None


ARMS = {
    'none': Arm('none'),
    'features': Arm('features'),
    'depth': Arm('depth'),
    'xyz': Arm('xyz'),
    'hha': Arm('hha'),
    'offsets_only': Arm('depth', 'weight_generator2'),
    'weights_only': Arm('depth', 'offset_generator'),
}


def train_arm(name: str, config: TrainConfig, data: Path, out: Path, **resources: object) -> None:
    """Train one arm, or go on where it was stopped, and write its scores to `out`/scores.json.

    Args:
        name: a key of `ARMS`; its `spatial` takes the place of the one in `config`.
        resources: `device` and `workers` of `Training`.
    """
    arm = ARMS[name]
    config = dataclasses.replace(config, spatial=arm.spatial, evaluate_every=config.epochs)
    training = Training(config, data, out, **resources)
    if arm.silenced is not None:
        silence(training.network, arm.silenced)
    if (out / 'last.pt').exists():
        training.resume()
    training.fit()
    with atomic_write(out / 'scores.json') as partial:
        partial.write_text(json.dumps({'miou': training.best_miou, 'seconds': training.seconds}))


def silence(network: torch.nn.Module, layer: str) -> None:
    """Set this layer of every S-Conv to zero and keep it there."""
    for module in network.modules():
        if isinstance(module, SConv2d):
            for parameter in module.get_submodule(layer).parameters():
                torch.nn.init.zeros_(parameter.requires_grad_(False))


def tabulate(out: Path) -> dict[str, dict[str, object]]:
    """Mean and standard deviation of the mIoU of every arm that has a finished run in `out`."""
    table: dict[str, dict[str, object]] = {}
    for name in ARMS:
        runs = [json.loads(p.read_text()) for p in sorted(out.glob(f'{name}_seed*/scores.json'))]
        if runs:
            mious = [run['miou'] for run in runs]
            table[name] = {
                'miou': mious,
                'mean': statistics.mean(mious),
                'deviation': statistics.stdev(mious) if len(mious) > 1 else None,
                'seconds': [run['seconds'] for run in runs],
            }
    if not table:
        raise ConfigError(f'{out} holds no finished run')
    return table


def as_markdown(table: dict[str, dict[str, object]]) -> str:
    """The table in per cent, one line an arm."""
    lines = ['| arm | mIoU of each seed | mean | deviation |', '|---|---|---|---|']
    for name, row in table.items():
        seeds = ', '.join(f'{100 * miou:.2f}' for miou in row['miou'])
        deviation = '' if row['deviation'] is None else f'{100 * row["deviation"]:.2f}'
        lines.append(f'| `{name}` | {seeds} | {100 * row["mean"]:.2f} | {deviation} |')
    return '\n'.join(lines)
