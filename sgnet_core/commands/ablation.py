# SPDX-License-Identifier: Apache-2.0
"""Compare what guides the S-Convs, and what each half of them gives, under one schedule.

Trains every arm from every seed and prints mean and deviation of the mIoU. Runs that are finished
in OUT are not repeated: a study that was stopped goes on, and several processes can share it arm by
arm.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--config', type=Path, required=True, help='YAML file of settings')
    parser.add_argument('--data', type=Path, required=True, help='folder with a dataset.yaml')
    parser.add_argument('--out', type=Path, required=True, help='folder of the study')
    parser.add_argument('--arms', nargs='+', metavar='ARM', help='only these (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1], metavar='SEED')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--workers', type=int, default=1, help='processes that load data')
    parser.add_argument('--json', metavar='FILE', help='write the table here, or - for stdout')


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from sgnet_core.errors import ConfigError
    from sgnet_core.files import check_json_destination, write_json
    from sgnet_core.training.ablation import ARMS, as_markdown, tabulate, train_arm
    from sgnet_core.training.config import load_train_config

    check_json_destination(args.json)
    config = load_train_config(args.config)
    arms = args.arms or list(ARMS)
    unknown = [name for name in arms if name not in ARMS]
    if unknown:
        raise ConfigError(f'there is no arm {unknown[0]!r}; there are {", ".join(ARMS)}')
    for seed in args.seeds:
        for name in arms:
            out = args.out / f'{name}_seed{seed}'
            if not (out / 'scores.json').is_file():
                settings = dataclasses.replace(config, seed=seed)
                train_arm(name, settings, args.data, out, device=args.device, workers=args.workers)
    table = tabulate(args.out)
    print(as_markdown(table))
    if args.json is not None:
        write_json(args.json, {'config': str(args.config), 'arms': table})
    return 0
