# SPDX-License-Identifier: Apache-2.0
"""Run the node for a long time with faulty cameras and random requests, and check its promises.

Cameras mix valid and broken messages, die and come back; clocks jump; services are called,
parameters set, and the lifecycle is run through. At the end: every pair is a mask or a drop, memory
is flat, every service responds and SIGINT ends the node in time. Exit status 1 if a promise is
broken.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from pathlib import Path

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.cli.runner import INTERRUPTED
from sgnet_core.errors import SgnetError
from sgnet_core.io.files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--minutes', type=float, default=30.0, metavar='N', help='duration (default: 30)'
    )
    add_options(parser, 'stand-in', 'checkpoint', 'device', 'seed')
    add_options(parser, 'out', help='folder for soak.json and the logs (default: none are kept)')


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'minutes')
    logging.getLogger('sgnet_ros.compat.ros_api').setLevel(logging.WARNING)
    from sgnet_core.runtime.device import resolve_device  # isort: skip  torch comes before cv2
    from tqdm import tqdm

    from sgnet_core.benchmark.report import environment, list_text, table
    from sgnet_ros.benchmark.soak import Soak
    from sgnet_ros.compat.dds_profile import large_image_profile
    from sgnet_ros.compat.ros_domain import private_domain
    from sgnet_ros.compat.signals import interruptible

    protocol = environment(resolve_device(args.device))
    os.environ.update({**private_domain(os.environ), **large_image_profile(os.environ)})
    if args.stand_in is None:
        node = ['sgnet_ros', 'segmentation_node', '--json']
    else:
        node = ['sgnet_ros.benchmark.fake_network', str(args.stand_in)]
    parameters = {'device': args.device}
    if args.checkpoint:
        parameters['checkpoint'] = str(args.checkpoint.resolve())
    seconds = 60 * args.minutes
    with (
        interruptible() as stop,
        tempfile.TemporaryDirectory(prefix='soak_') as folder,
        tqdm(total=round(seconds), unit='s', disable=None) as bar,
    ):
        out = args.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)

        def progress(now_s: float, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(min(round(now_s), bar.total) - bar.n)

        soak = Soak(node, parameters, out, args.seed, stop, progress)
        soak.run(seconds)
        values = {'protocol': protocol, **soak.to_json()}
        if args.out:
            write_json(out / 'soak.json', values)
    counts = {key: (soak.node or {}).get(key) for key in ('received', 'pairs', 'masks', 'dropped')}
    print(list_text('counts of the node', counts), end='\n\n')
    print(table(values['promises'], ('promise', 'kept'), ('value', 'limit')))
    broken = [row['promise'] for row in values['promises'] if row['kept'] is False]
    if broken:
        raise SgnetError(f'broken promises: {", ".join(broken)}')
    return INTERRUPTED if soak.seconds < seconds else 0
