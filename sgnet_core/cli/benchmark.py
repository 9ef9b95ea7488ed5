# SPDX-License-Identifier: Apache-2.0
"""Measure latency and memory of networks on this machine.

Backends and precisions of a network are timed by turns in one loop, from raw images to the mask.
The default run takes some minutes.
"""

from __future__ import annotations

import argparse

from sgnet_core.cli.options import add_options, image_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--variant',
        action='append',
        help='network to measure, for example sgnet_lite1; repeatable; default: sgnet_lite0 and '
        'those of the paper, sgnet_r50, sgnet_r101, sgnet_aspp_r101; others are sgnet_r18, '
        'sgnet_r34, sgnet_lite1, sgnet_lite2',
    )
    parser.add_argument(
        '--backend', action='append', help='torch or onnxruntime; repeatable; default: both'
    )
    add_options(parser, 'device')
    parser.add_argument(
        '--precision',
        action='append',
        help='fp32, fp16 or bf16; repeatable, ratios are about the first; default: those that are '
        'fast on the device',
    )
    parser.add_argument(
        '--size',
        action='append',
        type=image_size,
        metavar='HxW',
        help='of the frames; repeatable; default: 480x640, for the lite variants also 240x320',
    )
    parser.add_argument('--seconds', type=float, help='duration of each comparison; default: 8')
    parser.add_argument(
        '--quick', action='store_true', help='one network, small images, few rounds: a smoke test'
    )
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.benchmark.config import BenchmarkConfig, default_precisions
    from sgnet_core.benchmark.report import as_json, as_text
    from sgnet_core.benchmark.suite import run_suite
    from sgnet_core.io.files import check_json_destination, write_json
    from sgnet_core.runtime.device import resolve_device

    check_json_destination(args.json)
    device = resolve_device(args.device)
    options = {'precisions': default_precisions(device)}
    if args.quick:
        options = {'variants': ['sgnet_lite0'], 'backends': ['torch'], 'sizes': [(96, 128)]}
        options |= {'precisions': default_precisions(device)[:1], 'seconds': 0.0}
    asked = {
        'variants': args.variant,
        'backends': args.backend,
        'precisions': args.precision,
        'sizes': args.size,
        'seconds': args.seconds,
    }
    options |= {name: value for name, value in asked.items() if value is not None}
    config = BenchmarkConfig(device, quick=args.quick, **options)
    results = run_suite(config)
    values = as_json(config, results)
    if args.json != '-':
        print(as_text(values))
    if args.json:
        write_json(args.json, values)
    if results.interrupted:
        raise KeyboardInterrupt
    return 0
