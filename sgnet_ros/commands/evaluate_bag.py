# SPDX-License-Identifier: Apache-2.0
"""Score a checkpoint on every labelled frame of a bag.

Reads the bag itself, without ROS running: no frame is dropped, and the figures are always the
same. Colour and depth are paired as the node pairs them; labels are a mono8 image topic with the
stamps of the colour images, 255 = unlabelled, as frames_to_bag writes it. Of a bag that is cut
off, what is left is scored, and the exit status is 1.
"""

import argparse
import logging
from dataclasses import fields
from operator import length_hint
from pathlib import Path

from sgnet_core.cli import write_json
from sgnet_core.errors import DataError, InputError, SgnetError
from sgnet_ros.frame_topics import FrameTopics

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('bag', type=Path, help='rosbag2 folder, .mcap, .db3 or rosbag1 .bag file')
    parser.add_argument('--checkpoint', metavar='FILE', help='default: the one that ships')
    parser.add_argument('--device', default='auto', help='auto (default), cpu, cuda or cuda:N')
    parser.add_argument('--precision', default='auto', help='auto (default), fp32, fp16 or bf16')
    parser.add_argument('--backend', default='auto', help='auto (default), torch or onnxruntime')
    for part in fields(FrameTopics):
        option = f'--{part.name.replace("_", "-")}-topic'
        help_text = f'default {part.default}'
        parser.add_argument(option, default=part.default, metavar='TOPIC', help=help_text)
    parser.add_argument(
        '--camera',
        metavar='FX,FY,CX,CY',
        help='pixels, 0-based; for bags without camera_info, or with a wrong one',
    )
    parser.add_argument(
        '--sync-mode', default='auto', help='auto (default), exact or approximate, as in the node'
    )
    parser.add_argument(
        '--sync-slop', type=float, default=0.015, metavar='SECONDS', help='default 0.015'
    )
    parser.add_argument('--json', metavar='FILE', help='write the figures; - = standard output')


def run(args: argparse.Namespace) -> int:
    camera = _parse_camera(args.camera)
    # torch comes before whatever loads cv2.
    from sgnet_core.evaluation import evaluate, report
    from sgnet_core.segmenter import Segmenter

    # isort: split
    from sgnet_ros.bags import Bag
    from sgnet_ros.bags_frames import BagFrames

    names = {part.name: getattr(args, f'{part.name}_topic') for part in fields(FrameTopics)}
    topics = FrameTopics(**names)
    with Bag(args.bag) as bag:
        frames = BagFrames(bag, topics, camera, args.sync_mode, args.sync_slop)
        segmenter = Segmenter.from_checkpoint(
            args.checkpoint, args.device, args.precision, args.backend
        )
        _check_classes(segmenter, frames, args)
        if args.json != '-':
            print(f'{segmenter.description}\n{args.bag}')
        confusion, count = evaluate(segmenter, frames, length_hint(frames))
        if not count:
            raise _nothing_to_score(bag, frames, topics)
        if args.json != '-':
            _print_report(confusion, count, frames)
        if args.json:
            counts = {'pairs': frames.pairs, 'unlabelled': frames.unlabelled}
            counts |= {'unpaired': dict(frames.dropped), 'damage': bag.damage}
            write_json(args.json, {**report(confusion, count), **counts})
        if bag.damage:
            recorded = bag.recorded.get(topics.rgb)
            of = f' of {recorded}' if recorded else ''
            raise SgnetError(f'{bag.damage}; scored the {count}{of} frames before that')
    return 0


def _parse_camera(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        fx, fy, cx, cy = (float(value) for value in text.split(','))
    except ValueError:
        raise InputError(
            f'--camera must be four numbers fx,fy,cx,cy in pixels, got {text!r}'
        ) from None
    return fx, fy, cx, cy


def _check_classes(segmenter, frames, args: argparse.Namespace) -> None:
    from sgnet_core.evaluation import check_same_classes

    if frames.class_names is None:
        _logger.warning(
            '%s: no %s says what the labels mean; taking them for the %d classes of the checkpoint',
            args.bag,
            args.label_names_topic,
            len(segmenter.class_names),
        )
    else:
        check_same_classes(segmenter, frames.class_names, str(args.bag))


def _nothing_to_score(bag, frames, topics) -> SgnetError:
    """The error for a bag without a single labelled pair, with the numbers that tell why."""
    counts = ', '.join(
        f'{bag.topics[name].count} on {name}' for name in (topics.rgb, topics.depth, topics.labels)
    )
    unused = ', '.join(f'{cause} {count}' for cause, count in frames.dropped.items())
    text = (
        f'{bag.path}: no frame to score: {counts}; {frames.pairs} pairs of colour and depth, '
        f'messages not used: {unused or "none"}'
    )
    if bag.damage:
        return SgnetError(f'{text}; {bag.damage}')
    if frames.pairs:
        return DataError(f'{text}; no pair has labels of its very stamp')
    return DataError(f'{text}; give a larger --sync-slop, or record them with equal stamps')


def _print_report(confusion, count: int, frames) -> None:
    print(confusion.table())
    print(f'{count} frames scored, {frames.pairs} pairs, {frames.unlabelled} without labels')
    for cause, messages in frames.dropped.items():
        print(f'{messages} messages not used: {cause}')
