# SPDX-License-Identifier: Apache-2.0
"""Compare two runs of evaluate or evaluate_bag and test the difference of each class.

The inputs are written by their options `--out` and `--json`. Differences are B - A over the common
frames, with 95 % intervals (paired bootstrap over frames) and p (paired randomization test; p of
classes is adjusted for their number by Holm's method).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError, SgnetError, first_line
from sgnet_core.io.files import write_file, write_json
from sgnet_core.io.text_files import read_json

_REMEDY = 'give a file or folder written by `evaluate --out DIR` or `--json FILE`'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('a', type=Path, help='metrics.json, or the folder it is in')
    add('b', type=Path, help='the run to compare with it')
    add_options(parser, 'out', help='write comparison.html and .json')
    add_options(parser, 'json')
    add('--resamples', type=int, default=5000, help='resamples of each test (default: 5000)')
    add_options(parser, 'seed')


def run(args: argparse.Namespace) -> None:
    from sgnet_core.evaluation.comparison import compare
    from sgnet_core.report.comparison_page import comparison_page, comparison_text

    if not 100 <= args.resamples <= 1_000_000:
        raise InputError(f'--resamples must be from 100 to 1000000, got {args.resamples}')
    a, b = _read(args.a), _read(args.b)
    try:
        found = compare(a, b, args.resamples, args.seed)
        text = comparison_text(a, b, found)
        page = comparison_page(a, b, found) if args.out else ''
    except SgnetError:
        raise
    except Exception as error:  # a value of another type than `evaluate` writes fails anywhere
        raise InputError(
            f'{args.a} or {args.b} has changed since it was written '
            f'({type(error).__name__}: {first_line(error)}); {_REMEDY}'
        ) from error
    if args.json != '-':
        print(text)
    write_json(args.json, found)
    if args.out:
        write_json(args.out / 'comparison.json', found)
        write_file(args.out / 'comparison.html', page)


def _read(path: Path) -> dict[str, Any]:
    """The metrics of a run; InputError unless `evaluate` wrote the file."""
    from sgnet_core.report.writer import METRICS

    file = path / METRICS if path.is_dir() else path
    try:
        values = read_json(file)
    except InputError as error:
        raise InputError(f'{error}; {_REMEDY}') from error
    if type(values) is dict and 'checkpoints' in values:
        raise InputError(
            f'{file} has several runs below its key `checkpoints`; evaluate each checkpoint by '
            'itself, or give the folders that `evaluate --out DIR` wrote for each'
        )
    missing = {'per_class', 'frame_scores', 'frames'} - set(values if type(values) is dict else ())
    if missing:
        raise InputError(f'{file} has no {", ".join(sorted(missing))}; {_REMEDY}')
    return values
