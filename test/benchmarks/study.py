# SPDX-License-Identifier: Apache-2.0
"""Options, timing and output that the studies share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

import torch
import numpy as np

from sgnet_core.benchmark.memory_process import in_fresh_process
from sgnet_core.benchmark.report import as_text, environment
from sgnet_core.benchmark.timing import Call, Key, time_by_turns
from sgnet_core.cli.options import add_options
from sgnet_core.io.files import write_json
from sgnet_core.runtime.device import resolve_device
from sgnet_core.runtime.malloc_tuning import keep_freed_memory

GRAPH_CALLS = 10
"""Calls in one CUDA graph: a single kernel is shorter than the resolution of the clock."""
# glibc: blocks of 64 KiB and more are mapped one by one and unmapped when they are freed.
RETURN_FREED_MEMORY = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_MMAP_MAX_': '1000000'}
NUMBERS = ('median_ms', 'p95_ms', 'peak_mb')

Row = dict[str, Any]


def options(description: str | None) -> argparse.ArgumentParser:
    """The options of a study that times something."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser, 'device', 'json')
    add_options(parser, 'size', default=(480, 640))
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


def time_operators(
    calls: Mapping[Key, Call], device: str, seconds: float
) -> tuple[dict[Key, list[float]], dict[Key, str]]:
    """As `time_by_turns`; on a GPU kernels alone, without Python and launches."""
    if device == 'cpu':
        return time_by_turns(calls, seconds)
    return time_by_turns(calls, seconds, _captured, _graph_ms)


def run_alone(function: Any, *args: Any, device: str) -> Any:
    """`function(*args)`, for a CPU in a process of its own, whose memory is measured."""
    return in_fresh_process(function, *args) if device == 'cpu' else function(*args)


def row(times_ms: list[float] | None = None, peak_mb: float | None = None, **names: str) -> Row:
    """One line of the table: `names`, then `NUMBERS`."""
    median, p95 = np.percentile(times_ms, [50, 95]).tolist() if times_ms else (None, None)
    return {**names, 'median_ms': median, 'p95_ms': p95, 'peak_mb': peak_mb}


def show(
    args: argparse.Namespace,
    rows: list[Row],
    ratios: Mapping[str, float],
    not_measured: Mapping[str, str] | None = None,
) -> None:
    """Print protocol, rows and ratios, and write them to `--json`."""
    values = {
        'protocol': {**environment(args.device), 'seconds': args.seconds},
        'rows': rows,
        'ratios': dict(ratios),
        'not_measured': dict(not_measured or {}),
    }
    if args.json != '-':
        print(as_text(values, [name for name in rows[0] if name not in NUMBERS], NUMBERS))
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
    """`GRAPH_CALLS` calls as one CUDA graph."""
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
        # The graph stores addresses only: `_kept` keeps the tensors at them alive.
        graph.replay()

    return replay
