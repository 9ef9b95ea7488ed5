# SPDX-License-Identifier: Apache-2.0
"""The figures as JSON values, and those values as text: what is printed is what is written."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sgnet_core.benchmark.report import protocol_text, target_list
from sgnet_core.machine import describe
from sgnet_ros.benchmark.plan import Case
from sgnet_ros.benchmark.run import Observation, Sample
from sgnet_ros.benchmark.targets import judge, ratios_of
from sgnet_ros.mask_recorder import BEFORE_PAIRING
from sgnet_ros.recording import PERCENTS
from sgnet_ros.statistics import percentiles

DEFINITIONS = {
    'latency_ms': 'from the stamp that the camera gives a frame when it begins to publish it, to '
    'the arrival of the last of the outputs as a message in the Python of another process',
    'segment_ms': 'Segmenter.segment of the same frames, in the node',
    'overhead_ms': 'median latency_ms less median segment_ms: transport, pairing, conversions, '
    'colours, publishing, and waiting where the camera outruns the network',
    'cores': 'that a process kept busy from the first arrival to the last',
    'memory_mb': 'resident memory of the node, halfway between the first arrival and the last, and '
    'at the last',
    'stand_in_ms': 'in place of the network something that takes so long and leaves the CPU alone, '
    'as a network on a GPU; none = the network',
    'camera': 'one generated view with 10 % of its depth missing, encoded once; publishers are '
    'reliable',
}


def figures(
    cases: Sequence[Case], seen: Mapping[str, Observation], asked: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """Design section 7: `protocol`, `rows`, `ratios`; also `targets`.

    Args:
        asked: more about the protocol.
        device: as resolved.
    """
    rows = [row(case, seen[case.name]) for case in cases if case.name in seen]
    ratios = ratios_of(rows)
    return {
        'protocol': {
            'date': datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            **describe(device),
            **asked,
            **DEFINITIONS,
            'interrupted': len(rows) < len(cases),
        },
        'rows': rows,
        'ratios': ratios,
        'targets': judge(rows, ratios),
    }


def row(case: Case, seen: Observation) -> dict[str, Any]:
    """One line of the table.

    masks + dropped = pairs, or `unaccounted` is not 0; `unpaired` are messages that came into no
    pair, `not_received` masks of which not all outputs arrived.
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
        'stand_in_ms': case.stand_in_ms,
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
    """`cores` and `memory_mb`; None where there is no time between the samples."""
    if len(samples) < 2:
        return {'cores': None, 'memory_mb': None}
    (start_s, before), (end_s, after) = samples[0], samples[-1]
    halfway = next(used for now_s, used in samples if now_s >= (start_s + end_s) / 2)
    busy_s = {name: after[name].cpu_s - before[name].cpu_s for name in after}
    return {
        'cores': {name: seconds / (end_s - start_s) for name, seconds in busy_s.items()},
        'memory_mb': {'middle': halfway['node'].resident_mb, 'end': after['node'].resident_mb},
    }


def text(figures: Mapping[str, Any]) -> str:
    """All of it for a terminal."""
    ratios = [f'  {name:44}{value:10.3f}' for name, value in figures['ratios'].items()]
    return '\n\n'.join(
        [
            protocol_text(figures['protocol']),
            _table(figures['rows']),
            '\n'.join(['ratios', *ratios]),
            target_list(figures['targets']),
        ]
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ('sent', 'pairs', 'masks', 'fps', 'p50 ms', 'p95', 'p99', 'segment', 'overhead')
    processes = ('camera', 'node', 'listener')
    lines = [f'{"latency and cores":36}' + ''.join(f'{name:>9}' for name in (*head, *processes))]
    for one in rows:
        latency, segment = one['latency_ms'] or {}, one['segment_ms'] or {}
        cells = [
            *(f'{one[key]:>9}' for key in ('sent', 'pairs', 'masks')),
            _cell(one['fps']),
            *(_cell(latency.get(percentile)) for percentile in ('p50', 'p95', 'p99')),
            _cell(segment.get('p50')),
            _cell(one['overhead_ms']),
            *(_cell((one['cores'] or {}).get(name), 2) for name in processes),
        ]
        lost = {**one['dropped'], **one['unpaired'], 'not_received': one['not_received']}
        causes = ', '.join(f'{cause} {count}' for cause, count in lost.items() if count)
        lines.append(f'  {one["name"]:34}{"".join(cells)}  {causes}'.rstrip())
    return '\n'.join(lines)


def _cell(value: float | None, digits: int = 1) -> str:
    return f'{"-":>9}' if value is None else f'{value:9.{digits}f}'
