# SPDX-License-Identifier: Apache-2.0
"""The page and the text that say what differs between two runs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from sgnet_core.evaluation.text import AVERAGES
from sgnet_core.report.chart import Chart, interval_bar, percent
from sgnet_core.report.page import figure, page, section, side_by_side, table, tiles
from sgnet_core.report.run_sections import origin_facts, time_name
from sgnet_core.report.write import title_of

Metrics = Mapping[str, Any]

NAMED_FRAMES = 12


def points(difference: float | None) -> str:
    """`+1.2`: a difference of fractions in percentage points; a dash for None."""
    return '–' if difference is None else f'{100 * difference:+.1f}'.replace('-', '−')


def p_text(p: float | None) -> str:
    """`0.031`, `< 0.001`; a dash for None."""
    if p is None:
        return '–'
    return '< 0.001' if p < 0.001 else f'{p:.3g}'


def comparison_page(a: Metrics, b: Metrics, found: Metrics) -> str:
    """HTML of what `compare(a, b)` found."""
    return page(
        'Two runs compared',
        f'A: {title_of(a)}. B: {title_of(b)}. {found["frames"]} frames of both.',
        [
            tiles(
                (
                    f'{name}, B − A',
                    points(entry['difference']),
                    f'{percent(entry["a"])} to {percent(entry["b"])}, p {p_text(entry["p"])}',
                )
                for name, entry in _averages(found)
            ),
            f'<p>{escape(verdict(found))}</p>',
            _classes(found),
            _frames(found),
            _figures(a, b),
            _origins(a, b),
        ],
    )


def verdict(found: Metrics) -> str:
    """Better, worse, or not to be told, in a sentence or two."""
    miou = found['scores']['miou']
    if miou['p'] is None:
        head = 'There is no mIoU to compare.'
    elif miou['p'] < found['test']['level']:
        word = 'better' if miou['difference'] > 0 else 'worse'
        head = f'B is {word} than A by {points(abs(miou["difference"]))[1:]} points of mIoU.'
    else:
        head = 'The difference in mIoU can be chance.'
    told = sum(entry['p'] is not None for entry in found['per_class'].values())
    same = told - len(found['better']) - len(found['worse'])
    return (
        f'{head} Better: {", ".join(found["better"]) or "no class"}. '
        f'Worse: {", ".join(found["worse"]) or "no class"}. '
        f'Not to be told apart: {same} classes.'
    )


def method_text(found: Metrics) -> str:
    """What was tested how."""
    test = found['test']
    return (
        f'p: {test["name"]}, two-sided, that of classes adjusted for their number (Holm); '
        f'significant below {test["level"]:g}. Intervals: 95 %, paired bootstrap over frames. Both '
        f'of {test["resamples"]} resamples, seed {test["seed"]}. Neighbouring frames of a video '
        'are alike: there p is too small.'
    )


def comparison_text(a: Metrics, b: Metrics, found: Metrics) -> str:
    """The comparison for a terminal: averages, and classes that differ."""
    rows = _averages(found)
    rows += [(name, found['per_class'][name]) for name in (*found['better'], *found['worse'])]
    width = max(len(name) for name, _ in rows)
    lines = [f'A  {title_of(a)}', f'B  {title_of(b)}', f'{found["frames"]} frames of both', '']
    lines.append(f'{"%":{width}}       A       B   B - A    95 % interval       p')
    for name, entry in rows:
        low, high = entry['interval'] or (None, None)
        a_value, b_value = (percent(entry[run]).removesuffix('\N{NO-BREAK SPACE}%') for run in 'ab')
        lines.append(
            f'{name:{width}}{a_value:>8}{b_value:>8}{points(entry["difference"]):>8}  '
            f'{f"{points(low)} to {points(high)}":>15}{p_text(entry["p"]):>8}'
        )
    return '\n'.join([*lines, '', verdict(found), method_text(found)])


def _averages(found: Metrics) -> list[tuple[str, Metrics]]:
    """What people call each average, and its entry."""
    scores = found['scores']
    return [(name, scores[key]) for name, key in AVERAGES.items() if key in scores]


def _classes(found: Metrics) -> str:
    told = {name: e for name, e in found['per_class'].items() if e['difference'] is not None}
    bounds = [abs(bound) for entry in told.values() for bound in entry['interval']]
    reach = max(bounds, default=0) or 0.01
    rows = []
    for name in sorted(told, key=lambda name: -told[name]['difference']):
        entry = told[name]
        style = 'gain' if name in found['better'] else 'loss' if name in found['worse'] else 'even'
        low, high = entry['interval']
        rows.append(
            (
                escape(name),
                percent(entry['a']),
                percent(entry['b']),
                points(entry['difference']),
                interval_bar(
                    (low, entry['difference'], high),
                    reach,
                    style,
                    f'{points(low)} to {points(high)} points',
                ),
                escape(p_text(entry['p'])),
                f'{entry["frames"]}',
            )
        )
    heads = ['class', 'IoU of A', 'of B', 'B − A', '95 % interval', 'p', 'frames']
    return section(
        'Classes',
        table(heads, rows, (0, 4)) if rows else '',
        note=f'Coloured where it is not chance. {method_text(found)}',
    )


def _frames(found: Metrics) -> str:
    both = [f for f in found['frame_scores'] if f['a'] is not None and f['b'] is not None]
    if not both:
        return ''
    chart = Chart(
        'mIoU of each frame in both runs',
        (0, 1),
        (0, 1),
        'A: mIoU of the frame',
        'B: mIoU of the frame',
        lambda value: percent(value, 0),
        lambda value: percent(value, 0),
        size=(420, 460),
    )
    chart.line([(0, 0), (1, 1)], 'guide')
    chart.dots((f['a'], f['b'], f'{f["id"]}: {percent(f["a"])} to {percent(f["b"])}') for f in both)
    changed = sorted(both, key=lambda f: -abs(f['b'] - f['a']))[:NAMED_FRAMES]
    rows = [
        (escape(f['id']), percent(f['a']), percent(f['b']), points(f['b'] - f['a']))
        for f in changed
    ]
    return section(
        'Frames',
        side_by_side(
            [
                figure(chart.svg(), 'Above the line B is better.'),
                figure(table(['frame', 'A', 'B', 'B − A'], rows), 'The largest changes of mIoU.'),
            ]
        ),
    )


def _figures(a: Metrics, b: Metrics) -> str:
    """What is not tested, of all frames of each run."""

    def row(name: str, value) -> tuple[str, str, str]:
        return name, *(value(run) for run in (a, b))

    rows = [
        row('frames', lambda run: f'{run["frames"]}'),
        row('boundary IoU', lambda run: percent(run.get('boundary_iou'))),
        row('calibration error', lambda run: percent((run.get('calibration') or {}).get('ece'))),
        row('time, median', _time),
    ]
    return section('Other figures', table(['', 'A', 'B'], rows), note='Of all frames of each run.')


def _time(run: Metrics) -> str:
    latency = run.get('latency_ms')
    return f'{latency["p50"]:.0f} ms, {time_name(run)}' if latency else '–'


def _origins(a: Metrics, b: Metrics) -> str:
    first, second = origin_facts(a), origin_facts(b)
    rows = []
    for name in {**first, **second}:
        values = [str(known.get(name, '–')) for known in (first, second)]
        mark = '' if values[0] == values[1] else '≠'
        rows.append((escape(name), *(f'<code>{escape(value)}</code>' for value in values), mark))
    return section(
        'How they were measured',
        table(['', 'A', 'B', ''], rows, (0, 1, 2)),
        note='≠ marks what differs.',
    )
