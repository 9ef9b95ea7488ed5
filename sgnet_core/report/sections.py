# SPDX-License-Identifier: Apache-2.0
"""The content of the report's sections, computed from metrics.json.

A section is empty if the run did not measure its metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sgnet_core.report import charts

Metrics = Mapping[str, Any]
Rows = list[tuple[str, Metrics]]

NAMED_CONFUSIONS = 12


def title(metrics: Metrics) -> str:
    """`sgnet_lite0 on nyuv2, split val`."""
    provenance = metrics.get('provenance') or {}
    network = (provenance.get('checkpoint') or {}).get('network', 'a network').partition(' (')[0]
    data = provenance.get('data') or {}
    split = f', split {data["split"]}' if data.get('split', 'all') != 'all' else ''
    return f'{network} on {data.get("name", "a data set")}{split}'


def subtitle(metrics: Metrics) -> str:
    """Frames, classes, time, and whether the result is incomplete."""
    parts = [f'{metrics["frames"]} frames', f'{len(metrics["per_class"])} classes']
    parts.append((metrics.get('provenance') or {}).get('time'))
    if metrics.get('interrupted'):
        parts.append('interrupted: only the frames seen until then')
    parts.append(metrics.get('damage'))
    return ', '.join(filter(None, parts))


def time_name(metrics: Metrics) -> str:
    """The meaning of the milliseconds of a frame."""
    return 'camera to mask' if 'label_age_ms' in metrics else 'time per frame'


def confusion(metrics: Metrics) -> dict[str, Any] | None:
    """`chart`, and `largest`: the largest confusions as (truth, prediction, pixels, share)."""
    names, counts = list(metrics['per_class']), metrics['confusion']
    if any(metrics.get('unpredicted') or []):
        names = [*names, 'no prediction']
        counts = [
            [*row, missing] for row, missing in zip(counts, metrics['unpredicted'], strict=True)
        ]
    if not any(map(sum, counts)):
        return None
    largest = confusions(counts, names)[:NAMED_CONFUSIONS]
    return {'chart': charts.confusion_matrix(counts, names), 'largest': largest}


def confusions(
    counts: Sequence[Sequence[int]], names: Sequence[str]
) -> list[tuple[str, str, int, float]]:
    """Wrong predictions as (truth, prediction, pixels, share of the true class), largest first."""
    entries = [
        (names[i], names[j], pixels, pixels / sum(row))
        for i, row in enumerate(counts)
        for j, pixels in enumerate(row)
        if pixels and i != j
    ]
    return sorted(entries, key=lambda entry: -entry[2])


def conditions(metrics: Metrics) -> list[tuple[str, str, Rows]]:
    """(condition, unit of support, rows): accuracy by distance, missing depth and camera."""
    distances = _ranges(metrics.get('by_distance'), 'm', 1, ' m')
    without = metrics.get('without_depth')
    if distances and without and without['pixels']:
        distances.append(('no measurement', without))
    missing = _ranges(metrics.get('by_missing_depth'), 'share', 100, ' %')
    cameras = list((metrics.get('per_camera') or {}).items())
    entries = [
        ('distance', 'pixels', distances),
        ('depth missing', 'frames', missing),
        ('camera', 'frames', cameras),
    ]
    # A single row would repeat the headline.
    return [entry for entry in entries if len(entry[2]) > 1]


def _ranges(rows: Sequence[Metrics] | None, key: str, scale: float, unit: str) -> Rows:
    named = []
    for row in rows or []:
        low, high = scale * row[f'from_{key}'], row[f'to_{key}']
        name = f'{low:g}{unit} and more' if high is None else f'{low:g} to {scale * high:g}{unit}'
        if row['pixels']:
            named.append((name, row))
    return named


def robustness_charts(metrics: Metrics) -> list[tuple[str, float | None, Markup]]:
    """(corruption, relative mIoU, chart) of each corruption."""
    rows, relative = metrics.get('robustness') or [], metrics.get('retained_miou') or {}
    clean = metrics['miou']
    if not rows or clean is None:
        return []
    top = 1.1 * max(clean, *(row['miou'] for row in rows)) or 1
    entries = []
    for name in dict.fromkeys(row['corruption'] for row in rows):
        own = [row for row in rows if row['corruption'] == name]
        chart = charts.robustness(clean, own, top)
        entries.append((name.replace('_', ' '), relative.get(name), chart))
    return entries


def distributions(metrics: Metrics) -> list[tuple[str, Markup]]:
    """(caption, histogram) of times and of mIoU over frames."""
    frames, entries = metrics.get('frame_scores') or [], []
    times = [frame['ms'] for frame in frames if frame['ms'] is not None]
    scores = [100 * frame['miou'] for frame in frames if frame['miou'] is not None]
    if times:
        name, marks = time_name(metrics), metrics.get('latency_ms')
        chart = charts.histogram('Frames by time', times, f'{name}, ms', marks)
        entries.append((f'Frames: {name}.', chart))
    if scores:
        chart = charts.histogram('Frames by mIoU', scores, 'mIoU of the frame, %')
        entries.append(('Frames: mIoU over the classes true or predicted in the frame.', chart))
    return entries


def provenance_facts(metrics: Metrics) -> dict[str, object]:
    """Name -> value of what is needed to repeat the evaluation."""
    rows = {name: metrics.get(name) for name in ('protocol', 'frames')}
    provenance = dict(metrics.get('provenance') or {})
    provenance['data'] = {**provenance.get('data', {}), 'sha256': metrics.get('data_sha256')}
    for name, value in provenance.items():
        if isinstance(value, Mapping):
            rows |= {f'{name}, {key}': inner for key, inner in value.items()}
        else:
            rows[name] = value
    return {name: value for name, value in rows.items() if value is not None}
