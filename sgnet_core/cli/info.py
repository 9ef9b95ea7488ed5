# SPDX-License-Identifier: Apache-2.0
"""Print parameters, multiply-adds, S-Convs, origin and scores of a checkpoint or variant."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from sgnet_core.cli.options import add_options
from sgnet_core.errors import CheckpointError, InputError
from sgnet_core.io.files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    network = 'variant, for example sgnet_r101, or checkpoint (default: the bundled model)'
    add('network', nargs='?', help=network)
    add('--spatial', help='for a variant: depth (default), xyz, hha, features or none')
    add('--classes', type=int, metavar='N', help='for a variant: number of classes (default: 40)')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.checkpoint.checkpoint import load_checkpoint
    from sgnet_core.model.complexity import complexity
    from sgnet_core.model.sgnet import VARIANTS, SGNetConfig

    options = {'spatial': args.spatial, 'num_classes': args.classes}
    given = {name: value for name, value in options.items() if value is not None}
    values: dict[str, Any] = {}
    if args.network in VARIANTS:
        try:
            config = SGNetConfig(args.network, **given)
        except ValueError as error:
            raise InputError(str(error)) from error
    elif args.network and '.' not in args.network and '/' not in args.network:
        raise InputError(
            f'unknown variant {args.network!r}; there are {", ".join(VARIANTS)} '
            '(or give the path of a checkpoint)'
        )
    elif given:
        raise InputError('--spatial and --classes describe a variant; a checkpoint has its own')
    else:
        checkpoint = load_checkpoint(args.network)
        config = checkpoint.config
        checkpoint.build()
        values = {
            'class_names': list(checkpoint.label_set.class_names),
            'input_size': list(checkpoint.input_spec.size),
            'provenance': checkpoint.provenance,
        }
    keys = ('variant', 'spatial', 'num_classes', 'joint_bilateral')
    values = {key: getattr(config, key) for key in keys} | complexity(config) | values
    if args.json != '-':
        try:
            _print(values)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f'{args.network}: its provenance is damaged ({type(error).__name__}: {error}); '
                'copy or download it again'
            ) from error
    write_json(args.json, values)
    return 0


def _print(values: dict[str, Any]) -> None:
    print(f'{values["variant"]}, spatial {values["spatial"]}, {values["num_classes"]} classes')
    rows = {
        'parameters, training': f'{values["parameters_training"] / 1e6:.2f} million',
        'parameters, inference': f'{values["parameters_inference"] / 1e6:.2f} million',
        'GMACs at 480x640, training graph': f'{values["gmacs_training_graph"]:.1f}',
        'GMACs at 480x640, inference': f'{values["gmacs"]:.1f}',
        'joint bilateral upsampling': 'yes' if values['joint_bilateral'] else 'no',
        'S-Convs': f'{len(values["sconv_positions"])}: {", ".join(values["sconv_positions"])}',
    }
    if 'input_size' in values:
        height, width = values['input_size']
        rows['input size'] = f'{width}x{height}'
        origin = values['provenance']
        rows |= _trained(origin)
        for part in origin.get('mean_of', ()):
            trained = _trained(part).items()
            text = ', '.join(f'{key} {value}' for key, value in trained if key != 'sha256')
            rows[f'mean of {part["checkpoint"]}'] = text
        if scores := origin.get('scores'):
            rows['scores'] = (
                f'mIoU {scores["miou"]:.1%}, pixel accuracy {scores["pixel_accuracy"]:.1%}, mean '
                f'accuracy {scores["mean_accuracy"]:.1%} on {scores["data"]}, '
                f'{scores["frames"]} frames, {scores["protocol"]}'
            )
    for key, value in rows.items():
        print(f'  {key + ":":34} {value}')


def _trained(origin: Mapping[str, Any]) -> dict[str, str]:
    """How a network was trained, without the configuration."""
    from sgnet_core.training.initialization import start_name

    return {
        key: start_name(value) if key == 'start' else str(value)
        for key, value in origin.items()
        if key not in ('checkpoint', 'config', 'mean_of', 'scores')
    }
