# SPDX-License-Identifier: Apache-2.0
"""Describes the machine, and prints results for a terminal."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from sgnet_core.runtime.environment import describe, load_average

COLUMNS = ('name', 'backend', 'precision', 'size', 'input_size')
NUMBERS = ('median_ms', 'p95_ms', 'fps', 'peak_mb')


def environment(device: str) -> dict[str, Any]:
    """The date, the machine and its load."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return {'date': today.isoformat(), **describe(device), 'load': load_average()}


def as_text(
    values: Mapping[str, Any], columns: Iterable[str] = COLUMNS, numbers: Iterable[str] = NUMBERS
) -> str:
    """`protocol`, `rows`, and `ratios` and `not_measured` if present, for a terminal."""
    parts = [list_text('protocol', values['protocol']), table(values['rows'], columns, numbers)]
    parts += [list_text(key, values.get(key)) for key in ('ratios', 'not_measured')]
    return '\n\n'.join(part for part in parts if part)


def table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str], numbers: Iterable[str]) -> str:
    """Rows with `columns` to the left and `numbers` with two decimals to the right."""
    columns, numbers = list(columns), list(numbers)
    cells = [[*columns, *numbers]]
    for row in rows:
        values = (row[number] for number in numbers)
        shown = ['-' if value is None else f'{value:.2f}' for value in values]
        cells.append([*(str(row[name]) for name in columns), *shown])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    align = ['<'] * len(columns) + ['>'] * len(numbers)
    return '\n'.join(
        '  '.join(f'{cell:{a}{w}}' for cell, a, w in zip(line, align, widths, strict=True)).rstrip()
        for line in cells
    )


def list_text(title: str, values: Mapping[str, Any] | None) -> str:
    """The title and one line for each value; '' without values."""
    if not values:
        return ''
    width = max(map(len, values))
    lines = (f'  {name:{width}}  {_value_text(value)}' for name, value in values.items())
    return '\n'.join([title.replace('_', ' '), *lines])


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = (f'{key} {entry or "not installed"}' for key, entry in value.items())
        return ', '.join(entries) or 'not set'
    return f'{value:.3f}' if isinstance(value, float) else str(value)
