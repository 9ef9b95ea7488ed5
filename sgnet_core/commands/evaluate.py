# SPDX-License-Identifier: Apache-2.0
"""Measure a checkpoint on a labelled folder data set: single scale, full image."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--data', type=Path, required=True, help='folder with a dataset.yaml')
    parser.add_argument('--split', help='of the data set, for example val; default: all frames')
    parser.add_argument('--checkpoint', type=Path, help='default: the shipped one')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--precision', default='auto', help='auto, fp32, fp16 or bf16')
    parser.add_argument('--backend', default='auto', help='auto, torch or onnxruntime')
    parser.add_argument(
        '--missing-depth',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='first take away this share of the depth, in patches; 1 = all of it',
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='write a report into this folder')
    parser.add_argument(
        '--json', metavar='FILE', help='write the figures here (- = standard output)'
    )


def run(args: argparse.Namespace) -> int:
    from sgnet_core.cli import write_json
    from sgnet_core.data.folder import FolderDataset
    from sgnet_core.errors import InputError
    from sgnet_core.evaluation import check_same_classes, evaluate
    from sgnet_core.provenance import provenance
    from sgnet_core.report.write import ReportFolder
    from sgnet_core.segmenter import Segmenter
    from sgnet_core.training.depth_sensor import without_some_depth

    share = args.missing_depth
    if not 0 <= share <= 1:
        raise InputError(f'--missing-depth must be from 0 to 1, got {share}')
    report = ReportFolder(args.out) if args.out else None
    data = FolderDataset(args.data, args.split)
    segmenter = Segmenter.from_checkpoint(
        args.checkpoint, args.device, args.precision, args.backend
    )
    check_same_classes(segmenter, data.class_names, str(args.data))
    samples = data
    if share:
        samples = (without_some_depth(sample, share, seed) for seed, sample in enumerate(data))
    evaluation = evaluate(segmenter, samples, len(data), watch=report and report.watch)
    if args.json != '-':
        print(segmenter.description)
        print(f'{data.name}, split {args.split or "all"}, {len(data)} frames')
        if share:
            print(f'without {share:.0%} of the depth')
        print(evaluation.confusion.table())
    metrics = evaluation.to_json()
    if share:
        metrics['missing_depth'] = share
    source = {'name': data.name, 'split': args.split or 'all'}
    metrics['provenance'] = provenance(args.command_line, args.checkpoint, segmenter, source)
    if args.json:
        write_json(args.json, metrics)
    if report:
        report.write(metrics, segmenter.label_set)
    return 0
