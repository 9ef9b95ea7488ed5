# SPDX-License-Identifier: Apache-2.0
"""Runs one command of a table: arguments, logging, errors to exit status, Ctrl-C.

A command is a module with a docstring (its help), `add_arguments(parser)` and
`run(args) -> int | None`, where `args.command_line` is what was typed. It imports torch, cv2 and
rclpy inside `run`, so that `--help` stays instant. Exit status: 0 success, 1 a run that failed,
2 wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError, SgnetError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells expect it: 128 + SIGINT."""


def main(package: str, commands: dict[str, str], argv: Sequence[str] | None = None) -> int:
    """`python -m package COMMAND ...`: `commands` maps each command to one line of help."""
    parser = argparse.ArgumentParser(prog=f'python -m {package}')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name, summary in commands.items():
        subparsers.add_parser(name, help=summary, add_help=False)
    # Only the chosen command is imported; the table alone answers `python -m package --help`.
    chosen = parser.parse_args(arguments[:1]).command
    return run_command(package, chosen, arguments[1:])


def run_command(package: str, command: str, argv: Sequence[str] | None = None) -> int:
    """Run `package.commands.command` as a program and return its exit status."""
    # Where other processes want the cores too, as on a robot, OpenMP's threads must not spin for
    # milliseconds after every step: read when PyTorch is loaded, which is later.
    os.environ.setdefault('GOMP_SPINCOUNT', '20000')
    module = importlib.import_module(f'{package}.commands.{command}')
    parser = argparse.ArgumentParser(
        prog=command,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    # After `--ros-args` everything belongs to rclpy, which reads sys.argv itself.
    arguments = list(sys.argv[1:] if argv is None else argv)
    if '--ros-args' in arguments:
        arguments = arguments[: arguments.index('--ros-args')]
    args = parser.parse_args(arguments)
    args.command_line = shlex.join(['python', '-m', package, command, *arguments])
    logging.basicConfig(level=logging.INFO, format='%(levelname)s %(name)s: %(message)s')
    try:
        return int(module.run(args) or 0)
    except SgnetError as error:
        print(f'{command}: {error}', file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f'{command}: interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) went away: nothing is wrong. Keep Python's exit flush quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # A full disk, a missing folder, no permission: the system's words name file and cause.
        print(f'{command}: {error}', file=sys.stderr)
        return SgnetError.exit_status


def image_size(text: str) -> tuple[int, int]:
    """The type of an argument HEIGHTxWIDTH: (height, width)."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH, as in 480x640')
    return int(match[1]), int(match[2])


def parse_camera(text: str | None) -> tuple[float, float, float, float] | None:
    """fx, fy, cx, cy of `--camera`.

    Raises:
        InputError: it is not four numbers.
    """
    if text is None:
        return None
    try:
        fx, fy, cx, cy = (float(value) for value in text.split(','))
    except ValueError:
        raise InputError(
            f'--camera must be four numbers fx,fy,cx,cy in pixels, got {text!r}'
        ) from None
    return fx, fy, cx, cy


def check_json_destination(destination: str | Path | None) -> None:
    """Make sure, before a long run, that `write_json` can write there after it; None = nowhere.

    Raises:
        InputError: it cannot.
    """
    if destination is None or str(destination) == '-':
        return
    path = Path(destination)
    is_new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A device or a pipe is not opened twice.
        if is_new or path.is_file() or path.is_dir():
            path.open('a').close()
        if is_new:
            # Of processes that check at once another may have been first.
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f'--json {path} cannot be written ({error.strerror}): give a file in a folder that '
            'can, or - for standard output'
        ) from error


def write_json(destination: str | Path, values: dict[str, Any]) -> None:
    """Write `values` to a file, or to standard output where `destination` is `-`."""
    # A list of numbers stays on its line: a matrix looks like one. No string holds a line's end.
    text = re.sub(
        r'\[\n[^][{}"]*\]',
        lambda numbers: re.sub(r'\n\s*', '', numbers[0]).replace(',', ', '),
        json.dumps(values, indent=2, allow_nan=False),
    )
    if str(destination) == '-':
        print(text)
    else:
        path = Path(destination)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + '\n')
