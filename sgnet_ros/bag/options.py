# SPDX-License-Identifier: Apache-2.0
"""Options and errors of the commands that read frames of a bag."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import add_options, check_positive, parse_camera
from sgnet_core.errors import DataError, InputError, SgnetError
from sgnet_ros.bag.frame_topics import COMPRESSED_SUFFIXES, FrameTopics
from sgnet_ros.sync.pairing import DEFAULT_SLOP_S

if TYPE_CHECKING:
    import numpy as np

    from sgnet_ros.bag.frames import BagFrames
    from sgnet_ros.bag.labels import FolderLabels
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.bag.transforms import BagTransforms


def add_bag(parser: argparse.ArgumentParser) -> None:
    """Add the argument BAG."""
    parser.add_argument(
        'bag', type=Path, metavar='BAG', help='rosbag2 folder, .mcap, .db3 or rosbag1 .bag file'
    )


def add_frame_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for topics, camera and pairing."""
    for part in fields(FrameTopics):
        name, suffix = part.name.replace('_', ' '), COMPRESSED_SUFFIXES.get(part.name)
        transport = f', raw or {suffix}' if suffix else ''
        parser.add_argument(
            f'--{name.replace(" ", "-")}-topic',
            default=part.default,
            metavar='TOPIC',
            help=f'topic of {name}{transport} (default: {part.default})',
        )
    add_options(parser, 'camera', help='intrinsics in pixels; they replace camera_info')
    parser.add_argument(
        '--extrinsics',
        metavar='X,Y,Z,QX,QY,QZ,QW',
        help='register depth to colour with this pose of the depth camera in the colour camera: '
        'optical frames, metres, as printed by tf2_echo COLOUR DEPTH',
    )
    add_options(
        parser,
        'depth-scale',
        help='metres per unit of depth (default: 0.001 for 16UC1 and mono16, 1 for 32FC1)',
    )
    parser.add_argument(
        '--sync-mode', default='auto', help='pairing: auto (default), exact or approximate'
    )
    parser.add_argument(
        '--sync-slop',
        type=float,
        default=DEFAULT_SLOP_S,
        metavar='SECONDS',
        help=f'maximum stamp difference of approximate pairs (default: {DEFAULT_SLOP_S})',
    )


def frame_topics(args: argparse.Namespace) -> FrameTopics:
    """The topics from the options."""
    return FrameTopics(**{p.name: getattr(args, f'{p.name}_topic') for p in fields(FrameTopics)})


def open_frames(
    bag: Bag,
    args: argparse.Namespace,
    topics: FrameTopics,
    labels: FolderLabels | None = None,
    transforms: BagTransforms | None = None,
) -> BagFrames:
    """The frames of a bag; invalid frames are skipped."""
    check_positive(args, 'depth_scale')
    camera, rgb_from_depth = parse_camera(args.camera), parse_extrinsics(args.extrinsics)
    from sgnet_ros.bag.frames import BagFrames

    return BagFrames(
        bag,
        topics,
        camera,
        args.sync_mode,
        args.sync_slop,
        True,
        rgb_from_depth,
        labels,
        args.depth_scale or 0.0,
        transforms,
    )


def parse_extrinsics(text: str | None) -> np.ndarray | None:
    """The (4, 4) transform rgb_from_depth of `--extrinsics`; raises InputError for other text."""
    if text is None:
        return None
    # torch must be imported before cv2.
    from sgnet_core.geometry.depth_registration import checked_transform
    from sgnet_ros.conversions.poses import extrinsics

    return checked_transform(extrinsics(parse_pose(text), '--extrinsics'))


def parse_pose(text: str) -> list[float]:
    """The seven numbers of `--extrinsics`; raises InputError for other text."""
    try:
        pose = [float(number) for number in text.split(',')]
    except ValueError:
        pose = []
    if len(pose) != 7:
        raise InputError(
            f'--extrinsics must be seven numbers x,y,z,qx,qy,qz,qw in metres, got {text!r}'
        )
    return pose


def no_frame_error(bag: Bag, frames: BagFrames) -> SgnetError:
    """The error for a bag without a usable frame, with the counts that explain it."""
    topics = frames.topics
    counts = ', '.join(f'{bag.topics[name].count} on {name}' for name in (topics.rgb, topics.depth))
    if frames.labels is not None:
        counts += f', {len(frames.labels)} labels in {frames.labels.source}'
    text = (
        f'{bag.path}: no usable frame: {counts}; {frames.pairs} pairs of colour and depth, '
        f'messages without a pair: {unpaired(frames)}'
    )
    if frames.skipped:
        return DataError(f'{text}; {frames.skipped[0]}')
    if frames.unstamped:
        return DataError(
            f'{text}; stamps are zero on {", ".join(sorted(frames.unstamped))}, and colour and '
            'depth are paired by their stamps: fix or replace the driver, and record again'
        )
    if bag.damage:
        return SgnetError(f'{text}; {bag.damage}')
    if frames.pairs:
        return DataError(f'{text}; no pair has labels of its stamp')
    return DataError(f'{text}; increase --sync-slop, or record equal stamps')


def unpaired(frames: BagFrames) -> str:
    """The number of messages without a pair, by cause."""
    return ', '.join(f'{cause} {count}' for cause, count in frames.dropped.items()) or 'none'
