# SPDX-License-Identifier: Apache-2.0
"""Validate a dataset before training: labels, depth units, alignment, intrinsics, splits.

Finds wrong label values (0/255, 40/41, label_offset), depth in a wrong unit or scaled per frame,
depth or labels that are mirrored or not aligned with colour, intrinsics for another image size,
missing classes and files, unreadable files, and splits that share frames. Prints histograms and
each finding with its remedy, and writes a contact sheet, check_dataset.png. Exit status: 0 without
errors, 1 with errors, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError
from sgnet_core.io.files import check_json_destination, write_json

SHEET = 'check_dataset.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data', type=Path, metavar='DIR', help='folder with a dataset.yaml')
    add_options(parser, 'split')
    add_options(parser, 'frames', help='frames to check, evenly spaced (default: all)')
    add_options(parser, 'out', default=Path(), help=f'folder for {SHEET} (default: current)')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.data.validation import report
    from sgnet_core.data.validation.validator import validate_dataset

    if args.out == Path() and Path.cwd().is_relative_to(args.data.resolve()):
        raise InputError(
            f'the contact sheet would be written into the data set, {Path.cwd()}; choose another '
            'folder with --out, or this folder with --out "$PWD"'
        )
    check_json_destination(args.json)
    args.out.mkdir(parents=True, exist_ok=True)
    result = validate_dataset(args.data, args.split, args.frames)
    if result.read:
        report.write_contact_sheet(args.out / SHEET, result)
    if args.json != '-':
        print(report.text(result))
        if result.read:
            print(f'contact sheet: {args.out / SHEET}')
    write_json(args.json, report.json_values(result))
    return 1 if result.errors else 0
