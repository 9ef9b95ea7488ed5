# SPDX-License-Identifier: Apache-2.0
"""Find in a folder data set what ruins trainings, before a night is lost on it.

Looks for labels that mean something else (0/255, 40/41, label_offset), depth in a wrong unit or
stretched for looking at, depth or labels mirrored or displaced against colour, intrinsics of
another image size, classes and frames that are missing, splits that share frames, and files that
cannot be read. Prints what there is and each finding with what to do, and writes a contact sheet,
check_dataset.png. Exit status: 0 without errors, 1 with errors, 2 wrong usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sgnet_core.command_options import add_options

SHEET = 'check_dataset.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data', type=Path, metavar='DIR', help='dataset folder, with a dataset.yaml'
    )
    add_options(parser, 'split')
    parser.add_argument(
        '--frames',
        type=int,
        metavar='N',
        help='check N evenly spaced frames (default: all, about 20 per second)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path(),
        metavar='DIR',
        help=f'folder for {SHEET} (default: the current folder)',
    )
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.data.validation import report
    from sgnet_core.data.validation.contact_sheet import sheet_of
    from sgnet_core.data.validation.validator import check_dataset
    from sgnet_core.errors import InputError
    from sgnet_core.files import check_json_destination, write_json
    from sgnet_core.visualize import write_png

    if args.out == Path() and Path.cwd().is_relative_to(args.data.resolve()):
        raise InputError(
            f'the contact sheet would go into the data set, {Path.cwd()}; choose another folder '
            'with --out, or this one with --out "$PWD"'
        )
    check_json_destination(args.json)
    args.out.mkdir(parents=True, exist_ok=True)
    checked = check_dataset(args.data, args.split, args.frames)
    if checked.read:
        write_png(args.out / SHEET, sheet_of(checked))
    if args.json != '-':
        print(report.text(checked))
        if checked.read:
            print(f'contact sheet: {args.out / SHEET}')
    if args.json:
        write_json(args.json, report.figures(checked))
    return 1 if checked.errors else 0
