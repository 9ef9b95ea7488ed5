# SPDX-License-Identifier: Apache-2.0
"""Score a checkpoint on every labelled frame of a bag.

Reads the bag itself, without ROS running: no frame is dropped, and the figures are always the
same. Colour and depth are paired as the node pairs them; labels are a mono8 image topic with the
stamps of the colour images, 255 = unlabelled, as frames_to_bag writes it. Of a bag that is cut
off, what is left is scored, and the exit status is 1.
"""

import argparse
import logging
from operator import length_hint
from pathlib import Path

from sgnet_core.cli import parse_camera, write_json
from sgnet_core.errors import SgnetError
from sgnet_ros.bags_options import (
    add_frame_options,
    frame_topics,
    no_frame_error,
    parse_extrinsics,
)

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('bag', type=Path, help='rosbag2 folder, .mcap, .db3 or rosbag1 .bag file')
    parser.add_argument('--checkpoint', metavar='FILE', help='default: the one that ships')
    parser.add_argument('--device', default='auto', help='auto (default), cpu, cuda or cuda:N')
    parser.add_argument('--precision', default='auto', help='auto (default), fp32, fp16 or bf16')
    parser.add_argument('--backend', default='auto', help='auto (default), torch or onnxruntime')
    add_frame_options(parser)
    parser.add_argument('--out', type=Path, metavar='DIR', help='write a report into this folder')
    parser.add_argument('--json', metavar='FILE', help='write the figures; - = standard output')


def run(args: argparse.Namespace) -> int:
    camera, rgb_from_depth = parse_camera(args.camera), parse_extrinsics(args.extrinsics)
    # torch comes before whatever loads cv2.
    from sgnet_core.evaluation import evaluate
    from sgnet_core.provenance import provenance
    from sgnet_core.report.write import ReportFolder
    from sgnet_core.segmenter import Segmenter

    # isort: split
    from sgnet_ros.bags import Bag
    from sgnet_ros.bags_frames import BagFrames

    topics = frame_topics(args)
    report = ReportFolder(args.out) if args.out else None
    with Bag(args.bag) as bag:
        frames = BagFrames(
            bag, topics, camera, args.sync_mode, args.sync_slop, rgb_from_depth=rgb_from_depth
        )
        segmenter = Segmenter.from_checkpoint(
            args.checkpoint, args.device, args.precision, args.backend
        )
        _check_classes(segmenter, frames, args)
        if args.json != '-':
            print(f'{segmenter.description}\n{args.bag}')
        watch = report and report.watch
        evaluation = evaluate(segmenter, frames, length_hint(frames), watch=watch)
        count = len(evaluation.frames)
        if not count:
            raise no_frame_error(bag, frames)
        if args.json != '-':
            _print_report(evaluation.confusion, count, frames)
        metrics = evaluation.to_json() | {
            'pairs': frames.pairs,
            'unlabelled': frames.unlabelled,
            'unpaired': dict(frames.dropped),
            'damage': bag.damage,
            'provenance': provenance(
                args.command_line, args.checkpoint, segmenter, {'name': args.bag.name}
            ),
        }
        if args.json:
            write_json(args.json, metrics)
        if report:
            report.write(metrics, segmenter.label_set)
        if bag.damage:
            recorded = bag.recorded.get(topics.rgb)
            of = f' of {recorded}' if recorded else ''
            raise SgnetError(f'{bag.damage}; scored the {count}{of} frames before that')
    return 0


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


def _print_report(confusion, count: int, frames) -> None:
    print(confusion.table())
    print(f'{count} frames scored, {frames.pairs} pairs, {frames.unlabelled} without labels')
    for cause, messages in frames.dropped.items():
        print(f'{messages} messages not used: {cause}')
