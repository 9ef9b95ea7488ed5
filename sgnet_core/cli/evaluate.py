# SPDX-License-Identifier: Apache-2.0
"""Evaluate checkpoints on a dataset folder: accuracy with labels, temporal consistency with poses.

Processes started by torchrun share the frames and give the same results. After Ctrl-C, the results
cover the frames seen so far by all processes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.errors import InputError
from sgnet_core.io.files import check_json_destination, write_json

if TYPE_CHECKING:
    from sgnet_core.evaluation import Evaluation
    from sgnet_core.evaluation.multi_scale import MultiScaleSegmenter
    from sgnet_core.inference.segmenter import Segmenter
    from sgnet_core.report.frame_selection import FrameSelector
    from sgnet_core.runtime.distributed import DistributedContext
    from sgnet_core.types import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_options(parser, 'data', required=True)
    add_options(parser, 'split', 'limit')
    checkpoints = (
        'checkpoint, or .onnx file from `export`; several are compared side by side (default: '
        'the bundled model)'
    )
    add_options(parser, 'checkpoint', nargs='+', default=[None], help=checkpoints)
    add_options(parser, 'device', 'precision', 'backend')
    scales = 'average the scores over these input scales, for example 0.8,1.0,2.0'
    add('--scales', type=_scales, default=[1.0], metavar='S,S,...', help=scales)
    add('--flip', action='store_true', help='also average over the mirrored image')
    missing = 'fraction of depth pixels to remove, in patches (0-1)'
    add('--missing-depth', type=float, default=0.0, metavar='FRACTION', help=missing)
    corrupted = 'also evaluate under corrupted colour and depth: 30 more passes, 33 with poses'
    add('--robustness', action='store_true', help=corrupted)
    add_options(parser, 'out', help='folder for the report; subfolders if several checkpoints')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    import logging

    from sgnet_core.cli.runner import INTERRUPTED
    from sgnet_core.evaluation.tables import side_by_side
    from sgnet_core.runtime.distributed import distributed_context

    if not 0 <= args.missing_depth <= 1:
        raise InputError(f'--missing-depth must be from 0 to 1, got {args.missing_depth}')
    if args.robustness and args.missing_depth:
        raise InputError('--robustness takes depth away itself: give it without --missing-depth')
    check_positive(args, 'limit')
    check_json_destination(args.json)
    samples = _Samples(args)
    found: dict[str, dict[str, Any]] = {}
    several, interrupted = len(args.checkpoint) > 1, False
    with distributed_context(args.device) as (distributed, device):
        if not distributed.is_main:
            logging.disable(logging.INFO)
        # Load all checkpoints before the first long evaluation.
        segmenters = [_segmenter(args, samples, path, device) for path in args.checkpoint]
        pairs = zip(args.checkpoint, segmenters, strict=True)
        for number, (checkpoint, segmenter) in enumerate(pairs, 1):
            name = f'{number}_{checkpoint.stem}' if several else ''
            try:
                metrics = _measure(args, samples, checkpoint, segmenter, distributed, name)
            except KeyboardInterrupt:
                if not found:
                    raise
                interrupted = True
                break
            found[str(checkpoint)] = metrics
            interrupted = metrics['interrupted'] or metrics['robustness_interrupted']
            if interrupted:
                break
    if distributed.is_main:
        if len(found) > 1 and args.json != '-':
            print(side_by_side(found))
        write_json(args.json, {'checkpoints': found} if several else metrics)
    return INTERRUPTED if interrupted else 0


class _Samples:
    """The frames that the arguments select, with depth removed by --missing-depth."""

    def __init__(self, args: argparse.Namespace) -> None:
        from sgnet_core.data.folder_dataset import FolderDataset

        self.data = FolderDataset(args.data, args.split)
        self.name = f'{self.data.name}, split {args.split or "all"}'
        self._missing_depth = args.missing_depth
        self._length = min(len(self.data), args.limit or len(self.data))
        if not self.data.has_labels and (args.robustness or not self.data.has_poses):
            needed = 'labels' if args.robustness else 'labels and no poses'
            raise InputError(f'{args.data} has no {needed}: there is nothing to compare with')

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        from sgnet_core.data.depth_noise import remove_depth

        sample, share = self.data[index], self._missing_depth
        return remove_depth(sample, share, index) if share else sample


def _scales(text: str) -> list[float]:
    from argparse import ArgumentTypeError

    try:
        return [float(scale) for scale in text.split(',')]
    except ValueError:
        raise ArgumentTypeError(f'{text!r} is not a list of numbers like 0.8,1.0,2.0') from None


def _segmenter(
    args: argparse.Namespace, samples: _Samples, checkpoint: Path | None, device: str
) -> Segmenter | MultiScaleSegmenter:
    """Load a checkpoint; InputError if its classes are not those of the labels."""
    from sgnet_core.evaluation import check_same_classes
    from sgnet_core.evaluation.multi_scale import load_segmenter

    options = device, args.precision, args.backend
    segmenter = load_segmenter(checkpoint, args.scales, args.flip, *options)
    if samples.data.has_labels:
        check_same_classes(segmenter, samples.data.class_names, str(args.data))
    return segmenter


def _measure(
    args: argparse.Namespace,
    samples: _Samples,
    checkpoint: Path | None,
    segmenter: Segmenter | MultiScaleSegmenter,
    distributed: DistributedContext,
    name: str,
) -> dict[str, Any]:
    """The metrics of one checkpoint; the first process prints and reports them to `name`."""
    from sgnet_core.evaluation.provenance import provenance
    from sgnet_core.evaluation.robustness import relative_miou
    from sgnet_core.report.frame_selection import FrameSelector
    from sgnet_core.report.writer import ReportFolder

    report = ReportFolder(args.out / name) if args.out and distributed.is_main else None
    selector = (report.selector if report else FrameSelector()) if args.out else None
    evaluation, rows, interrupted = _evaluate(args, segmenter, samples, distributed, selector)
    # Robustness starts after all frames without corruption.
    begun = args.robustness and len(evaluation.frames) == len(samples)
    metrics = evaluation.to_json() | {
        'interrupted': interrupted and not begun,
        'robustness': rows or None,
        'robustness_interrupted': interrupted and begun,
        'retained_miou': relative_miou(rows, not interrupted),
    }
    if args.missing_depth:
        metrics['missing_depth'] = args.missing_depth
    source = {'name': samples.data.name, 'split': args.split or 'all'}
    metrics['provenance'] = provenance(
        args.command_line, checkpoint, segmenter.description, segmenter.device, source
    )
    if distributed.is_main and args.json != '-':
        _print(args, samples, segmenter.description, evaluation, metrics)
    if report:
        report.write(metrics, segmenter.label_set)
    return metrics


def _evaluate(
    args: argparse.Namespace,
    segmenter: Segmenter | MultiScaleSegmenter,
    samples: _Samples,
    distributed: DistributedContext,
    selector: FrameSelector | None,
) -> tuple[Evaluation, list[dict[str, Any]], bool]:
    """Counts of all processes, robustness, and whether Ctrl-C came."""
    from sgnet_core.evaluation import Evaluation, evaluate
    from sgnet_core.evaluation.multi_scale import protocol
    from sgnet_core.evaluation.robustness import measure_robustness

    def gather(part: Evaluation) -> Evaluation:
        first, *others = distributed.gather(part)
        for other in others:
            first.add(other)
        return first

    mine, rows, shown = distributed.shard(len(samples)), [], distributed.is_main
    words = protocol(args.scales, args.flip)
    if args.missing_depth:
        words += f', without {args.missing_depth:.0%} of the depth'
    evaluation = Evaluation(segmenter.class_names, words)
    if mine.start and samples.data.has_poses:
        before = samples[mine.start - 1]
        evaluation.start_after(before, segmenter.segment(before.frame))
    frames, on_frame = (samples[i] for i in mine), selector and selector.update
    stopped = False
    try:
        evaluate(segmenter, frames, len(mine), shown, evaluation, on_frame)
    except KeyboardInterrupt:
        stopped = True
    # Also after Ctrl-C: the other processes wait for these counts.
    stopped = any(distributed.gather(stopped))
    evaluation = gather(evaluation)
    if selector:
        for other in distributed.gather(selector)[1:]:
            selector.add(other)
    if stopped and not evaluation.frames:
        raise KeyboardInterrupt
    if args.robustness and not stopped:
        done = measure_robustness(segmenter, samples, mine, evaluation, gather, shown)
        try:
            # After Ctrl-C the complete corruptions remain.
            for corruption in done:
                rows += corruption
        except KeyboardInterrupt:
            stopped = True
    return evaluation, rows, stopped


def _print(
    args: argparse.Namespace,
    samples: _Samples,
    network: str,
    evaluation: Evaluation,
    metrics: dict[str, Any],
) -> None:
    from sgnet_core.evaluation.robustness import table
    from sgnet_core.evaluation.tables import details

    seen = f'{metrics["frames"]} frames'
    if metrics['interrupted']:
        seen = f'interrupted, {metrics["frames"]} of {len(samples)} frames seen'
    print(f'{network}\n{samples.name}, {seen}\n{metrics["protocol"]}')
    if samples.data.has_labels:
        print(evaluation.confusion.table())
    print(details(metrics))
    if metrics['retained_miou']:
        print(table(metrics['robustness'], metrics['retained_miou']))
    if metrics['robustness_interrupted']:
        print('robustness was interrupted: only complete corruptions are shown')
