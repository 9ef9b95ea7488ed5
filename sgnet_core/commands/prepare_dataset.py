# SPDX-License-Identifier: Apache-2.0
"""Write a data set folder that every other command reads.

`prepare_dataset rooms OUT` generates indoor rooms with exact depth, labels and camera poses;
it needs no download and gives the same frames for the same options on every machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sgnet_core.cli import image_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each kind of data."""
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    rooms = kinds.add_parser(
        'rooms',
        help='generated indoor rooms, NYU 40 classes',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    rooms.add_argument('out', type=Path, metavar='OUT', help='new or empty folder')
    rooms.add_argument('--frames', type=int, default=300, help='number of frames')
    rooms.add_argument('--seed', type=int, default=0, help='another seed is another world')
    rooms.add_argument('--size', type=image_size, default='480x640', help='HEIGHTxWIDTH in pixels')
    rooms.add_argument('--frames-per-room', type=int, default=30, help='then the next room begins')
    rooms.add_argument('--rate-hz', type=float, default=30.0, help='frames per second of the walk')
    rooms.add_argument(
        '--sensor-noise',
        action='store_true',
        help='depth with the holes, noise and steps of a real sensor',
    )
    rooms.add_argument(
        '--val-rooms',
        type=int,
        default=0,
        metavar='N',
        help='name the frames of the last N rooms split `val`, the others `fit`',
    )
    rooms.add_argument('--png', action='store_true', help='colour as PNG (exact) instead of JPEG')
    rooms.set_defaults(prepare=prepare_rooms)


def run(args: argparse.Namespace) -> int | None:
    """Prepare the kind that was asked for."""
    return args.prepare(args)


def prepare_rooms(args: argparse.Namespace) -> None:
    """Generate rooms into a folder; Ctrl-C keeps the frames written so far as a valid data set."""
    from tqdm import tqdm

    from sgnet_core.data.folder import FolderWriter
    from sgnet_core.data.rooms import RoomDataset
    from sgnet_core.errors import InputError

    rooms = RoomDataset(
        args.frames, args.size, args.seed, args.frames_per_room, args.sensor_noise, args.rate_hz
    )
    total = -(-args.frames // args.frames_per_room)
    if not 0 <= args.val_rooms < total:
        raise InputError(
            f'--val-rooms must be 0 to {total - 1} of {total} rooms, got {args.val_rooms}'
        )
    writer = FolderWriter(
        args.out,
        f'rooms (seed {args.seed})',
        rooms.intrinsics,
        rooms.class_names,
        rooms.rate_hz,
        with_pose=True,
        image_suffix='.png' if args.png else '.jpg',
    )
    written = 0
    try:
        for sample in tqdm(rooms, desc='rooms', unit='frame', disable=None):
            writer.write(sample)
            written += 1
    finally:
        if written:
            if args.val_rooms and written == args.frames:
                first = (total - args.val_rooms) * args.frames_per_room
                writer.write_split('fit', rooms.ids[:first])
                writer.write_split('val', rooms.ids[first:])
            writer.close()
    print(f'{args.out}: {written} frames of {total} rooms')
