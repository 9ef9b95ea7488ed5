# SPDX-License-Identifier: Apache-2.0
"""Measure latency and memory of networks on this machine.

Backends and precisions of a network are timed by turns in one loop, from raw images to the mask.
The default run takes some minutes.
"""

from __future__ import annotations

import argparse

from sgnet_core.cli.options import add_options, check_seconds
from sgnet_core.io.files import check_json_destination, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        '--variant',
        action='append',
        help='network to measure, repeatable: sgnet_lite0, sgnet_lite1, sgnet_lite2, sgnet_r18, '
        'sgnet_r34, sgnet_r50, sgnet_r101, sgnet_aspp_r101, or shipped for the bundled '
        'checkpoint; default: shipped, sgnet_lite0 and the three of the paper',
    )
    backend = ('torch', 'onnxruntime')
    add('--backend', action='append', choices=backend, help='repeatable; default: both')
    add_options(parser, 'device')
    precision = 'repeatable, ratios use the first; default: those that are fast on the device'
    add('--precision', action='append', choices=('fp32', 'fp16', 'bf16'), help=precision)
    add_options(parser, 'size', action='append', help='frame size, repeatable; default: 480x640')
    add('--seconds', type=float, default=8.0, help='duration of each comparison; default: 8')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.benchmark import suite
    from sgnet_core.benchmark.report import as_text
    from sgnet_core.runtime.device import resolve_device

    check_json_destination(args.json)
    check_seconds(args, 'seconds')
    device = resolve_device(args.device)
    config = suite.BenchmarkConfig(
        device,
        args.variant or suite.DEFAULT_VARIANTS,
        args.backend or suite.BACKENDS,
        args.precision or suite.default_precisions(device),
        args.size or [suite.DEFAULT_SIZE],
        args.seconds,
    )
    values = suite.run_suite(config)
    if args.json != '-':
        print(as_text(values))
    write_json(args.json, values)
    if values['protocol']['interrupted']:
        raise KeyboardInterrupt
    return 0
