# SPDX-License-Identifier: Apache-2.0
"""Options, timing and output that the studies share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

import torch
import numpy as np

from sgnet_core.benchmark.report import environment, list_text, protocol_text, table
from sgnet_core.benchmark.timing import Budget, Call, Key, take_turns, working
from sgnet_core.cli.options import add_options, image_size
from sgnet_core.io.files import write_json
from sgnet_core.runtime.device import resolve_device
from sgnet_core.runtime.environment import load_average
from sgnet_core.runtime.malloc_tuning import keep_freed_memory

GRAPH_CALLS = 10
"""Calls in one CUDA graph: a single kernel is shorter than the resolution of the clock."""

# glibc: blocks of 64 KiB and more are mapped one by one and unmapped when they are freed.
RETURN_FREED_MEMORY = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_MMAP_MAX_': '1000000'}

Row = dict[str, Any]


def options(description: str | None, size: str = '480x640') -> argparse.ArgumentParser:
    """The options of a study that times something."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser, 'device', 'json')
    parser.add_argument('--size', type=image_size, default=size, metavar='HxW')
    parser.add_argument('--seconds', type=float, default=8.0, help='duration of each comparison')
    return parser


def start(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed options, `device` as resolved, in a process that is ready to measure."""
    args = parser.parse_args()
    args.device = resolve_device(args.device)
    if args.device == 'cpu':
        keep_freed_memory()
        # Read by the processes that measure memory, when they start.
        os.environ.update(RETURN_FREED_MEMORY)
    else:
        torch.cuda.set_device(args.device)
    return args


def time_by_turns(
    calls: Mapping[Key, Call], device: str, seconds: float
) -> tuple[dict[Key, list[float]], dict[Key, str]]:
    """Milliseconds of the calls that run, and the errors of the others; kernels alone on a GPU."""
    if device == 'cpu':
        ready, problems = working(calls)
        return take_turns(ready, Budget(seconds, rest_s=0.02)), problems
    ready, problems = working(calls, _captured)
    return take_turns(ready, Budget(seconds), _graph_ms), problems


def row(times_ms: list[float] | None = None, peak_mb: float | None = None, **names: str) -> Row:
    """One line of the table: `names`, then `median_ms`, `p95_ms`, `peak_mb`."""
    median, p95 = np.percentile(times_ms, [50, 95]).tolist() if times_ms else (None, None)
    return {**names, 'median_ms': median, 'p95_ms': p95, 'peak_mb': peak_mb}


def show(
    args: argparse.Namespace,
    rows: list[Row],
    ratios: Mapping[str, float],
    not_measured: Mapping[str, str] | None = None,
) -> None:
    """Print protocol, rows and ratios, and write them to `--json`."""
    options = {'load': load_average(), 'seconds': args.seconds}
    values = {
        'protocol': {**environment(args.device), **options},
        'rows': rows,
        'ratios': dict(ratios),
        'not_measured': dict(not_measured or {}),
    }
    numbers = ('median_ms', 'p95_ms', 'peak_mb')
    names = [name for name in rows[0] if name not in numbers]
    parts = [protocol_text(values['protocol']), table(rows, names, numbers)]
    parts += [list_text(key, values[key]) for key in ('ratios', 'not_measured')]
    if args.json != '-':
        print('\n\n'.join(part for part in parts if part))
    if args.json:
        write_json(args.json, values)


def _graph_ms(call: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / GRAPH_CALLS


def _captured(call: Call) -> Call:
    """`GRAPH_CALLS` calls as one CUDA graph: kernels without Python and launches."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(GRAPH_CALLS):
            call()

    def replay(_kept: Call = call) -> None:
        # The graph knows addresses only: the tensors behind them must live as long as the call.
        graph.replay()

    return replay
