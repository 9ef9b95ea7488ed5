# SPDX-License-Identifier: Apache-2.0
"""Evaluate a checkpoint on the labelled frames of a bag, offline or through the running node.

Offline, the default, no frame is dropped and the results are reproducible. With --live, the bag is
played to the node over DDS; the results also cover dropped frames and latency.

Colour and depth are paired as in the node. Labels are a mono8 image topic with the stamps of the
colour images, 255 = unlabelled, as written by frames_to_bag, or images in a folder. If a bag is
damaged, differs from its metadata.yaml or has invalid frames, the remaining frames are evaluated
and the exit status is 1. After Ctrl-C, the results cover the frames seen so far.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.io.files import check_json_destination, write_json
from sgnet_ros.bag import options
from sgnet_ros.replay.options import add_online_options, check_online_options

if TYPE_CHECKING:
    from sgnet_ros.bag.frames import BagFrames
    from sgnet_ros.bag.labels import FolderLabels
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.replay.bag_evaluation import BagEvaluation

_logger = logging.getLogger(__name__)

FIXED_FRAME = 'odom'
_COMPARED = {
    'mIoU %': ('miou', None, 100),
    'pixel accuracy %': ('pixel_accuracy', None, 100),
    'consistency %': ('temporal_consistency', 'agreement', 100),
    'time, median ms': ('latency_ms', 'p50', 1),
}
"""Name of a metric -> its key, the key below that, and the factor of its unit."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_bag(parser)
    add_options(parser, 'checkpoint', 'device', 'precision', 'backend')
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='folder of labels instead of a topic: from bag_to_frames, or PNG files of class ids '
        'named by stamp, or by index of the pair from 0',
    )
    parser.add_argument(
        '--remap',
        type=Path,
        metavar='FILE',
        help='YAML file that merges classes, for example config/nyu40_to_nyu13.yaml',
    )
    parser.add_argument(
        '--temporal',
        action='store_true',
        help='evaluate temporal.mode scores of the node, and compare it with off; needs no labels '
        'if the bag has TF',
    )
    parser.add_argument(
        '--fixed-frame',
        metavar='FRAME',
        help=f'with --temporal: TF frame of the camera poses (default: {FIXED_FRAME})',
    )
    options.add_frame_options(parser)
    add_online_options(parser)
    parser.add_argument(
        '--write-bag', type=Path, metavar='BAG', help='write a copy of the bag with the masks added'
    )
    add_options(parser, 'out', help='folder for the report')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    check_online_options(args)
    if args.live and args.temporal:
        raise InputError('--temporal is for offline use; give --param temporal.mode:=scores')
    if args.fixed_frame and not args.temporal:
        raise InputError('--fixed-frame needs --temporal')
    check_json_destination(args.json)
    # torch must be imported before cv2.
    from sgnet_core.report.writer import ReportFolder
    from sgnet_ros.replay.bag_evaluation import BagEvaluator

    # isort: split
    from sgnet_ros.bag.labels import FolderLabels
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.replay.result import table

    if args.write_bag is not None and args.write_bag.exists():
        raise InputError(f'{args.write_bag} exists; remove it or choose another --write-bag')
    labels = None if args.labels is None else FolderLabels(args.labels)
    with Bag(args.bag) as bag:
        frames = _frames(args, bag, labels)
        report = ReportFolder(args.out) if args.out else None
        evaluator = BagEvaluator(args, bag, frames, report and report.selector.update)
        result = evaluator.online() if args.live else evaluator.offline()
        if not result.counts.frames:
            raise KeyboardInterrupt if result.interrupted else _no_frame_error(bag, frames, result)
        metrics = _metrics(bag, frames, result)
        if args.json != '-':
            print(f'{result.network}\n{args.bag}\n{result.counts.confusion.table()}')
            unlabelled = f'{metrics["unlabelled"]} pairs without labels'
            print(f'{metrics["frames"]} frames evaluated, {unlabelled}')
            unpaired = f'messages without a pair: {options.unpaired(frames)}'
            print(table(metrics) if result.replay else f'{metrics["pairs"]} pairs, {unpaired}')
            if metrics['temporal']:
                print(_temporal_table(metrics))
        write_json(args.json, metrics)
        if report:
            report.write(metrics, result.label_set)
        if result.interrupted:
            raise KeyboardInterrupt
        _raise_if_incomplete(args, bag, frames, metrics)
    return 0


def _frames(args: argparse.Namespace, bag: 'Bag', labels: 'FolderLabels | None') -> 'BagFrames':
    """The frames; with --temporal also their poses if the bag has TF, and then without labels."""
    from sgnet_ros.bag.transforms import TF, BagTransforms

    topics, transforms = options.frame_topics(args), None
    if args.temporal and (args.fixed_frame or TF in bag.topics):
        transforms = BagTransforms(bag, args.fixed_frame or FIXED_FRAME)
        if topics.labels not in bag.topics:
            topics = replace(topics, labels=None)
    elif args.temporal:
        _logger.warning('%s: no %s: the camera is taken to stand still', args.bag, TF)
    return options.open_frames(bag, args, topics, labels, transforms)


def _metrics(bag: 'Bag', frames: 'BagFrames', result: 'BagEvaluation') -> dict[str, Any]:
    """The metrics for `--json`."""
    without = None if result.without_past is None else result.without_past.to_json()
    metrics = result.counts.to_json() | {
        'temporal': without and {'off': {key: without[key] for key, *_ in _COMPARED.values()}},
        'pairs': frames.pairs,
        'unlabelled': frames.unlabelled,
        'unpaired': dict(frames.dropped),
        'unusable': len(frames.skipped),
        'damage': bag.damage,
        'interrupted': result.interrupted,
        'provenance': result.provenance,
    }
    if result.replay is not None:
        metrics |= result.replay.metrics(frames.topics.rgb)
    if result.replay is not None:
        metrics['calibration'] = None  # masks have no confidence
    return metrics


def _temporal_table(metrics: dict[str, Any]) -> str:
    """The metrics of `_COMPARED` with `temporal.mode` off and scores."""
    lines = [f'{"temporal.mode":20}{"off":>9}{"scores":>9}']
    for name, (key, part, factor) in _COMPARED.items():
        values = [m[key] for m in (metrics['temporal']['off'], metrics)]
        if part:
            values = [value and value[part] for value in values]
        texts = ['-' if value is None else f'{factor * value:.2f}' for value in values]
        lines.append(f'{name:20}' + ''.join(f'{text:>9}' for text in texts))
    return '\n'.join(lines)


def _no_frame_error(bag: 'Bag', frames: 'BagFrames', result: 'BagEvaluation') -> SgnetError:
    if result.replay is None or frames.pairs == frames.unlabelled:
        return options.no_frame_error(bag, frames)
    metrics = result.replay.metrics(frames.topics.rgb)
    return SgnetError(
        f'no mask for a labelled frame: {metrics["pairs"]} pairs, dropped: '
        f'{metrics["dropped"] or "none"}, not paired: {metrics["unpaired"] or "none"}; reduce '
        '--rate, or use --lossless'
    )


def _raise_if_incomplete(
    args: argparse.Namespace, bag: 'Bag', frames: 'BagFrames', metrics: dict[str, Any]
) -> None:
    """Raise if the metrics, already written, do not cover the whole bag."""
    count = metrics['frames']
    if bag.damage:
        raise SgnetError(f'{bag.damage}; evaluated the {count} frames that can be read')
    if frames.skipped:
        raise SgnetError(
            f'{len(frames.skipped)} invalid frames, the first: {frames.skipped[0]}; evaluated the '
            f'other {count}'
        )
    lost = frames.pairs - frames.unlabelled - count
    if args.lossless and lost:
        raise SgnetError(
            f'not lossless: {lost} of {count + lost} labelled frames have no mask; dropped: '
            f'{metrics["dropped"] or "none by the node"}; set queue.policy to all in the node'
        )
