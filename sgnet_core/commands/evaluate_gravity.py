# SPDX-License-Identifier: Apache-2.0
"""Measure the estimate of gravity: its error where gravity is known, its flicker along a video."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--data', type=Path, required=True, help='folder with a dataset.yaml')
    parser.add_argument('--split', help='of the data set, for example val; default: all frames')
    parser.add_argument(
        '--rotations',
        type=Path,
        metavar='FILE',
        help='camera_rotations_NYU.txt: a 3x3 matrix a frame of NYUv2, by the number that is the '
        'id of the frame; default: the data set has poses, and its frames are a video',
    )
    parser.add_argument(
        '--json', metavar='FILE', help='write the figures here (- = standard output)'
    )


def run(args: argparse.Namespace) -> int:
    from sgnet_core.data.folder import FolderDataset
    from sgnet_core.files import check_json_destination, write_json
    from sgnet_core.gravity_evaluation import errors, flicker, read_rotations

    check_json_destination(args.json)
    data = FolderDataset(args.data, args.split, labels=False)
    figures = errors(data, read_rotations(args.rotations)) if args.rotations else flicker(data)
    if args.json != '-':
        print(f'{data.name}, split {args.split or "all"}, {len(data)} frames')
        for name, values in figures.items():
            shown = ', '.join(f'{key} {value:.3g}' for key, value in values.items())
            print(f'{name}: {shown}')
    if args.json:
        write_json(args.json, {'frames': len(data), **figures})
    return 0
