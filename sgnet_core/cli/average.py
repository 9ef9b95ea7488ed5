# SPDX-License-Identifier: Apache-2.0
"""Average the weights of several checkpoints (model soup).

The checkpoints must continue the same start, for example with different seeds. Their mean is often
better than each of them and has the same inference cost. Measure it with `evaluate`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    several = 'two or more checkpoints'
    parser.add_argument('checkpoints', type=Path, nargs='+', metavar='CHECKPOINT', help=several)
    add_options(parser, 'out', required=True, metavar='FILE', help='checkpoint to write')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.checkpoint.checkpoint import save_checkpoint
    from sgnet_core.checkpoint.weight_averaging import average_checkpoints

    if args.out.is_dir():
        raise InputError(f'{args.out} cannot be written to; give the path of a new .safetensors')
    checkpoint = average_checkpoints(args.checkpoints)
    save_checkpoint(args.out, checkpoint)
    print(f'mean of {len(args.checkpoints)} checkpoints, {checkpoint.config.variant}: {args.out}')
    return 0
