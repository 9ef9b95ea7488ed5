# SPDX-License-Identifier: Apache-2.0
"""Train a network on a dataset folder (docs/datasets.md describes its format).

Writes best.safetensors, last.safetensors, last.pt, log.jsonl, train.yaml and tensorboard/ to OUT.
--resume continues an interrupted run; at most the current epoch is lost. Several processes share a
run, one for each GPU or CPU core: `torchrun --nproc-per-node N -m sgnet_core train ...`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sgnet_core.cli.options import add_options

BUNDLED = 'bundled'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--config', type=Path, required=True, metavar='FILE', help='YAML file of the training run')
    add_options(parser, 'data', 'out', required=True)
    add('--epochs', type=int, metavar='N', help='number of epochs (default: from --config)')
    checkpoint = {'nargs': '?', 'const': BUNDLED, 'metavar': 'CHECKPOINT'}
    add(
        '--init',
        **checkpoint,
        help='initialise from this checkpoint, even if its classes differ, and inherit its '
        'architecture, input size and depth_fill unless --config sets them; without CHECKPOINT, '
        'from the bundled model',
    )
    add(
        '--teacher',
        **checkpoint,
        action='append',
        default=[],
        help='distil from this checkpoint (weighted by teacher_weight of --config); repeatable; '
        'without CHECKPOINT, from the bundled model',
    )
    add('--resume', action='store_true', help='continue the run in --out')
    add_options(parser, 'device')
    precisions = ('fp32', 'bf16', 'fp16')
    add('--precision', default='fp32', choices=precisions, help='autocast (default: fp32)')
    add_options(parser, 'workers')


def run(args: argparse.Namespace) -> int:
    import logging

    from sgnet_core.checkpoint.checkpoint import DEFAULT_CHECKPOINT
    from sgnet_core.errors import ConfigError
    from sgnet_core.runtime.distributed import distributed_context
    from sgnet_core.training.config import load_train_config
    from sgnet_core.training.initialization import inherited_settings
    from sgnet_core.training.resume import restoring, resume_hint
    from sgnet_core.training.trainer import Trainer

    if not args.resume and (args.out / 'last.pt').exists():
        raise ConfigError(
            f'{args.out} holds a run; continue it with --resume or choose another --out'
        )
    init, *teachers = (
        DEFAULT_CHECKPOINT if name == BUNDLED else name and Path(name)
        for name in (args.init, *args.teacher)
    )
    inherited = None if init is None else inherited_settings(init)
    config = load_train_config(args.config, inherited, epochs=args.epochs)
    with distributed_context(args.device) as (distributed, device):
        if not distributed.is_main:
            logging.disable(logging.INFO)
        elif device == 'cpu' and args.device == 'auto':
            logging.info('no CUDA device found: training on the CPU')
        folders, resources = (args.data, args.out), (device, args.precision, args.workers)
        trainer = Trainer(config, *folders, *resources, init, distributed, teachers)
        if args.resume:
            with restoring(args.out / 'last.pt'):
                trainer.resume()
        with resume_hint(args.out / 'last.pt'):
            best = trainer.fit()
    if distributed.is_main:
        print(f'best mIoU {trainer.best_miou:.4f} on {config.val_split}: {best}')
    return 0
