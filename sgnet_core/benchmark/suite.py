# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark: groups of networks that are timed by turns, then their memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import numpy as np
from tqdm import tqdm

from sgnet_core.benchmark.config import DEFAULT_SIZE, HALF_SIZE, BenchmarkConfig
from sgnet_core.benchmark.memory_process import in_fresh_process
from sgnet_core.benchmark.networks import (
    SHIPPED,
    NetworkCase,
    architecture,
    build,
    measure_memory,
    segment_call,
)
from sgnet_core.benchmark.timing import Budget, take_turns, working
from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.errors import InputError, first_line
from sgnet_core.runtime.environment import load_average
from sgnet_core.runtime.malloc_tuning import keep_freed_memory


@dataclass(frozen=True)
class Row:
    """Times and memory of one network.

    Attributes:
        times_ms: one for each round.
        input_size: of the network, `HEIGHTxWIDTH`.
        peak_mb: peak memory in 10^6 bytes; None if it could not be measured.
    """

    case: NetworkCase
    times_ms: Sequence[float]
    input_size: str
    peak_mb: float | None = None

    @property
    def median_ms(self) -> float:
        return float(np.median(self.times_ms))

    def as_json(self, device: str) -> dict[str, Any]:
        """Values of one row of `benchmark --json`."""
        return {
            'name': self.case.name,
            'variant': architecture(self.case),
            'backend': self.case.backend,
            'device': device,
            'precision': self.case.precision,
            'size': self.case.size_text,
            'input_size': self.input_size,
            'median_ms': round(self.median_ms, 4),
            'p95_ms': round(float(np.percentile(self.times_ms, 95)), 4),
            'min_ms': round(min(self.times_ms), 4),
            'fps': round(1e3 / self.median_ms, 4),
            'rounds': len(self.times_ms),
            'peak_mb': None if self.peak_mb is None else round(self.peak_mb, 4),
        }


@dataclass
class Results:
    """Grows during a run and stays valid when the run is interrupted.

    Attributes:
        not_measured: case -> reason.
        notes: problems that did not end the run.
        load_before: load average of the machine before the run.
    """

    rows: dict[NetworkCase, Row] = field(default_factory=dict)
    not_measured: dict[NetworkCase, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    load_before: float | None = field(default_factory=load_average)
    interrupted: bool = False


def run_suite(config: BenchmarkConfig) -> Results:
    """Measure everything in `config`. Ctrl-C ends the run early and keeps finished groups."""
    return run_groups(groups(config), config.device, config.budget)


def run_groups(found: list[list[NetworkCase]], device: str, budget: Budget) -> Results:
    """Measure the cases of each group by turns."""
    if device.startswith('cuda'):
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    results = Results()
    try:
        for cases in (bar := tqdm(found, 'benchmark', unit='group', disable=None)):
            bar.set_postfix_str(f'{cases[0].variant} {cases[0].size_text}')
            with tempfile.TemporaryDirectory() as graphs:
                _time(cases, device, budget, Path(graphs), results)
                _add_memory(cases, device, Path(graphs), results)
    except KeyboardInterrupt:
        results.interrupted = True
    return results


def groups(config: BenchmarkConfig) -> list[list[NetworkCase]]:
    """What is compared: all backends and precisions of one variant at one size."""
    variants = list(config.variants)
    if not config.quick and load_checkpoint().config.variant in variants:
        variants.append(SHIPPED)
    return [
        [
            NetworkCase(variant, size, backend, precision)
            for precision in config.precisions
            for backend in config.backends
        ]
        for variant in variants
        for size in _sizes(config, variant)
    ]


def ratios(results: Results, config: BenchmarkConfig) -> dict[str, float]:
    """Quotients of medians: backends, and precisions of PyTorch, on frames of equal size."""
    found = {}
    first = config.precisions[0]
    for case, row in results.rows.items():
        if case.variant == SHIPPED:
            continue
        if case.backend != 'torch':
            other = replace(case, backend='torch')
            name = f'{case.backend}_over_torch.{case.name}'
            name += '' if case.precision == first else f'.{case.precision}'
        else:
            other = replace(case, precision=first)
            name = f'{case.precision}_over_{first}.{case.name}'
        if other != case and other in results.rows:
            name += '' if case.size == config.sizes[0] else f'.{case.size_text}'
            found[name] = round(row.median_ms / results.rows[other].median_ms, 4)
    return found


def _sizes(config: BenchmarkConfig, variant: str) -> Sequence[tuple[int, int]]:
    both = variant.startswith('sgnet_lite') and tuple(config.sizes) == (DEFAULT_SIZE,)
    return (DEFAULT_SIZE, HALF_SIZE) if both else config.sizes[: 1 if variant == SHIPPED else None]


def _time(
    cases: list[NetworkCase], device: str, budget: Budget, graphs: Path, results: Results
) -> None:
    """Add a row for each case that runs on this machine."""
    calls, input_sizes = {}, {}
    for case in cases:
        try:
            segmenter = build(case, device, graphs)
        except InputError as error:
            results.not_measured[case] = str(error)
            continue
        calls[case] = segment_call(segmenter, case.size)
        input_sizes[case] = '{}x{}'.format(*segmenter.input_spec.size)
    calls, problems = working(calls)
    results.not_measured |= problems
    for case, times in take_turns(calls, budget).items():
        results.rows[case] = Row(case, times, input_sizes[case])


def _add_memory(cases: list[NetworkCase], device: str, graphs: Path, results: Results) -> None:
    timed = [case for case in cases if case in results.rows]
    if not timed:
        return
    try:
        if device.startswith('cuda'):
            peaks = measure_memory(timed, device, graphs)
        else:
            peaks = in_fresh_process(measure_memory, timed, device, graphs)
    except Exception as error:  # the times are valid without it
        results.notes.append(f'memory of {cases[0].variant}: {first_line(error)}')
        return
    for case, peak in zip(timed, peaks, strict=True):
        results.rows[case] = replace(results.rows[case], peak_mb=peak)
