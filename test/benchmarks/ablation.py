# SPDX-License-Identifier: Apache-2.0
"""Compares inputs and parts of S-Conv under one schedule: Tab. III and V of the paper, in small.

Every variant is trained from several seeds and evaluated once, after the last epoch: no variant
profits from the choice of its epoch. Finished runs in --out are not repeated, so a study can be
continued, or divided between processes by --variants and --seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import statistics
from pathlib import Path

import torch

from sgnet_core.benchmark import report
from sgnet_core.cli.options import add_options
from sgnet_core.io.files import write_json
from sgnet_core.model import SConv2d
from sgnet_core.training.config import TrainConfig, load_train_config
from sgnet_core.training.trainer import Trainer

NUMBERS = ('mean', 'deviation')

VARIANTS: dict[str, tuple[str, str | None]] = {
    'none': ('none', None),
    'features': ('features', None),
    'depth': ('depth', None),
    'xyz': ('xyz', None),
    'hha': ('hha', None),
    'offsets_only': ('depth', 'weight_generator2'),
    'weights_only': ('depth', 'offset_generator'),
}
"""Name -> `spatial` of `SGNetConfig`, and the layer of every S-Conv that stays at zero.

Without its offset generator an S-Conv only weights its samples. Without the last layer of its
weight generator all weights are sigmoid(0), a constant that the next BatchNorm removes, and the
S-Conv only moves its samples.
"""


def train_variant(
    name: str, config: TrainConfig, data: Path, out: Path, **resources: object
) -> None:
    """Train one variant, or resume its run, and write its scores to `out`/scores.json."""
    spatial, zeroed = VARIANTS[name]
    config = dataclasses.replace(config, spatial=spatial, evaluate_every=config.epochs)
    trainer = Trainer(config, data, out, **resources)
    if zeroed is not None:
        zero_layer(trainer.network, zeroed)
    if (out / 'last.pt').exists():
        trainer.resume()
    trainer.fit()
    write_json(out / 'scores.json', {'miou': trainer.best_miou, 'seconds': trainer.seconds})


def zero_layer(network: torch.nn.Module, layer: str) -> None:
    """Set this layer of every S-Conv to zero and keep it there."""
    for module in network.modules():
        if isinstance(module, SConv2d):
            for parameter in module.get_submodule(layer).parameters():
                torch.nn.init.zeros_(parameter.requires_grad_(False))


def tabulate(out: Path) -> dict[str, dict[str, object]]:
    """Mean and standard deviation of the mIoU of every variant with a finished run in `out`."""
    table: dict[str, dict[str, object]] = {}
    for name in VARIANTS:
        runs = [json.loads(p.read_text()) for p in sorted(out.glob(f'{name}_seed*/scores.json'))]
        if runs:
            mious = [run['miou'] for run in runs]
            table[name] = {
                'miou': mious,
                'mean': statistics.mean(mious),
                'deviation': statistics.stdev(mious) if len(mious) > 1 else None,
                'seconds': [run['seconds'] for run in runs],
            }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--config', type=Path, default=Path(__file__).with_name('ablation.yaml'))
    add_options(parser, 'data', 'out', required=True)
    add_options(parser, 'device', 'workers', 'json')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1], metavar='SEED')
    args = parser.parse_args()
    config = load_train_config(args.config)
    for seed, name in itertools.product(args.seeds, args.variants):
        out = args.out / f'{name}_seed{seed}'
        if not (out / 'scores.json').is_file():
            settings = dataclasses.replace(config, seed=seed)
            train_variant(name, settings, args.data, out, device=args.device, workers=args.workers)
    table = tabulate(args.out)
    rows = [
        {'variant': name} | {key: row[key] and 100 * row[key] for key in NUMBERS}
        for name, row in table.items()
    ]
    print('mIoU in per cent, over the seeds\n' + report.table(rows, ['variant'], NUMBERS))
    if args.json:
        write_json(args.json, {'config': str(args.config), 'variants': table})


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(levelname)s %(name)s: %(message)s')
    main()
