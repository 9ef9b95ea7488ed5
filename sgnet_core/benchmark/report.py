# SPDX-License-Identifier: Apache-2.0
"""Writes the results as JSON values, and those values as text; docs/benchmarks.md defines them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from sgnet_core.benchmark.config import BenchmarkConfig
from sgnet_core.benchmark.suite import Results, ratios
from sgnet_core.model.sgnet import VARIANTS
from sgnet_core.runtime.environment import describe


def as_json(config: BenchmarkConfig, results: Results) -> dict[str, Any]:
    """`protocol`, `rows`, `ratios` and `not_measured`."""
    left_out = [name for name in VARIANTS if name not in config.variants]
    return {
        'protocol': {
            **environment(config.device),
            'load_before': results.load_before,
            'precision': list(config.precisions),
            'backend': list(config.backends),
            'variants': list(config.variants),
            'variants_left_out': left_out,
            'size_in': [f'{height}x{width}' for height, width in config.sizes],
            'seconds': config.seconds,
            'quick': config.quick,
            'interrupted': results.interrupted,
            'notes': results.notes,
        },
        'rows': [row.as_json(config.device) for row in results.rows.values()],
        'ratios': ratios(results, config),
        'not_measured': {
            f'{case.name} {case.backend} {case.precision} {case.size_text}': reason
            for case, reason in results.not_measured.items()
        },
    }


def environment(device: str) -> dict[str, Any]:
    """The date and the machine, as every protocol begins."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return {'date': today.isoformat(), **describe(device)}


def as_text(values: Mapping[str, Any]) -> str:
    """All of `as_json` for a terminal."""
    columns = ('name', 'backend', 'precision', 'size', 'input_size')
    numbers = ('median_ms', 'p95_ms', 'fps', 'peak_mb')
    parts = [
        protocol_text(values['protocol']),
        table(values['rows'], columns, numbers),
        list_text('ratios', values['ratios']),
        list_text('not measured', values['not_measured']),
    ]
    return '\n\n'.join(part for part in parts if part)


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """One line for each entry."""
    lines = []
    for name, value in protocol.items():
        if isinstance(value, Mapping):
            listed = (f'{key} {entry or "not installed"}' for key, entry in value.items())
            value = ', '.join(listed) or 'not set'
        elif isinstance(value, list):
            value = ', '.join(value) or 'none'
        lines.append(f'{name + ":":18} {value}')
    return '\n'.join(lines)


def table(rows: Iterable[Mapping[str, Any]], names: Iterable[str], numbers: Iterable[str]) -> str:
    """Rows with `names` to the left and `numbers` with two decimals to the right."""
    names, numbers = list(names), list(numbers)
    cells = [[*names, *numbers]]
    for row in rows:
        values = (row[number] for number in numbers)
        shown = ['-' if value is None else f'{value:.2f}' for value in values]
        cells.append([*(str(row[name]) for name in names), *shown])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if index < len(names) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def list_text(title: str, values: Mapping[str, Any]) -> str:
    """The title and one line for each value; '' without values."""
    if not values:
        return ''
    width = max(map(len, values))
    shown = (
        f'  {name:{width}}  {f"{value:.3f}" if isinstance(value, float) else value}'
        for name, value in values.items()
    )
    return '\n'.join([title, *shown])
