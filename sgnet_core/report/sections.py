# SPDX-License-Identifier: Apache-2.0
"""The sections about accuracy, each a function of what `evaluate --json` writes.

A section about which a run knows nothing is empty. Figures are those of design section 7 and of
`Evaluation.to_json`: fractions of 1, milliseconds, pixels, None where undefined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from sgnet_core.evaluation.text import AVERAGES
from sgnet_core.report.chart import Chart, percent, share_bar, swatch
from sgnet_core.report.heat_map import confusions, heat_map
from sgnet_core.report.page import figure, section, side_by_side, table, tiles
from sgnet_core.report.run_sections import time_name

Metrics = Mapping[str, Any]

NAMED_CONFUSIONS = 12
FEWEST = 0.001
"""Share of all pixels that a point of the calibration curve stands for, at least."""


def headline(metrics: Metrics) -> str:
    """The figures that people quote, with their intervals."""
    intervals = metrics.get('intervals') or {}
    averages = [
        (name, percent(metrics[key]), _interval(intervals.get(key)))
        for name, key in AVERAGES.items()
        if metrics.get(key) is not None
    ]
    note = ''
    if intervals.get('miou'):
        note = (
            f'<p class="faint">Below each figure: its 95 % interval, had other '
            f'{metrics["frames"]} frames of the same kind been chosen (bootstrap over frames, '
            f'{intervals["resamples"]} resamples, seed {intervals["seed"]}).</p>'
        )
    shown = [*averages, *_other_tiles(metrics)]
    return tiles(shown) + note if shown else ''


def _other_tiles(metrics: Metrics) -> Iterator[tuple[str, str, str]]:
    """Tiles of what not every run knows."""
    film, latency = metrics.get('temporal_consistency'), metrics.get('latency_ms')
    calibration, kept = metrics.get('calibration'), metrics.get('retained_miou')
    if film:
        yield 'temporal consistency', percent(film['agreement']), 'same class a frame later'
    if calibration:
        yield 'calibration error', percent(calibration['ece']), 'ECE; 0 is honest'
    if kept and kept['mean'] is not None:
        yield 'mIoU kept', percent(kept['mean']), 'with worse colour or depth'
    if latency:
        yield time_name(metrics), f'{latency["p50"]:.0f} ms', f'median; 95 %: {latency["p95"]:.0f}'
    if metrics.get('fps') is not None:
        dropped = sum((metrics.get('dropped') or {}).values())
        yield 'masks per second', f'{metrics["fps"]:.1f}', f'{dropped} frames dropped'


def _interval(bounds: Sequence[float] | None) -> str:
    return f'{100 * bounds[0]:.1f} to {percent(bounds[1])}' if bounds else ''


def per_class(metrics: Metrics, palette: Sequence[Sequence[int]]) -> str:
    """A line per class that occurs, the commonest first; the others by name."""
    classes = metrics['per_class']
    total = sum(values['pixels'] for values in classes.values())
    present = [name for name, values in classes.items() if values['iou'] is not None]
    intervals = (metrics.get('intervals') or {}).get('per_class_iou') or {}
    colors = dict(zip(classes, palette, strict=True))
    rows = [
        (
            f'{swatch(colors[name])} {escape(name)}',
            share_bar(
                classes[name]['iou'],
                f'{name}: IoU {percent(classes[name]["iou"])}, {_interval(intervals.get(name))}',
                intervals.get(name),
            ),
            percent(classes[name]['iou']),
            percent(classes[name]['accuracy']),
            percent(classes[name]['boundary_iou']),
            percent(classes[name]['pixels'] / total if total else None),
        )
        for name in sorted(present, key=lambda name: -classes[name]['pixels'])
    ]
    absent = [name for name in classes if name not in present]
    tail = f'<p class="faint">Neither seen nor predicted: {escape(", ".join(absent))}.</p>'
    return section(
        'Classes',
        table(['class', '', 'IoU', 'accuracy', 'boundary IoU', 'share of pixels'], rows, (0, 1))
        if rows
        else '',
        tail if absent and rows else '',
        note='The commonest first. IoU = right / (right + missed + false alarms); the thin line is '
        'its 95 % interval.',
    )


def confusion(metrics: Metrics) -> str:
    """Which class is taken for which."""
    names = list(metrics['per_class'])
    counts = [list(row) for row in metrics['confusion']]
    unpredicted = metrics.get('unpredicted') or []
    if any(unpredicted):
        names = [*names, 'no prediction']
        counts = [[*row, missing] for row, missing in zip(counts, unpredicted, strict=True)]
    worst = confusions(counts, names)[:NAMED_CONFUSIONS]
    if not any(map(sum, counts)):
        return ''
    rows = [
        (escape(c.truth), escape(c.prediction), percent(c.share), f'{c.pixels / 1000:,.0f}')
        for c in worst
    ]
    return section(
        'What is taken for what',
        side_by_side(
            [
                figure(heat_map(counts, names), 'Each row is 100 % of a class; green is right.'),
                figure(
                    table(['truth', 'taken for', 'of the class', '1000 pixels'], rows, (0, 1)),
                    'The confusions of the most pixels.',
                ),
            ]
        ),
    )


def where(metrics: Metrics) -> str:
    """Accuracy by distance, by missing depth, by camera."""
    distances = [
        (_range(row['from_m'], row['to_m'], ' m'), row)
        for row in metrics.get('by_distance') or []
        if row['pixels']
    ]
    without = metrics.get('without_depth')
    if distances and without and without['pixels']:
        distances.append(('no measurement', without))
    holes = [
        (_range(100 * row['from_share'], 100 * row['to_share'], ' %'), row)
        for row in metrics.get('by_missing_depth') or []
        if row['pixels']
    ]
    cameras = list((metrics.get('per_camera') or {}).items())
    return section(
        'Where it is right',
        side_by_side(
            figure(table([head, 'mIoU', '', 'pixel accuracy', support], _where_rows(rows, key)))
            for head, rows, support, key in (
                ('distance', distances, 'pixels', 'pixels'),
                ('depth missing', holes, 'frames', 'frames'),
                ('camera', cameras, 'frames', 'frames'),
            )
            # Of one kind alone it is the headline again.
            if len(rows) > 1
        ),
    )


def _where_rows(rows: Sequence[tuple[str, Metrics]], key: str) -> list[Sequence[str]]:
    return [
        (
            escape(name),
            percent(row['miou']),
            share_bar(row['miou'], f'mIoU {percent(row["miou"])}', width=120),
            percent(row['pixel_accuracy']),
            f'{row[key]:,}',
        )
        for name, row in rows
    ]


def _range(low: float, high: float | None, unit: str) -> str:
    return f'{low:g}{unit} and more' if high is None else f'{low:g} to {high:g}{unit}'


def calibration(metrics: Metrics) -> str:
    """Whether the confidence is as high as the accuracy."""
    known = metrics.get('calibration') or {}
    bins = [row for row in known.get('bins') or [] if row['pixels']]
    if not bins:
        return ''
    total = sum(row['pixels'] for row in bins)
    curve = Chart(
        'Accuracy by confidence',
        (0, 1),
        (0, 1),
        'confidence',
        'pixels that are right',
        lambda value: percent(value, 0),
        lambda value: percent(value, 0),
    )
    curve.line([(0, 0), (1, 1)], 'guide')
    shares = [(row['from'], row['to'], row['pixels'] / total) for row in bins]
    curve.bars(((*bar, f'{percent(bar[-1])} of the pixels') for bar in shares), 'bar pale')
    # Of a handful of pixels the accuracy says nothing.
    bins = [row for row in bins if row['pixels'] >= FEWEST * total]
    curve.line([(row['confidence'], row['accuracy']) for row in bins])
    curve.dots(
        [
            (
                row['confidence'],
                row['accuracy'],
                f'confidence {percent(row["confidence"])}: {percent(row["accuracy"])} right',
            )
            for row in bins
        ]
    )
    return section(
        'Does it know when it is wrong?',
        figure(curve.svg(), 'Bars: the share of pixels of that confidence.'),
        note=f'On the dashed line confidence is accuracy; below it the network is too sure of '
        f'itself. Mean distance from it (ECE): {percent(known["ece"])}.',
    )


def robustness(metrics: Metrics) -> str:
    """A small chart per corruption, from clean frames on."""
    rows, kept = metrics.get('robustness') or [], metrics.get('retained_miou') or {}
    clean = metrics['miou']
    if not rows or clean is None:
        return ''
    top = 1.1 * max(clean, *(row['miou'] for row in rows)) or 1
    charts = []
    for corruption in dict.fromkeys(row['corruption'] for row in rows):
        mine = [row for row in rows if row['corruption'] == corruption]
        levels = {0: 'none', **{row['severity']: f'{row["level"]:.2g}' for row in mine}}
        chart = Chart(
            f'mIoU with {corruption}',
            (0, max(levels)),
            (0, top),
            mine[0]['unit'],
            'mIoU',
            lambda value, levels=levels: levels.get(round(value, 6), ''),
            lambda value: percent(value, 0),
            size=(190, 240),
        )
        points = [(0, clean), *((row['severity'], row['miou']) for row in mine)]
        chart.line(points)
        chart.dots((x, y, f'{levels[x]}: {percent(y)}') for x, y in points)
        share = f', {percent(kept[corruption], 0)} kept' if corruption in kept else ''
        name = escape(corruption.replace('_', ' '))
        charts.append(figure(f'<h3>{name}<span class="faint">{share}</span></h3>{chart.svg()}'))
    mean = ''
    if metrics.get('robustness_interrupted'):
        mean = ' Interrupted: what is not here was not measured.'
    elif kept:
        mean = f' Over all of them {percent(kept["mean"])} of the mIoU are kept.'
    return section(
        'When colour or depth are worse',
        side_by_side(charts),
        note=f'mIoU with one thing wrong at a time, in three severities.{mean}',
    )
