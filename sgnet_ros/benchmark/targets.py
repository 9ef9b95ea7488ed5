# SPDX-License-Identifier: Apache-2.0
"""Ratios of what was measured, and what the project asks of the node, held against both.

They are never tests: a busy machine is not a bug.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from sgnet_ros.benchmark.plan import MEMORY

Row = Mapping[str, Any]

OVERHEAD_SIZE = '480x640'
OVERHEAD_MS = {('mask',): 8.0, ('mask', 'color', 'overlay'): 15.0}
"""Outputs subscribed to -> the most that the node may add to the network, median."""
OVERLOAD = 4.0
"""A camera so many times faster than the network."""
OVERLOAD_MODEL_TIMES = 1.5
FIRST_OVER_TENTH = 1.5
MEMORY_END_OVER_MIDDLE = 1.002

NO_CALM_ROW = 'in no such row was the camera slower than the node: give a lower --rate'


def ratios_of(rows: Sequence[Row]) -> dict[str, float]:
    """Name -> ratio, of those that these rows give.

    `first_over_tenth`: latency of the first frame of a node over that of the tenth, where the
    camera is slower than the node; median of those rows.
    `overload_model_times.<row>`: where the camera is `OVERLOAD` times faster than the network, the
    99th percentile of the latency, less the overhead of a slow camera, over the median time of
    the network.
    `memory_end_over_middle`: of the row about memory.
    """
    ratios = {}
    speed = [row for row in rows if row['name'] != MEMORY]
    first = [row['first_ms'] / row['tenth_ms'] for row in speed if is_calm(row) and row['tenth_ms']]
    if first:
        ratios['first_over_tenth'] = statistics.median(first)
    for row in speed:
        if (times := overload_model_times(rows, row)) is not None:
            ratios[f'overload_model_times.{row["name"]}'] = times
    for row in rows:
        if row['name'] == MEMORY and row['memory_mb']:
            ratios['memory_end_over_middle'] = row['memory_mb']['end'] / row['memory_mb']['middle']
    return {name: round(value, 4) for name, value in ratios.items()}


def is_calm(row: Row) -> bool:
    """Whether 95 % of the frames were done before the next one came."""
    return bool(row['latency_ms']) and _hz(row) * row['processing_ms']['p95'] < 1e3


def overload_model_times(rows: Sequence[Row], row: Row) -> float | None:
    """The latency of `row` in median times of the network; None without overload."""
    overhead = overhead_ms(rows, row['size'], tuple(row['outputs']))
    if overhead is None or not row['latency_ms']:
        return None
    segment_ms = row['segment_ms']['p50']
    if _hz(row) * segment_ms < 1e3 * OVERLOAD:
        return None
    return (row['latency_ms']['p99'] - overhead) / segment_ms


def overhead_ms(rows: Sequence[Row], size: str, outputs: tuple[str, ...]) -> float | None:
    """The largest median overhead at any rate that the node keeps up with."""
    found = [
        row['overhead_ms']
        for row in rows
        if row['size'] == size and tuple(row['outputs']) == outputs and is_calm(row)
    ]
    return max(found, default=None)


def judge(rows: Sequence[Row], ratios: Mapping[str, float]) -> list[dict[str, Any]]:
    """One entry a target: `name`, `limit`, `sense`, and `value` and `met`, or `reason`."""
    # A camera that is flat out takes the cores from the network as well: told, but no target.
    paced = [row for row in rows if row['rate_hz'] is not None and row['name'] != MEMORY]
    overload = [times for row in paced if (times := overload_model_times(rows, row)) is not None]
    unaccounted = [abs(row['unaccounted']) for row in rows]
    faster = f'no camera was {OVERLOAD:g} times as fast as the network; give a higher --rate'
    return [
        *(
            _entry(
                f'overhead {OVERHEAD_SIZE} {",".join(outputs)}, ms',
                limit,
                overhead_ms(rows, OVERHEAD_SIZE, outputs),
                NO_CALM_ROW,
            )
            for outputs, limit in OVERHEAD_MS.items()
        ),
        _entry(
            'overload, p99 in model times',
            OVERLOAD_MODEL_TIMES,
            max(overload, default=None),
            faster,
        ),
        _entry('pairs unaccounted for', 0, max(unaccounted, default=None), 'nothing was measured'),
        _entry(
            'first frame over tenth', FIRST_OVER_TENTH, ratios.get('first_over_tenth'), NO_CALM_ROW
        ),
        _entry(
            'memory, end over middle',
            MEMORY_END_OVER_MIDDLE,
            ratios.get('memory_end_over_middle'),
            'left out by --memory-frames',
        ),
    ]


def _entry(name: str, limit: float, value: float | None, reason: str) -> dict[str, Any]:
    entry = {'name': name, 'limit': limit, 'sense': 'at most'}
    if value is None:
        return {**entry, 'value': None, 'met': None, 'reason': reason}
    return {**entry, 'value': round(value, 4), 'met': value <= limit}


def _hz(row: Row) -> float:
    return row['sent'] / row['seconds']
