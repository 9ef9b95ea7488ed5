# SPDX-License-Identifier: Apache-2.0
"""Convert a checkpoint of SGNet's authors (SGNet.pth.tar); the scores stay the same.

The pickle is read without executing code from it. The command prints how it used each tensor.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError
from sgnet_core.io.files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('source', type=Path, metavar='SOURCE', help="checkpoint of SGNet's authors, .pth.tar")
    add('out', type=Path, metavar='OUT', help='checkpoint to write, .safetensors')
    variants = 'sgnet_r101 (their SGNet), sgnet_r50 (SGNet_Res50) or sgnet_aspp_r101 (SGNet_ASPP)'
    add('--variant', required=True, help=variants)
    add('--labels', help='nyu40, nyu37 or nyu13 (default: by the number of classes)')
    auxiliary = 'keep the auxiliary training head, for `train --init`'
    add('--keep-auxiliary', action='store_true', help=auxiliary)
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import hashlib

    from sgnet_core.checkpoint.authors_checkpoint import convert, read_state_dict
    from sgnet_core.checkpoint.checkpoint import save_checkpoint
    from sgnet_core.labels import LABEL_SETS

    if args.labels is not None and args.labels not in LABEL_SETS:
        raise InputError(f'--labels must be one of {", ".join(LABEL_SETS)}, got {args.labels!r}')
    state_dict = read_state_dict(args.source)
    if args.out.is_dir() or (args.out.exists() and args.out.samefile(args.source)):
        raise InputError(f'{args.out} cannot be written to; give the path of a new .safetensors')
    checkpoint, uses = convert(
        state_dict, args.variant, LABEL_SETS.get(args.labels), args.keep_auxiliary
    )
    network = checkpoint.build(auxiliary=args.keep_auxiliary)
    origin = {
        'converted_from': args.source.name,
        'sha256': hashlib.sha256(args.source.read_bytes()).hexdigest(),
    }
    save_checkpoint(args.out, dataclasses.replace(checkpoint, provenance=origin))
    values = {
        **origin,
        'out': str(args.out),
        'variant': args.variant,
        'label_set': checkpoint.label_set.name,
        'num_classes': len(checkpoint.label_set),
        'parameters': sum(p.numel() for p in network.parameters()),
        'tensors': [dataclasses.asdict(use) for use in uses],
    }
    if args.json != '-':
        _print(values)
    write_json(args.json, values)
    return 0


def _print(values: dict[str, Any]) -> None:
    """Print a line for each tensor of the file and a summary."""
    tensors = values['tensors']
    rows = [('tensor of the file', 'tensor of the checkpoint', 'shape', 'change')]
    for use in tensors:
        shape = 'x'.join(map(str, use['shape'])) or 'scalar'
        rows.append((use['source'], use['target'] or '-', shape, use['change']))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(map(str.ljust, row, widths)).rstrip())
    used = sum(use['target'] is not None for use in tensors)
    print(
        f'{values["variant"]}, {values["num_classes"]} classes ({values["label_set"]}), '
        f'{values["parameters"] / 1e6:.2f} million parameters, {used} of {len(tensors)} tensors '
        f'used: {values["out"]}'
    )
