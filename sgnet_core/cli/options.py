# SPDX-License-Identifier: Apache-2.0
"""The command-line options that several commands share: one name, metavar and help text each."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgnet_core.errors import InputError

_logger = logging.getLogger(__name__)

MAX_SIDE = 16384
MIN_NUMBER, MAX_NUMBER = 1e-6, 1_000_000_000
MAX_SECONDS = 86_400


def image_size(text: str) -> tuple[int, int]:
    """The type of an argument HEIGHTxWIDTH: (height, width) in pixels."""
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not match or max(map(int, match.groups())) > MAX_SIDE:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not HEIGHTxWIDTH of at most {MAX_SIDE} pixels each, as in 480x640'
        )
    return int(match[1]), int(match[2])


def up_to(most: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from 0 to `most`."""

    def number(text: str) -> int:
        if not re.fullmatch(r'\d{1,19}', text) or int(text) > most:
            raise argparse.ArgumentTypeError(f'{text!r} is not a whole number from 0 to {most}')
        return int(text)

    return number


OPTIONS: dict[str, dict[str, Any]] = {
    'data': {'type': Path, 'metavar': 'DIR', 'help': 'dataset folder, with a dataset.yaml'},
    'split': {'help': 'split of the dataset (default: all frames)'},
    'limit': {'type': int, 'metavar': 'N', 'help': 'use only the first N frames (default: all)'},
    'frames': {'type': int, 'metavar': 'N'},
    'rate': {'type': float, 'metavar': 'HZ'},
    'size': {'type': image_size, 'metavar': 'HxW'},
    'depth-scale': {
        'type': float,
        'metavar': 'M',
        'help': 'metres per depth unit of PNGs (default: 0.001)',
    },
    'camera': {'metavar': 'FX,FY,CX,CY', 'help': 'intrinsics in pixels, pixel centres from 0'},
    'checkpoint': {
        'type': Path,
        'metavar': 'FILE',
        'help': 'checkpoint (default: the bundled model)',
    },
    'device': {'default': 'auto', 'help': 'auto (default), cpu, cuda or cuda:N'},
    'precision': {'default': 'auto', 'help': 'auto (default), fp32, fp16 or bf16'},
    'backend': {'default': 'auto', 'help': 'auto (default), torch or onnxruntime'},
    'workers': {
        'type': up_to(256),
        'default': 1,
        'metavar': 'N',
        'help': 'loader processes (default: 1)',
    },
    'seed': {
        'type': up_to(2**63 - 1),
        'default': 0,
        'metavar': 'N',
        'help': 'random seed (default: 0)',
    },
    'stand-in': {
        'type': float,
        'metavar': 'MS',
        'help': 'replace the network by a fake one that takes MS milliseconds and no CPU time',
    },
    'png': {'action': 'store_true', 'help': 'write colour as PNG (lossless) instead of JPEG'},
    'out': {'type': Path, 'metavar': 'DIR', 'help': 'output folder'},
    'json': {'metavar': 'FILE', 'help': 'write the results as JSON to FILE (- = standard output)'},
}
"""Name -> arguments of `add_argument`. A row without `help` gets it where it is used."""


def add_options(parser: argparse._ActionsContainer, *names: str, **changes: Any) -> None:
    """Add rows of `OPTIONS`, with `changes` in each of them, for example `required=True`."""
    for name in names:
        parser.add_argument(f'--{name}', **(OPTIONS[name] | changes))


def add_old_name(parser: argparse._ActionsContainer, old: str, new: argparse.Action) -> None:
    """Accept `old` as a name of the option `new`: hidden in the help, and with a warning."""

    class OldName(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None) -> None:
            print(
                f'{parser.prog}: {old} is deprecated; use {new.option_strings[0]}', file=sys.stderr
            )
            new(parser, namespace, values, option_string)

    parser.add_argument(
        old, dest=new.dest, default=new.default, action=OldName, help=argparse.SUPPRESS
    )


def check_positive(args: argparse.Namespace, *names: str) -> None:
    """Check numeric options; an option that was not given (None) passes.

    Raises:
        InputError: a count is below 1, another number is not above 0, or a number is implausible:
            below 1e-6 or above 1e9.
    """
    for name in names:
        value = getattr(args, name)
        if value is None or MIN_NUMBER <= value <= MAX_NUMBER:
            continue
        bound = 'at least 1' if isinstance(value, int) else 'above 0'
        if value > 0:
            lowest = 1 if isinstance(value, int) else MIN_NUMBER
            bound = f'from {lowest:g} to {MAX_NUMBER:g}'
        raise InputError(f'--{name.replace("_", "-")} must be {bound}, got {value}')


def check_seconds(args: argparse.Namespace, *names: str) -> None:
    """Raise InputError unless these options are durations from 0 s to a day."""
    for name in names:
        if not 0 <= (value := getattr(args, name)) <= MAX_SECONDS:
            option = f'--{name.replace("_", "-")}'
            raise InputError(f'{option} must be from 0 to {MAX_SECONDS} seconds, got {value}')


def parse_camera(text: str | None) -> tuple[float, float, float, float] | None:
    """fx, fy, cx, cy of `--camera`, in pixels; None stays None.

    Raises:
        InputError: the text is not four numbers.
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


def check_depth_image(path: Path, raw: Any, scale: float, camera: Any) -> None:
    """Warn of an implausible `--camera` or `--depth-scale`; see `geometry.plausibility`.

    Raises:
        InputError: the camera is not possible.
    """
    from sgnet_core.geometry.plausibility import camera_problems, check_camera, depth_problems

    for problem in camera_problems(check_camera(camera)):
        _logger.warning('--camera: %s', problem)
    for problem in depth_problems(raw, scale, '--depth-scale'):
        _logger.warning('%s: %s', path, problem)
