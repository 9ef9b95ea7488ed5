# SPDX-License-Identifier: Apache-2.0
"""The metrics of `Evaluation.to_json` for people, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Metrics = Mapping[str, Any]

AVERAGES = {
    'mIoU': 'miou',
    'boundary IoU': 'boundary_iou',
    'pixel accuracy': 'pixel_accuracy',
    'mean accuracy': 'mean_accuracy',
    'weighted by share': 'frequency_weighted_iou',
}
"""What people call a figure -> its key."""


def details(metrics: Metrics) -> str:
    """What goes below the table of classes: intervals, boundaries, distances, and so on."""
    low_high = (metrics['intervals']['miou'], metrics['intervals']['pixel_accuracy'])
    lines = []
    if None not in low_high:
        miou, accuracy = (f'{100 * low:.2f} to {100 * high:.2f}' for low, high in low_high)
        lines.append(f'95 % of resampled frames: mIoU {miou}, pixel accuracy {accuracy}')
    if metrics['boundary_iou'] is not None:
        lines.append(f'boundary IoU {_percent(metrics["boundary_iou"])} %')
    for part in metrics['by_distance']:
        end = 'more' if part['to_m'] is None else f'{part["to_m"]:g} m'
        lines += _part(f'{part["from_m"]:g} m to {end}', part)
    lines += _part('without depth', metrics['without_depth'])
    for name, part in (metrics['per_camera'] or {}).items():
        lines += _part(name, part)
    if metrics['calibration']:
        lines.append(f'expected calibration error {_percent(metrics["calibration"]["ece"])} %')
    sequence = metrics['temporal_consistency']
    if sequence:
        agreement = _percent(sequence['agreement'])
        lines.append(f'{agreement} % of the points that two neighbouring frames saw have one class')
    if metrics['latency_ms']:
        times = ', '.join(f'{ms:.0f} ms ({name})' for name, ms in metrics['latency_ms'].items())
        lines.append(f'a mask took {times}')
    return '\n'.join(lines)


def side_by_side(runs: Mapping[str, Metrics]) -> str:
    """IoU of every class and the averages, a column for each run, named below."""
    columns = list(runs.values())
    names = list(columns[0]['per_class'])
    width = max(map(len, (*names, *AVERAGES)))
    head = ''.join(f'{f"[{number}]":>9}' for number in range(1, len(columns) + 1))
    lines = [f'{"IoU %":{width}}{head}']
    for name in sorted(names, key=lambda name: -columns[0]['per_class'][name]['pixels']):
        lines.append(_row(name, width, (run['per_class_iou'].get(name) for run in columns)))
    lines.append('-' * len(lines[0]))
    lines += [_row(name, width, (run[key] for run in columns)) for name, key in AVERAGES.items()]
    lines.append(f'{"frames":{width}}' + ''.join(f'{run["frames"]:>9}' for run in columns))
    lines += [f'[{number}] {name}' for number, name in enumerate(runs, 1)]
    return '\n'.join(lines)


def _row(name: str, width: int, values: Any) -> str:
    return f'{name:{width}}' + ''.join(f'{_percent(value):>9}' for value in values)


def _part(name: str, part: Metrics) -> list[str]:
    if not part['pixels']:
        return []
    miou, accuracy = _percent(part['miou']), _percent(part['pixel_accuracy'])
    return [f'{name}: mIoU {miou} %, pixel accuracy {accuracy} %, {part["pixels"]} pixels']


def _percent(value: float | None) -> str:
    return '-' if value is None else f'{100 * value:.2f}'
