# SPDX-License-Identifier: Apache-2.0
"""Measure the node from camera to mask: a camera, the node, a listener, three processes over DDS.

For every combination of rate, size and outputs: frames per second, latency, what the node adds to
the network, drops by cause, CPU of each process; then memory over many frames. The default run
takes about five minutes.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from sgnet_core.command_options import image_size
from sgnet_core.files import check_json_destination, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--rate',
        action='append',
        metavar='HZ',
        help='of the camera, max = flat out; may be repeated; default 5, 10, 30, 60 and max',
    )
    parser.add_argument(
        '--size',
        action='append',
        type=image_size,
        metavar='HxW',
        help='of the frames; may be repeated; default 480x640 and 720x1280',
    )
    parser.add_argument(
        '--outputs',
        action='append',
        metavar='NAMES',
        help='what is subscribed to, as mask,points; may be repeated; default mask, and '
        'mask,color,overlay',
    )
    parser.add_argument('--seconds', type=float, metavar='S', help='of each case; default 5')
    parser.add_argument(
        '--stand-in',
        type=float,
        metavar='MS',
        help='measure the node alone: in place of the network something that takes so many ms and '
        'no CPU',
    )
    parser.add_argument(
        '--memory-frames',
        type=int,
        default=10_000,
        metavar='N',
        help='weigh the node over so many small frames (default 10000); 0 = do not',
    )
    for name in ('checkpoint', 'device', 'precision', 'backend'):
        parser.add_argument(f'--{name}', help='as the parameter of the node')
    parser.add_argument(
        '--reliable', action='store_true', help='inputs by reliable QoS; default: best effort'
    )
    parser.add_argument(
        '--quick', action='store_true', help='one small case without the network: shows it works'
    )
    parser.add_argument(
        '--json', metavar='FILE', help='write the figures here (- = standard output)'
    )


def run(args: argparse.Namespace) -> int:
    check_json_destination(args.json)
    # Which ROS packages have stand-ins is for the log of the node, where it is as well.
    logging.getLogger('sgnet_ros.ros_api').setLevel(logging.WARNING)
    from sgnet_core.device import resolve_device  # isort: skip  torch comes before cv2
    from sgnet_core.machine import load_average
    from sgnet_ros.benchmark.report import figures, text
    from sgnet_ros.benchmark.run import run_cases
    from sgnet_ros.dds_profile import large_image_profile
    from sgnet_ros.interruption import interruptible
    from sgnet_ros.ros_domain import own_domain

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
    found = figures(cases, seen, protocol, device)
    if args.json != '-':
        print(text(found))
    if args.json:
        write_json(args.json, found)
    if end is not None:
        raise end
    return 0


def _cases(args: argparse.Namespace) -> list[Any]:
    from sgnet_ros.benchmark import plan

    quick = args.quick
    cases = plan.make_cases(
        args.rate or (plan.QUICK_RATES if quick else plan.DEFAULT_RATES),
        args.size or (plan.QUICK_SIZES if quick else plan.DEFAULT_SIZES),
        args.outputs or (plan.DEFAULT_OUTPUTS[:1] if quick else plan.DEFAULT_OUTPUTS),
        args.seconds or (plan.QUICK_SECONDS if quick else plan.DEFAULT_SECONDS),
        0.0 if quick and args.stand_in is None else args.stand_in,
    )
    memory = plan.memory_case(args.memory_frames)
    return [*cases, memory] if memory.seconds and not quick else cases


def _parameters(args: argparse.Namespace) -> dict[str, str]:
    """Of the node, those that were asked for."""
    asked = {name: getattr(args, name) for name in ('checkpoint', 'device', 'precision', 'backend')}
    if args.checkpoint:
        asked['checkpoint'] = str(Path(args.checkpoint).resolve())
    asked['qos.input'] = 'reliable' if args.reliable else None
    return {name: value for name, value in asked.items() if value}
