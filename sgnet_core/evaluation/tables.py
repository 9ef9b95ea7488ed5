# SPDX-License-Identifier: Apache-2.0
"""The metrics of `Evaluation.to_json` as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Metrics = Mapping[str, Any]

AVERAGES = {
    'mIoU': 'miou',
    'boundary IoU': 'boundary_iou',
    'pixel accuracy': 'pixel_accuracy',
    'mean accuracy': 'mean_accuracy',
    'weighted by share': 'frequency_weighted_iou',
}
"""Name of a metric -> its key."""


def details(metrics: Metrics) -> str:
    """The lines below the table of classes: intervals, boundaries, distances, and so on."""
    lines = []
    if metrics['intervals']['miou'] is not None:
        miou, accuracy = (
            '{:.2f} to {:.2f}'.format(*(100 * bound for bound in metrics['intervals'][key]))
            for key in ('miou', 'pixel_accuracy')
        )
        lines.append(f'95 % of resampled frames: mIoU {miou}, pixel accuracy {accuracy}')
    if metrics['boundary_iou'] is not None:
        lines.append(f'boundary IoU {_percent(metrics["boundary_iou"])} %')
    parts = {}
    for part in metrics['by_distance']:
        end = 'more' if part['to_m'] is None else f'{part["to_m"]:g} m'
        parts[f'{part["from_m"]:g} m to {end}'] = part
    parts |= {'without depth': metrics['without_depth'], **(metrics['per_camera'] or {})}
    for name, part in parts.items():
        if part['pixels']:
            miou, accuracy = _percent(part['miou']), _percent(part['pixel_accuracy'])
            lines.append(
                f'{name}: mIoU {miou} %, pixel accuracy {accuracy} %, {part["pixels"]} pixels'
            )
    if metrics['calibration']:
        lines.append(f'expected calibration error {_percent(metrics["calibration"]["ece"])} %')
    if metrics['temporal_consistency']:
        agreement = _percent(metrics['temporal_consistency']['agreement'])
        lines.append(f'temporal consistency {agreement} %')
    if metrics['latency_ms']:
        times = ', '.join(f'{name} {ms:.0f} ms' for name, ms in metrics['latency_ms'].items())
        lines.append(f'time per mask: {times}')
    return '\n'.join(lines)


def side_by_side(runs: Mapping[str, Metrics]) -> str:
    """IoU of every class and the averages, one column per run; a list of the runs at the end."""
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


def _row(name: str, width: int, values: Iterable[float | None]) -> str:
    return f'{name:{width}}' + ''.join(f'{_percent(value):>9}' for value in values)


def _percent(value: float | None) -> str:
    return '-' if value is None else f'{100 * value:.2f}'
