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
from pathlib import Path
from typing import Any

from sgnet_core.cli.options import add_options, image_size
from sgnet_core.io.files import check_json_destination, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--rate',
        action='append',
        metavar='HZ',
        help='of the camera, max = without pauses; repeatable; default: 5, 10, 30, 60 and max',
    )
    parser.add_argument(
        '--size',
        action='append',
        type=image_size,
        metavar='HxW',
        help='of the frames; repeatable; default: 480x640 and 720x1280',
    )
    parser.add_argument(
        '--outputs',
        action='append',
        metavar='NAMES',
        help='topics to subscribe to, for example mask,points; repeatable; default: mask, and '
        'mask,color,overlay',
    )
    parser.add_argument(
        '--seconds', type=float, metavar='S', help='duration of each case; default: 5'
    )
    parser.add_argument(
        '--stand-in',
        type=float,
        metavar='MS',
        help='replace the network by a fake one that takes MS milliseconds and no CPU time',
    )
    for name in ('checkpoint', 'device', 'precision', 'backend'):
        parser.add_argument(f'--{name}', help='as the parameter of the node')
    parser.add_argument(
        '--reliable', action='store_true', help='subscribe to the camera with reliable QoS'
    )
    parser.add_argument(
        '--quick', action='store_true', help='one small case with a fake network: a smoke test'
    )
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    check_json_destination(args.json)
    # The node logs which ROS packages are replaced; here it is no news.
    logging.getLogger('sgnet_ros.compat.ros_api').setLevel(logging.WARNING)
    from sgnet_core.runtime.device import resolve_device  # isort: skip  torch comes before cv2
    from sgnet_core.runtime.environment import load_average
    from sgnet_ros.benchmark.report import as_json, as_text
    from sgnet_ros.benchmark.suite import run_cases
    from sgnet_ros.compat.dds_profile import large_image_profile
    from sgnet_ros.compat.ros_domain import own_domain
    from sgnet_ros.compat.signals import interruptible

    cases = _cases(args)
    device = resolve_device(args.device or 'auto')
    parameters = _parameters(args)
    profile = large_image_profile(os.environ)
    protocol = {
        'node': ', '.join(f'{name}:={value}' for name, value in parameters.items()) or 'defaults',
        'dds_profile': next(iter(profile.values()), 'of the user').rpartition('/')[2],
        'load_before': load_average(),
    }
    os.environ.update({**own_domain(os.environ), **profile})
    with interruptible() as stop:
        seen, end = run_cases(cases, parameters, stop)
    values = as_json(cases, seen, protocol, device)
    if args.json != '-':
        print(as_text(values))
    if args.json:
        write_json(args.json, values)
    if end is not None:
        raise end
    return 0


def _cases(args: argparse.Namespace) -> list[Any]:
    """Every combination of size, outputs and rate."""
    from sgnet_ros.benchmark.config import Case

    quick = args.quick
    rates = args.rate or (['20'] if quick else ['5', '10', '30', '60', 'max'])
    sizes = args.size or ([(96, 128)] if quick else [(480, 640), (720, 1280)])
    outputs = args.outputs or (['mask'] if quick else ['mask', 'mask,color,overlay'])
    seconds = args.seconds if args.seconds is not None else 1.0 if quick else 5.0
    fake_ms = 0.0 if quick and args.stand_in is None else args.stand_in
    cases = [
        Case(size, _rate_hz(rate), tuple(dict.fromkeys(names.split(','))), seconds, fake_ms)
        for size, names, rate in itertools.product(sizes, outputs, rates)
    ]
    return list(dict.fromkeys(cases))


def _rate_hz(text: str) -> float:
    from sgnet_core.errors import InputError

    try:
        return float('inf' if text == 'max' else text)
    except ValueError:
        raise InputError(f'--rate must be a number of Hz or max, got {text!r}') from None


def _parameters(args: argparse.Namespace) -> dict[str, str]:
    """Parameters of the node that were asked for."""
    asked = {name: getattr(args, name) for name in ('checkpoint', 'device', 'precision', 'backend')}
    if args.checkpoint:
        asked['checkpoint'] = str(Path(args.checkpoint).resolve())
    asked['qos.input'] = 'reliable' if args.reliable else None
    return {name: value for name, value in asked.items() if value}
