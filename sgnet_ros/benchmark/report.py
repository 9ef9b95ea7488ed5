# SPDX-License-Identifier: Apache-2.0
"""Writes the observations as JSON and as text; docs/benchmarks.md defines the values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sgnet_core.benchmark.report import environment, protocol_text, table
from sgnet_ros.benchmark.config import Case
from sgnet_ros.benchmark.suite import Observation, Sample
from sgnet_ros.monitoring.counters import percentiles
from sgnet_ros.replay.mask_subscriber import BEFORE_PAIRING
from sgnet_ros.replay.result import PERCENTS


def as_json(
    cases: Sequence[Case], seen: Mapping[str, Observation], asked: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """`protocol` and `rows`.

    Args:
        asked: entries of the protocol about the options of the run.
        device: as resolved.
    """
    rows = [row(case, seen[case.name]) for case in cases if case.name in seen]
    interrupted = len(rows) < len(cases)
    protocol = {**environment(device), **asked, 'interrupted': interrupted}
    return {'protocol': protocol, 'rows': rows}


def row(case: Case, seen: Observation) -> dict[str, Any]:
    """Values of one case.

    pairs = masks + dropped, or `unaccounted` is not 0. `unpaired` counts messages without a
    partner, `not_received` masks that did not arrive with all outputs.
    """
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
        'seconds': case.seconds,
        'sent': seen.sent,
        'received': node['received'],
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
        'first_ms': seen.latency_ms[0] if arrived else None,
        'tenth_ms': seen.latency_ms[9] if arrived > 9 else None,
        'outputs_ms': {name: percentiles(ms, PERCENTS) for name, ms in seen.outputs_ms.items()},
        'processing_ms': node['processing_ms'],
        'stages_ms': node['stages_ms'],
        **_usage(seen.samples),
    }


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
    """All of `as_json` for a terminal."""
    rows = [_flat(row) for row in values['rows']]
    numbers = ('fps', 'p50 ms', 'p95', 'p99', 'segment', 'overhead', 'node cores')
    names = ('name', 'sent', 'pairs', 'masks', 'dropped')
    return f'{protocol_text(values["protocol"])}\n\n{table(rows, names, numbers)}'


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of the table for people."""
    latency, segment = row['latency_ms'] or {}, row['segment_ms'] or {}
    lost = {**row['dropped'], **row['unpaired'], 'not_received': row['not_received']}
    causes = ', '.join(f'{cause} {count}' for cause, count in lost.items() if count)
    return {
        **{key: row[key] for key in ('name', 'sent', 'pairs', 'masks', 'fps')},
        'p50 ms': latency.get('p50'),
        'p95': latency.get('p95'),
        'p99': latency.get('p99'),
        'segment': segment.get('p50'),
        'overhead': row['overhead_ms'],
        'node cores': (row['cores'] or {}).get('node'),
        'dropped': causes or 'none',
    }
