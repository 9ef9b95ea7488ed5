# SPDX-License-Identifier: Apache-2.0
"""Measure speed and memory here: the operator, whole networks, a training step, geometry,
an evaluation.

What forms a ratio is measured in turn, in one loop. The default run takes some minutes.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--only',
        action='append',
        metavar='PART',
        help='operator, network, memory (of a training step), geometry (encodings of depth) or '
        'evaluation; '
        'may be repeated',
    )
    parser.add_argument(
        '--variant',
        action='append',
        help='a network to measure end to end, for example sgnet_lite1; may be repeated; default: '
        "sgnet_lite0 and the paper's sgnet_r50, sgnet_r101, sgnet_aspp_r101; left out are "
        'sgnet_r18, sgnet_r34, sgnet_lite1, sgnet_lite2',
    )
    parser.add_argument(
        '--backend', action='append', help='torch or onnxruntime; may be repeated; default: both'
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument(
        '--precision',
        action='append',
        help='fp32, fp16 or bf16; may be repeated, the first one is what ratios are about; '
        'default: what is fast on the device',
    )
    parser.add_argument(
        '--size',
        action='append',
        metavar='HxW',
        help='of the frames; may be repeated, the first one is that of the operator and of '
        'training; default 480x640, and 240x320 for the lite variants',
    )
    parser.add_argument(
        '--seconds', type=float, help='how long networks are compared, per variant; default 8'
    )
    parser.add_argument(
        '--quick', action='store_true', help='tiny images, few rounds: shows that it works'
    )
    parser.add_argument(
        '--json', metavar='FILE', help='write the figures here (- = standard output)'
    )


def run(args: argparse.Namespace) -> int:
    from sgnet_core.benchmark import report
    from sgnet_core.benchmark.plan import make_plan
    from sgnet_core.benchmark.run import run_plan
    from sgnet_core.files import check_json_destination, write_json

    check_json_destination(args.json)
    plan = make_plan(
        args.device,
        {
            'part': args.only,
            'variant': args.variant,
            'backend': args.backend,
            'precision': args.precision,
        },
        args.size,
        args.seconds,
        args.quick,
    )
    results, positions = run_plan(plan)
    figures = report.figures(plan, positions, results)
    if args.json != '-':
        print(report.text(figures))
    if args.json:
        write_json(args.json, figures)
    if results.interrupted:
        raise KeyboardInterrupt
    return 0
