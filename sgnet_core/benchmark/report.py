# SPDX-License-Identifier: Apache-2.0
"""The figures as JSON values, and those values as text: what is printed is what is written."""

from __future__ import annotations

import datetime
from typing import Any

from sgnet_core.benchmark import memory, operators
from sgnet_core.benchmark.plan import OPERATOR_VARIANTS, Plan
from sgnet_core.benchmark.ratios import compute
from sgnet_core.benchmark.results import NOT_ASKED_FOR, Results
from sgnet_core.benchmark.targets import judge
from sgnet_core.machine import describe
from sgnet_core.model.sgnet import VARIANTS

INSIDE_THE_CLOCK = (
    'network: from sensor bytes (uint8 RGB, uint16 depth in millimetres) to the finished class '
    'mask and its confidence at the resolution of the frame, in memory of the CPU, frame by frame; '
    'operator: features, offsets and masks to features; geometry: depth in float32 metres to its '
    'encoding, gravity estimated (both on a GPU kernels alone, from a CUDA graph); evaluation: '
    'a frame of a data set, masks from memory to memory, counts of finished masks, and all of it, '
    'from JPEG and PNG files to counts'
)
ORDER = (
    'what is compared takes turns in one loop (A B C A B C ...), after two runs each that are not '
    'counted, on a CPU with a rest before each so that no thread of another still spins; median '
    'and 95th percentile of the rounds; a ratio is a quotient of medians'
)
WEIGHTS = (
    'random, batch statistics settled, offset generators perturbed to '
    f'{operators.OFFSET_STD} pixels (zero offsets would be kinder to caches); shipped: as trained'
)
POSITIONS = (
    f'the S-Convs of {OPERATOR_VARIANTS[0]}, and those of {OPERATOR_VARIANTS[1]} that have other '
    'shapes; conv2d: nn.Conv2d of the same shape, stride and dilation, in the faster of two memory '
    'layouts'
)


def figures(plan: Plan, positions: list[operators.Position], results: Results) -> dict[str, Any]:
    """Design section 7: `protocol`, `rows`, `ratios`; also `not_measured`, `targets`."""
    ratios, not_measured = compute(plan, positions, results)
    return {
        'protocol': _protocol(plan, results),
        'rows': [row.as_json(plan.device) for row in results.rows.values()],
        'ratios': ratios,
        'not_measured': not_measured,
        'targets': judge(plan, results, ratios, not_measured),
    }


def _protocol(plan: Plan, results: Results) -> dict[str, Any]:
    return {
        'date': datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        **describe(plan.device),
        'load_before': results.load_before,
        'precision': list(plan.precisions),
        'backend': list(plan.backends),
        'variants': list(plan.variants),
        'variants_left_out': _left_out(plan),
        'batch': 1,
        'size_in': [f'{height}x{width}' for height, width in plan.sizes],
        'size_out': 'as in; the network sees the next multiples of 32, the shipped one its own',
        'inside_the_clock': INSIDE_THE_CLOCK,
        'order': ORDER,
        'weights': WEIGHTS,
        'operator': POSITIONS,
        'memory': memory.DEFINITION,
        'seconds': plan.seconds,
        'quick': plan.quick,
        'interrupted': results.interrupted,
        'notes': results.notes,
    }


def _left_out(plan: Plan) -> str:
    names = [name for name in VARIANTS if name not in plan.variants]
    return f'{", ".join(names)}; measure one with --variant NAME' if names else 'none'


def text(figures: dict[str, Any]) -> str:
    """All of it for a terminal."""
    rows = figures['rows']
    parts = [
        protocol_text(figures['protocol']),
        _operator_table([row for row in rows if row['part'] == 'operator']),
        _table(rows, 'network', ('median_ms', 'p95_ms', 'fps', 'peak_mb')),
        _table(rows, 'training', ('peak_mb',)),
        _table(rows, 'geometry', ('median_ms', 'p95_ms', 'peak_mb')),
        _table(rows, 'evaluation', ('median_ms', 'p95_ms')),
        _ratio_list(figures['ratios'], figures['not_measured']),
        target_list(figures['targets']),
    ]
    return '\n\n'.join(part for part in parts if part)


def protocol_text(protocol: dict[str, Any]) -> str:
    lines = []
    for name, value in protocol.items():
        if isinstance(value, dict):
            listed = (f'{key} {entry or "not installed"}' for key, entry in value.items())
            value = ', '.join(listed) or 'as it comes'
        elif isinstance(value, list):
            value = ', '.join(value) or 'none'
        lines.append(f'{name + ":":18} {value}')
    return '\n'.join(lines)


def _operator_table(rows: list[dict[str, Any]]) -> str:
    """Median ms of each contender (columns) at each position (lines), one block a precision."""
    blocks = []
    for precision in dict.fromkeys(row['precision'] for row in rows):
        here = {
            (row['name'], row['backend']): row['median_ms']
            for row in rows
            if row['precision'] == precision
        }
        names, backends = (list(dict.fromkeys(part)) for part in zip(*here, strict=True))
        lines = [f'{f"operator, {precision}, median ms":34}' + _cells(backends)]
        for name in names:
            lines.append(f'  {name:32}' + _cells([here.get((name, b)) for b in backends]))
        sums = [sum(here.get((name, b), float('nan')) for name in names) for b in backends]
        lines.append(f'  {"sum":32}' + _cells(sums))
        blocks.append('\n'.join(lines))
    return '\n\n'.join(blocks)


def _table(rows: list[dict[str, Any]], part: str, columns: tuple[str, ...]) -> str:
    rows = [row for row in rows if row['part'] == part]
    if not rows:
        return ''
    lines = [f'{part:28}{"backend":16}{"precision":10}{"frame":10}{"input":10}' + _cells(columns)]
    for row in rows:
        names = f'  {row["name"]:26}{row["backend"]:16}{row["precision"]:10}{row["size"]:10}'
        values = _cells([row[column] for column in columns])
        lines.append(f'{names}{row.get("input_size", row["size"]):10}{values}')
    return '\n'.join(lines)


def _cells(values: Any) -> str:
    texts = (
        value if isinstance(value, str) else '-' if value is None else f'{value:.2f}'
        for value in values
    )
    return ''.join(f'{text:>13}' for text in texts)


def _ratio_list(ratios: dict[str, float], not_measured: dict[str, str]) -> str:
    """Ratios, then what has none; those of single positions are in the JSON only."""
    lines = [f'  {name:44}{value:10.3f}' for name, value in ratios.items() if not _is_single(name)]
    for reason in dict.fromkeys(not_measured.values()):
        if reason == NOT_ASKED_FOR:
            continue
        names = [name for name, why in not_measured.items() if why == reason]
        shown = [name for name in names if not _is_single(name)]
        if shown:
            lines.append(f'  not measured, {reason}: {", ".join(shown)}')
    return '\n'.join(['ratios', *lines])


def _is_single(name: str) -> bool:
    return name.startswith(('sconv_op_over_plain.', 'torchvision_over_triton.')) and '.conv' in name


def target_list(targets: list[dict[str, Any]]) -> str:
    lines = []
    for target in targets:
        if target['met'] is None:
            verdict = f'not measured: {target["reason"]}'
        else:
            verdict = f'{target["value"]:.3f}, {"met" if target["met"] else "NOT met"}'
        lines.append(f'  {target["name"]:36} {target["sense"]} {target["limit"]:<7} {verdict}')
    return '\n'.join(['targets', *lines])
