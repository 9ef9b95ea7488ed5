# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark: backends and precisions of a network by turns, then their memory."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import numpy as np
from tqdm import tqdm

from sgnet_core.benchmark import networks
from sgnet_core.benchmark.memory_process import in_fresh_process
from sgnet_core.benchmark.networks import SHIPPED
from sgnet_core.benchmark.report import environment
from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import time_by_turns
from sgnet_core.errors import InputError, first_line
from sgnet_core.model.sgnet import VARIANTS
from sgnet_core.runtime.environment import bf16_is_fast
from sgnet_core.runtime.malloc_tuning import keep_freed_memory

BACKENDS = ('torch', 'onnxruntime')
DEFAULT_VARIANTS = (SHIPPED, 'sgnet_lite0', 'sgnet_r50', 'sgnet_r101', 'sgnet_aspp_r101')
DEFAULT_SIZE = (480, 640)
SMALLEST_LENGTH = 64


@dataclass(frozen=True)
class BenchmarkConfig:
    """What a run measures: every combination of the lists.

    Ratios without a suffix use the first precision and the first size.

    Attributes:
        variants: keys of `VARIANTS`, or `SHIPPED` for the bundled checkpoint.
        sizes: (height, width) of frames.
        seconds: duration of one comparison.

    Raises:
        InputError: unknown variant, a size below 64 or a negative duration.
    """

    device: str
    variants: Sequence[str] = DEFAULT_VARIANTS
    backends: Sequence[str] = BACKENDS
    precisions: Sequence[str] = ('fp32',)
    sizes: Sequence[Size] = (DEFAULT_SIZE,)
    seconds: float = 8.0

    def __post_init__(self) -> None:
        known = (SHIPPED, *VARIANTS)
        for name in self.variants:
            if name not in known:
                raise InputError(f'unknown variant {name!r}; choose from {", ".join(known)}')
        for height, width in self.sizes:
            if min(height, width) < SMALLEST_LENGTH:
                raise InputError(
                    f'height and width must be at least {SMALLEST_LENGTH}, got {height}x{width}'
                )
        if not 0 <= self.seconds < float('inf'):
            raise InputError(f'--seconds must be 0 or more, got {self.seconds}')


def default_precisions(device: str) -> tuple[str, ...]:
    """The precisions that are fast on a device."""
    if device.startswith('cuda'):
        return ('fp16', 'bf16', 'fp32')
    return ('fp32', 'bf16') if bf16_is_fast() else ('fp32',)


def run_suite(config: BenchmarkConfig) -> dict[str, Any]:
    """Measure everything in `config`; returns the values of `--json`.

    Ctrl-C ends the run early and keeps finished networks.
    """
    if config.device.startswith('cuda'):
        torch.cuda.set_device(config.device)
    else:
        keep_freed_memory()
    protocol = {**environment(config.device), 'seconds': config.seconds, 'interrupted': False}
    values: dict[str, Any] = {'protocol': protocol, 'rows': [], 'ratios': {}, 'not_measured': {}}
    pairs = list(itertools.product(config.variants, config.sizes))
    try:
        for name, size in (bar := tqdm(pairs, 'benchmark', unit='network', disable=None)):
            network = f'{name} {size_text(size)}'
            bar.set_postfix_str(network)
            with tempfile.TemporaryDirectory() as folder:
                rows, not_measured = measure(name, size, config, Path(folder) / 'graph.onnx')
            values['rows'] += rows
            values['not_measured'] |= {f'{network} {k}': v for k, v in not_measured.items()}
    except KeyboardInterrupt:
        protocol['interrupted'] = True
    values['ratios'] = ratios(values['rows'], config)
    return values


def measure(
    name: str, size: Size, config: BenchmarkConfig, graph: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each backend and precision that runs on this machine; the others' reasons."""
    checkpoint = networks.benchmark_checkpoint(name, size)
    calls, not_measured = {}, {}
    for engine in itertools.product(config.backends, config.precisions):
        try:
            segmenter = networks.build(checkpoint, engine, config.device, graph)
            calls[engine] = networks.segment_call(segmenter, size)
        except InputError as error:
            not_measured[' '.join(engine)] = str(error)
    times, failed = time_by_turns(calls, config.seconds)
    not_measured |= {' '.join(engine): reason for engine, reason in failed.items()}
    peaks: list[float | None] = [None] * len(times)
    run = (lambda call, *args: call(*args)) if config.device != 'cpu' else in_fresh_process
    try:
        peaks = run(networks.measure_memory, name, size, list(times), config.device, graph)
    except Exception as error:  # the times are valid without it
        not_measured['peak_mb'] = first_line(error)
    rows = []
    for ((backend, precision), times_ms), peak in zip(times.items(), peaks, strict=True):
        median, p95 = np.percentile(times_ms, [50, 95]).tolist()
        rows.append(
            {
                'name': name,
                'variant': checkpoint.config.variant,
                'backend': backend,
                'device': config.device,
                'precision': precision,
                'size': size_text(size),
                'input_size': size_text(checkpoint.input_spec.size),
                'median_ms': round(median, 4),
                'p95_ms': round(p95, 4),
                'fps': round(1e3 / median, 4),
                'peak_mb': None if peak is None else round(peak, 4),
            }
        )
    return rows, not_measured


def ratios(rows: Sequence[dict[str, Any]], config: BenchmarkConfig) -> dict[str, float]:
    """Quotients of medians: backends, and precisions of PyTorch, on frames of equal size."""
    keys = ('name', 'size', 'backend', 'precision')
    medians = {tuple(row[key] for key in keys): row['median_ms'] for row in rows}
    first, found = config.precisions[0], {}
    for (name, size, backend, precision), median in medians.items():
        if backend == 'torch':
            base, label = (name, size, backend, first), f'{precision}_over_{first}.{name}'
        else:
            base, label = (name, size, 'torch', precision), f'{backend}_over_torch.{name}'
            label += '' if precision == first else f'.{precision}'
        label += '' if size == size_text(config.sizes[0]) else f'.{size}'
        if base in medians and base != (name, size, backend, precision):
            found[label] = round(median / medians[base], 4)
    return found


def size_text(size: Size) -> str:
    """`HEIGHTxWIDTH`."""
    return '{}x{}'.format(*size)
