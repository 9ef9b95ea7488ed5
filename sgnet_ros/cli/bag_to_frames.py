# SPDX-License-Identifier: Apache-2.0
"""Write a bag as a dataset folder: colour, depth, camera, and labels if the bag has them.

The inverse of frames_to_bag. Colour and depth are paired as in the node. With --classes, the folder
is prepared for annotation: OUT/label/ID.png holds, for each pixel, the line number of its class in
OUT/classes.txt, 0 = void. Depth is stored in millimetres. After Ctrl-C the folder is a valid
dataset of the frames so far. A damaged bag is read as far as possible; the exit status is 1.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise, takewhile
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.errors import DataError, InputError, SgnetError
from sgnet_core.io.files import atomic_write, check_new_folder, write_json
from sgnet_ros.bag import options
from sgnet_ros.bag.frame_topics import FrameTopics

if TYPE_CHECKING:
    from sgnet_core.types import Sample
    from sgnet_ros.bag.frames import BagFrames
    from sgnet_ros.bag.reader import Bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_bag(parser)
    parser.add_argument(
        'out', type=Path, metavar='OUT', help='dataset folder to create; must be new or empty'
    )
    subsampling = parser.add_mutually_exclusive_group()
    subsampling.add_argument(
        '--every', type=int, default=1, metavar='N', help='keep every N-th frame (default: 1)'
    )
    add_options(subsampling, 'rate', help='maximum frame rate in Hz (default: all frames)')
    add_options(parser, 'limit')
    parser.add_argument(
        '--classes',
        type=Path,
        metavar='FILE',
        help='text file of class names, one per line: prepare OUT for annotation, ignore labels in '
        'the bag',
    )
    parser.add_argument(
        '--ids',
        choices=('stamp', 'index'),
        default='stamp',
        help='name frames by stamp in seconds (default) or by index from 0',
    )
    add_options(parser, 'png')
    options.add_frame_options(parser)
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'every', 'limit', 'rate')
    from tqdm import tqdm

    from sgnet_core.data.annotation_template import read_class_list

    # isort: split
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.compat.signals import interruptible

    check_new_folder(args.out)
    own_classes = None if args.classes is None else read_class_list(args.classes)
    with Bag(args.bag) as bag, interruptible() as stop:
        frames = _open(bag, args, labels=own_classes is None)
        bar = tqdm(frames, total=length_hint(frames), unit='frame', disable=None)
        samples = takewhile(lambda _: not stop.is_set(), bar)
        chosen = islice(_subsample(samples, args.every, args.rate), args.limit)
        with atomic_write(args.out) as folder:
            rate_hz, count = _write(chosen, folder, args, frames, own_classes)
            if not count:
                raise KeyboardInterrupt if stop.is_set() else options.no_frame_error(bag, frames)
        _report(args, bag, frames, count, rate_hz)
        if bag.damage and not stop.is_set():
            raise SgnetError(f'{bag.damage}; wrote the {count} frames that can be read')
    if stop.is_set():
        raise KeyboardInterrupt
    return 0


def _open(bag: 'Bag', args: argparse.Namespace, labels: bool) -> 'BagFrames':
    topics = options.frame_topics(args)
    recorded = bag.topics.get(topics.labels)
    is_chosen = topics.labels != FrameTopics().labels
    if not labels or not (is_chosen or (recorded and recorded.count)):
        topics = replace(topics, labels=None)
    frames = options.open_frames(bag, args, topics)
    if topics.labels and frames.class_names is None:
        raise DataError(
            f'{bag.path}: no class names on {topics.label_names} for the labels on '
            f'{topics.labels}; set --label-names-topic, or ignore the labels with --classes'
        )
    return frames


def _subsample(
    samples: 'Iterable[Sample]', every: int, rate_hz: float | None
) -> 'Iterator[Sample]':
    """Every N-th sample, or samples at `rate_hz`."""
    from sgnet_ros.bag.frames import stamp_of

    if rate_hz is None:
        yield from islice(samples, 0, None, every)
        return
    period_ns, due_ns, last_ns = 1e9 / rate_hz, None, 0
    for sample in samples:
        stamp_ns = stamp_of(sample)
        if due_ns is None or stamp_ns < last_ns:  # the first, or the bag goes back in time
            due_ns = stamp_ns
        last_ns = stamp_ns
        # The stamps of cameras jitter: accept a frame that is a little early.
        if stamp_ns >= due_ns - period_ns / 4:
            yield sample
            due_ns = max(due_ns + period_ns, stamp_ns + period_ns / 2)


def _write(
    samples: 'Iterable[Sample]',
    folder: Path,
    args: argparse.Namespace,
    frames: 'BagFrames',
    own_classes: tuple[str, ...] | None,
) -> tuple[float | None, int]:
    """Write the valid samples; returns the median rate and the number of frames."""
    from sgnet_core.data.annotation_template import write_annotation_template
    from sgnet_core.data.folder_writer import FolderWriter
    from sgnet_ros.bag.frames import stamp_of

    writer, stamps = None, []
    for sample in samples:
        writer = writer or FolderWriter(
            folder,
            args.bag.stem,
            sample.frame.intrinsics,
            frames.class_names,
            image_suffix='.png' if args.png else '.jpg',
        )
        sample_id = sample.id if args.ids == 'stamp' else f'{len(stamps):06d}'
        try:
            writer.write(replace(sample, id=sample_id))
        except InputError as error:  # another camera, or the stamp of an earlier frame
            frames.skipped.append(str(error))
        else:
            stamps.append(stamp_of(sample))
    intervals = sorted(b - a for a, b in pairwise(stamps) if b > a)
    rate_hz = float(f'{1e9 / intervals[len(intervals) // 2]:.6g}') if intervals else None
    if stamps:
        writer.close(rate_hz)
        if own_classes:
            write_annotation_template(folder, own_classes)
    return rate_hz, len(stamps)


def _report(
    args: argparse.Namespace, bag: 'Bag', frames: 'BagFrames', count: int, rate_hz: float | None
) -> None:
    if args.json != '-':
        rate = f' at {rate_hz:g} Hz' if rate_hz else ''
        labels = f'{len(frames.class_names)} classes' if frames.class_names else 'no labels'
        if args.classes and count:
            labels = f'labels to be painted in {args.out / "label"}'
        print(f'bag_to_frames: {count} frames of {frames.pairs} pairs{rate}, {labels}: {args.out}')
        if frames.dropped:
            print(f'messages without a pair: {options.unpaired(frames)}')
        if frames.skipped:
            print(f'{len(frames.skipped)} frames skipped; the first: {frames.skipped[0]}')
    if args.json:
        summary = {
            'frames': count,
            'rate_hz': rate_hz,
            'pairs': frames.pairs,
            'unlabelled': frames.unlabelled,
            'unpaired': dict(frames.dropped),
            'skipped': frames.skipped,
            'damage': bag.damage,
        }
        write_json(args.json, summary)
