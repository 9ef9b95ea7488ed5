# SPDX-License-Identifier: Apache-2.0
"""The comparison of two runs as a page and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgnet_core.evaluation.tables import AVERAGES
from sgnet_core.report import charts, sections
from sgnet_core.report.template import p_text, percent, points, render

Metrics = Mapping[str, Any]

NAMED_FRAMES = 12


def comparison_page(a: Metrics, b: Metrics, result: Metrics) -> str:
    """HTML of the result of `compare(a, b)`."""
    scored = [f for f in result['frame_scores'] if f['a'] is not None and f['b'] is not None]
    defined = {n: entry for n, entry in result['per_class'].items() if entry['interval']}
    bounds = [abs(bound) for entry in defined.values() for bound in entry['interval']]
    provenance = [sections.provenance_facts(run) for run in (a, b)]
    return render(
        'comparison.html.j2',
        title='Comparison of two runs',
        subtitle=f'A: {sections.title(a)}. B: {sections.title(b)}. '
        f'{result["frames"]} frames in common.',
        result=result,
        averages=_averages(result),
        verdict=verdict(result),
        method=method_text(result),
        classes=sorted(defined.items(), key=lambda item: -item[1]['difference']),
        reach=max(bounds, default=0) or 0.01,
        chart=charts.scatter(scored) if scored else None,
        changes=sorted(scored, key=lambda f: -abs(f['b'] - f['a']))[:NAMED_FRAMES],
        metrics=[
            ('frames', a['frames'], b['frames']),
            *((name, *map(value, (a, b))) for name, value in _UNTESTED.items()),
        ],
        provenance=[
            (name, *(str(facts.get(name, '–')) for facts in provenance))
            for name in provenance[0] | provenance[1]
        ],
    )


def _latency(run: Metrics) -> str:
    latency = run.get('latency_ms')
    return f'{latency["p50"]:.0f} ms, {sections.time_name(run)}' if latency else '–'


_UNTESTED = {
    'boundary IoU': lambda run: percent(run.get('boundary_iou')),
    'calibration error': lambda run: percent((run.get('calibration') or {}).get('ece')),
    'time, median': _latency,
}


def verdict(result: Metrics) -> str:
    """Whether B is better, worse or not significantly different, and for which classes."""
    miou = result['scores']['miou']
    if miou['p'] is None:
        head = 'There is no mIoU to compare.'
    elif miou['p'] < result['test']['level']:
        word = 'better' if miou['difference'] > 0 else 'worse'
        head = f'B is {word} than A by {points(abs(miou["difference"]))[1:]} points of mIoU.'
    else:
        head = 'The difference in mIoU is not significant.'
    tested = sum(entry['p'] is not None for entry in result['per_class'].values())
    same = tested - len(result['better']) - len(result['worse'])
    return (
        f'{head} Better: {", ".join(result["better"]) or "no class"}. '
        f'Worse: {", ".join(result["worse"]) or "no class"}. '
        f'No significant difference: {same} classes.'
    )


def method_text(result: Metrics) -> str:
    """The statistical method and its limits."""
    test = result['test']
    return (
        f'p: {test["name"]}, two-sided; p of classes are adjusted for their number (Holm); '
        f'significant below {test["level"]:g}. Intervals: 95 %, paired bootstrap over frames. Both '
        f'use {test["resamples"]} resamples, seed {test["seed"]}. Neighbouring frames of a video '
        'are not independent: their p is too small.'
    )


def comparison_text(a: Metrics, b: Metrics, result: Metrics) -> str:
    """The comparison for a terminal: averages, and classes that differ significantly."""
    rows = _averages(result)
    rows += [(name, result['per_class'][name]) for name in (*result['better'], *result['worse'])]
    width = max(len(name) for name, _ in rows)
    lines = [f'A  {sections.title(a)}', f'B  {sections.title(b)}']
    lines += [f'{result["frames"]} frames in common', '']
    lines.append(f'{"%":{width}}       A       B   B - A    95 % interval       p')
    for name, entry in rows:
        low, high = entry['interval'] or (None, None)
        a_value, b_value = (percent(entry[run]).removesuffix('\N{NO-BREAK SPACE}%') for run in 'ab')
        lines.append(
            f'{name:{width}}{a_value:>8}{b_value:>8}{points(entry["difference"]):>8}  '
            f'{f"{points(low)} to {points(high)}":>15}{p_text(entry["p"]):>8}'
        )
    return '\n'.join([*lines, '', verdict(result), method_text(result)])


def _averages(result: Metrics) -> list[tuple[str, Metrics]]:
    scores = result['scores']
    return [(name, scores[key]) for name, key in AVERAGES.items() if key in scores]
