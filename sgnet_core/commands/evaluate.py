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
        '--json', metavar='FILE', help='write the figures here (- = standard output)'
    )


def run(args: argparse.Namespace) -> int:
    from sgnet_core.cli import write_json
    from sgnet_core.data.folder import FolderDataset
    from sgnet_core.evaluation import check_same_classes, evaluate, report
    from sgnet_core.segmenter import Segmenter

    data = FolderDataset(args.data, args.split)
    segmenter = Segmenter.from_checkpoint(
        args.checkpoint, args.device, args.precision, args.backend
    )
    check_same_classes(segmenter, data.class_names, str(args.data))
    confusion, frames = evaluate(segmenter, data, len(data))
    if args.json != '-':
        print(f'{segmenter.description}\n{data.name}, split {args.split or "all"}, {frames} frames')
        print(confusion.table())
    if args.json:
        write_json(args.json, report(confusion, frames))
    return 0
