# SPDX-License-Identifier: Apache-2.0
"""Write a dataset folder for all other commands.

`prepare_dataset rooms OUT` generates indoor rooms with exact depth, labels and camera poses. It
needs no download. The same options give the same frames on every machine.
`prepare_dataset nyuv2` and `prepare_dataset sunrgbd` read the published files of these datasets.
An interrupted run continues when it is started again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError
from sgnet_core.io.files import (
    atomic_write,
    check_json_destination,
    check_new_folder,
    write_json,
)

if TYPE_CHECKING:
    from sgnet_core.data.conversion import SourceDataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    out = {'type': Path, 'metavar': 'OUT', 'help': 'dataset folder to create; must be new or empty'}
    count = {'type': int, 'metavar': 'N'}

    rooms = kinds.add_parser('rooms', help='generated indoor rooms, NYU 40 classes')
    add = rooms.add_argument
    add('out', **out)
    add_options(rooms, 'frames', default=300, help='number of frames (default: 300)')
    add_options(rooms, 'seed')
    add_options(rooms, 'size', default='480x640', help='image size (default: 480x640)')
    add('--frames-per-room', **count, default=30, help='frames per room (default: 30)')
    add('--rate-hz', type=float, default=30.0, metavar='HZ', help='frame rate (default: 30)')
    noise = 'simulate the missing pixels, noise and quantisation of a depth sensor'
    add('--sensor-noise', action='store_true', help=noise)
    split = 'put the last N rooms into split `val` and the others into `fit` (default: no splits)'
    add('--val-rooms', **count, default=0, help=split)
    add_options(rooms, 'png')
    rooms.set_defaults(prepare=prepare_rooms)

    nyuv2 = kinds.add_parser('nyuv2', help='NYU Depth v2, from nyu_depth_v2_labeled.mat')
    add = nyuv2.add_argument
    add('file', type=Path, metavar='MAT', help='nyu_depth_v2_labeled.mat')
    add('out', **out)
    _add_originals_arguments(nyuv2)
    add('--classes', type=int, choices=(40, 37, 13), default=40, help='classes (default: 40)')
    meta = 'folder with classMapping40.mat and splits.mat (default: the folder of MAT)'
    add('--meta', type=Path, metavar='DIR', help=meta)
    nyuv2.set_defaults(prepare=prepare_nyuv2)

    sunrgbd = kinds.add_parser('sunrgbd', help='SUN RGB-D, from SUNRGBD.zip; 37 classes')
    add = sunrgbd.add_argument
    add('source', type=Path, metavar='ZIP|DIR', help='SUNRGBD.zip or its folder')
    add('out', **out)
    _add_originals_arguments(sunrgbd)
    toolbox = (
        'SUNRGBDtoolbox.zip or its folder, for labels and the official split (default: '
        'searched in and beside the data)'
    )
    add('--toolbox', type=Path, metavar='ZIP|DIR', help=toolbox)
    sunrgbd.set_defaults(prepare=prepare_sunrgbd)


def _add_originals_arguments(parser: argparse.ArgumentParser) -> None:
    depth = 'depth with missing pixels filled, or as the sensor measured it (default: filled)'
    parser.add_argument('--depth', choices=('filled', 'raw'), default='filled', help=depth)
    add_options(parser, 'png', 'json')


def run(args: argparse.Namespace) -> int | None:
    return args.prepare(args)


def prepare_rooms(args: argparse.Namespace) -> None:
    """Generate rooms into a folder; after Ctrl-C it holds the frames so far as a valid data set."""
    from tqdm import tqdm

    from sgnet_core.data.folder_writer import FolderWriter
    from sgnet_core.data.synthetic import RoomDataset

    rooms = RoomDataset(
        args.frames, args.size, args.seed, args.frames_per_room, args.sensor_noise, args.rate_hz
    )
    total = -(-args.frames // args.frames_per_room)
    if not 0 <= args.val_rooms < total:
        raise InputError(
            f'--val-rooms must be 0 to {total - 1} of {total} rooms, got {args.val_rooms}'
        )
    name, suffix = f'rooms (seed {args.seed})', '.png' if args.png else '.jpg'
    header = name, rooms.intrinsics, rooms.class_names, rooms.rate_hz
    check_new_folder(args.out)
    written, interrupted = 0, False
    with atomic_write(args.out) as folder:
        writer = FolderWriter(folder, *header, with_pose=True, image_suffix=suffix)
        try:
            for sample in tqdm(rooms, desc='rooms', unit='frame', disable=None):
                writer.write(sample)
                written += 1
        except KeyboardInterrupt:
            if not written:
                raise
            interrupted = True
        if args.val_rooms and written == args.frames:
            first = (total - args.val_rooms) * args.frames_per_room
            writer.write_split('fit', rooms.ids[:first])
            writer.write_split('val', rooms.ids[first:])
        writer.close()
    if interrupted:
        raise KeyboardInterrupt
    print(f'{args.out}: {written} frames of {total} rooms')


def prepare_nyuv2(args: argparse.Namespace) -> None:
    """Write the frames of nyu_depth_v2_labeled.mat as a folder data set."""
    from sgnet_core.data.conversion import check_output_folder
    from sgnet_core.data.nyuv2 import Nyuv2Dataset

    check_output_folder(args.out)
    source = Nyuv2Dataset(args.file, args.meta, args.depth, args.classes)
    recipe = f'nyuv2 from {args.file.name}, {args.file.stat().st_size} bytes'
    _prepare(args, source, f'{recipe}, {args.classes} classes')


def prepare_sunrgbd(args: argparse.Namespace) -> None:
    """Write the frames of SUNRGBD.zip as a folder data set."""
    from sgnet_core.data.conversion import check_output_folder
    from sgnet_core.data.sunrgbd import SunRgbdDataset

    check_output_folder(args.out)
    source = SunRgbdDataset(args.source, args.toolbox, args.depth)
    recipe = f'sunrgbd from {args.source.name}, {len(source.ids)} frames'
    _prepare(args, source, ', '.join((recipe, *source.notes)))


def _prepare(args: argparse.Namespace, source: SourceDataset, recipe: str) -> None:
    from sgnet_core.data.conversion import convert

    check_json_destination(args.json)
    suffix = '.png' if args.png else '.jpg'
    summary = convert(source, args.out, f'{recipe}, {args.depth} depth, {suffix}', suffix)
    for note in source.notes:
        print(note)
    print(f'{args.out}: {summary["frames"]} frames, {summary["skipped"]} skipped')
    for name, camera in summary['cameras'].items():
        near, far = camera['depth_m']
        print(
            f'{name}: {camera["frames"]} frames of {" ".join(camera["sizes"])}, depth {near:.2f} '
            f'to {far:.2f} m, {camera["missing"]:.1%} missing'
        )
    if source.class_names:
        missing = ', '.join(summary['classes_missing'])
        unseen = f', not {missing}' if missing else ''
        print(f'classes: {len(summary["classes_seen"])} of {len(source.class_names)} seen{unseen}')
    if summary['splits']:
        print('splits: ' + ', '.join(f'{name} {n}' for name, n in summary['splits'].items()))
    write_json(args.json, summary)
