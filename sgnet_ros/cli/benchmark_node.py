# SPDX-License-Identifier: Apache-2.0
"""Measure the node from camera to mask: camera, node and listener are three processes over DDS.

For every combination of rate, size and outputs: frames per second, latency, the time that the node
adds to the network, drops by cause, CPU time and memory. The default run takes some four minutes.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from sgnet_core.cli.options import add_options
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.io.files import check_json_destination, write_json

NODE_OPTIONS = ('checkpoint', 'device', 'precision', 'backend')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        '--rate',
        action='append',
        metavar='HZ',
        help='camera rate, max = without pauses; repeatable; default: 5, 10, 30, 60 and max',
    )
    add_options(
        parser,
        'size',
        action='append',
        help='frame size, repeatable; default: 480x640 and 720x1280',
    )
    add(
        '--outputs',
        action='append',
        metavar='NAMES',
        help='topics to subscribe to, for example mask,points; repeatable; default: mask, and '
        'mask,color,overlay',
    )
    add('--seconds', type=float, default=5.0, metavar='S', help='duration of a case; default: 5')
    add_options(parser, 'stand-in')
    for name in NODE_OPTIONS:
        add(f'--{name}', help='as the parameter of the node')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    check_json_destination(args.json)
    # The node logs which ROS packages are replaced.
    logging.getLogger('sgnet_ros.compat.ros_api').setLevel(logging.WARNING)
    from sgnet_core.runtime.device import resolve_device  # isort: skip  torch comes before cv2
    from tqdm import tqdm

    from sgnet_core.benchmark.report import environment
    from sgnet_ros.benchmark.report import as_text, check_counts, row
    from sgnet_ros.benchmark.suite import run_case
    from sgnet_ros.compat.dds_profile import large_image_profile
    from sgnet_ros.compat.ros_domain import private_domain
    from sgnet_ros.compat.signals import interruptible

    cases = _cases(args)
    parameters = {name: getattr(args, name) for name in NODE_OPTIONS if getattr(args, name)}
    if args.checkpoint:
        parameters['checkpoint'] = str(Path(args.checkpoint).resolve())
    profile = large_image_profile(os.environ)
    protocol = {
        **environment(resolve_device(args.device or 'auto')),
        'node': ', '.join(f'{name}:={value}' for name, value in parameters.items()) or 'defaults',
        'dds_profile': Path(next(iter(profile.values()), 'set by the user')).name,
        'seconds': args.seconds,
    }
    os.environ.update({**private_domain(os.environ), **profile})
    rows: list[dict[str, Any]] = []
    ended_by: BaseException | None = None
    with (
        interruptible() as stop,
        tempfile.TemporaryDirectory(prefix='benchmark_node_') as folder,
        tqdm(cases, 'benchmark_node', unit='case', disable=None) as bar,
    ):
        try:
            for case in bar:
                bar.set_postfix_str(case.name)
                rows.append(row(case, run_case(case, parameters, Path(folder), stop)))
        except (SgnetError, KeyboardInterrupt) as error:
            ended_by = error  # the finished cases are valid
    protocol['interrupted'] = len(rows) < len(cases)
    values = {'protocol': protocol, 'rows': rows}
    if args.json != '-':
        print(as_text(values))
    write_json(args.json, values)
    if ended_by is not None:
        raise ended_by
    for made in rows:
        check_counts(made)
    return 0


def _cases(args: argparse.Namespace) -> list[Any]:
    """Every combination of size, outputs and rate."""
    from sgnet_ros.benchmark.suite import Case

    combinations = itertools.product(
        args.size or [(480, 640), (720, 1280)],
        args.outputs or ['mask', 'mask,color,overlay'],
        map(_rate_hz, args.rate or ['5', '10', '30', '60', 'max']),
    )
    cases = (
        Case(size, rate_hz, tuple(dict.fromkeys(names.split(','))), args.seconds, args.stand_in)
        for size, names, rate_hz in combinations
    )
    return list(dict.fromkeys(cases))


def _rate_hz(text: str) -> float:
    try:
        return float('inf' if text == 'max' else text)
    except ValueError:
        raise InputError(f'--rate must be a number of Hz or max, got {text!r}') from None
