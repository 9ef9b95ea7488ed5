# SPDX-License-Identifier: Apache-2.0
"""Observations as JSON values and as text; docs/benchmarks.md defines the values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sgnet_core.benchmark.report import as_text as values_as_text
from sgnet_core.errors import SgnetError
from sgnet_ros.benchmark.suite import Case, Observation, Sample
from sgnet_ros.monitoring.counters import percentiles
from sgnet_ros.replay.mask_subscriber import BEFORE_PAIRING
from sgnet_ros.replay.result import PERCENTS


def row(case: Case, seen: Observation) -> dict[str, Any]:
    """Values of one case; `not_received` counts masks that did not arrive with all outputs."""
    node = seen.node
    causes = sorted(node['dropped'].items())
    dropped = {cause: n for cause, n in causes if cause not in BEFORE_PAIRING}
    latency, segment = percentiles(seen.latency_ms, PERCENTS), node['stages_ms']['segment']
    arrived = len(seen.latency_ms)
    return {
        'name': case.name,
        'size': f'{case.size[0]}x{case.size[1]}',
        'rate_hz': None if math.isinf(case.rate_hz) else case.rate_hz,
        'outputs': list(case.outputs),
        'stand_in_ms': case.fake_network_ms,
        'sent': seen.sent,
        'pairs': node['pairs'],
        'masks': node['masks'],
        'dropped': dropped,
        'unaccounted': node['pairs'] - node['masks'] - sum(dropped.values()),
        'unpaired': {cause: n for cause, n in causes if cause in BEFORE_PAIRING},
        'not_received': node['masks'] - arrived,
        'fps': arrived / case.seconds,
        'latency_ms': latency,
        'segment_ms': segment,
        'overhead_ms': latency['p50'] - segment['p50'] if latency else None,
        **_usage(seen.samples),
    }


def check_counts(row: Mapping[str, Any]) -> None:
    """Raise SgnetError if the counts of a row contradict each other."""
    if row['unaccounted'] or row['not_received'] < 0 or row['pairs'] > row['sent']:
        counts = ', '.join(
            f'{row[key]} {key}' for key in ('sent', 'pairs', 'masks', 'unaccounted', 'not_received')
        )
        raise SgnetError(
            f'{row["name"]}: the counts contradict each other ({counts}): this case measured '
            'nothing; stop other nodes of this ROS domain, and report it if it happens again'
        )


def _usage(samples: Sequence[Sample]) -> dict[str, Any]:
    """`cores` and `memory_mb`; None with fewer than two samples."""
    if len(samples) < 2:
        return {'cores': None, 'memory_mb': None}
    (start_s, before), (end_s, after) = samples[0], samples[-1]
    halfway = next(used for now_s, used in samples if now_s >= (start_s + end_s) / 2)
    busy_s = {name: after[name].cpu_s - before[name].cpu_s for name in after}
    return {
        'cores': {name: seconds / (end_s - start_s) for name, seconds in busy_s.items()},
        'memory_mb': {'middle': halfway['node'].resident_mb, 'end': after['node'].resident_mb},
    }


def as_text(values: Mapping[str, Any]) -> str:
    """Protocol and a table of the main values for a terminal."""
    rows = [_table_row(row) for row in values['rows']]
    columns = ('name', 'sent', 'pairs', 'masks', 'dropped')
    numbers = ('fps', 'p50 ms', 'p95', 'p99', 'segment', 'overhead', 'node cores')
    return values_as_text({'protocol': values['protocol'], 'rows': rows}, columns, numbers)


def _table_row(row: Mapping[str, Any]) -> dict[str, Any]:
    latency, segment = row['latency_ms'] or {}, row['segment_ms'] or {}
    lost = {**row['dropped'], **row['unpaired'], 'not_received': row['not_received']}
    return {
        **row,
        'p50 ms': latency.get('p50'),
        'p95': latency.get('p95'),
        'p99': latency.get('p99'),
        'segment': segment.get('p50'),
        'overhead': row['overhead_ms'],
        'node cores': (row['cores'] or {}).get('node'),
        'dropped': ', '.join(f'{cause} {n}' for cause, n in lost.items() if n) or 'none',
    }
