# SPDX-License-Identifier: Apache-2.0
"""The sections about a run itself: how long frames took, what was lost, how to get it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sgnet_core.report.chart import Chart, histogram
from sgnet_core.report.page import facts, figure, section, side_by_side

Metrics = Mapping[str, Any]


def time_name(metrics: Metrics) -> str:
    """What the milliseconds of a frame are."""
    return 'camera to mask' if 'label_age_ms' in metrics else 'time per frame'


def timing(metrics: Metrics) -> str:
    """How long frames took, and how well each was done."""
    frames = metrics.get('frame_scores') or []
    charts = []
    times = [frame['ms'] for frame in frames if frame['ms'] is not None]
    if times:
        bins = histogram(times)
        chart = _histogram('Frames by time', bins, f'{time_name(metrics)}, ms')
        for name, value in (metrics.get('latency_ms') or {}).items():
            if chart.x_range[0] <= value <= chart.x_range[1]:
                chart.upright(value, f'{name} {value:.0f}')
        charts.append(figure(chart.svg(), f'Frames: {time_name(metrics)}.'))
    scores = [100 * frame['miou'] for frame in frames if frame['miou'] is not None]
    if scores:
        chart = _histogram('Frames by their own mIoU', histogram(scores), 'mIoU of the frame, %')
        caption = 'Frames by their own mIoU, over the classes true or predicted there.'
        charts.append(figure(chart.svg(), caption))
    return section('Frame by frame', side_by_side(charts), _live(metrics))


def _histogram(title: str, bins: Sequence[tuple[float, float, int]], label: str) -> Chart:
    most = max(count for _, _, count in bins)
    # There are no half frames.
    chart = Chart(
        title,
        (bins[0][0], bins[-1][1]),
        (0, most * 1.15),
        label,
        'frames',
        y_text=lambda count: f'{count:.0f}' if count == round(count) else '',
    )
    chart.bars(
        (left, right, count, f'{left:.4g} to {right:.4g}: {count} frames')
        for left, right, count in bins
        if count
    )
    return chart


def _live(metrics: Metrics) -> str:
    """What only a run through the node can tell."""
    if 'label_age_ms' not in metrics:
        return ''
    fps = metrics.get('fps')
    return '<h3>Through the running node</h3>' + facts(
        {
            'frames sent': metrics.get('frames_sent'),
            'never paired': _causes(metrics.get('unpaired')),
            'pairs of colour and depth': metrics.get('pairs'),
            'dropped': _causes(metrics.get('dropped')),
            'masks': metrics.get('masks'),
            'masks per second': None if fps is None else f'{fps:.1f}',
            'camera to mask': _times(metrics.get('latency_ms')),
            'of that the node': _times(metrics.get('processing_ms')),
            'age of the newest label': _times(metrics['label_age_ms']),
        }
    )


def _causes(counts: Mapping[str, int] | None) -> str:
    return ', '.join(f'{cause} {count}' for cause, count in (counts or {}).items()) or 'none'


def _times(percentiles: Mapping[str, float] | None) -> str | None:
    return ', '.join(f'{name} {ms:.0f} ms' for name, ms in (percentiles or {}).items()) or None


def origin(metrics: Metrics) -> str:
    """How the figures came about, in enough words to get them again."""
    rows = origin_facts(metrics)
    code = [name for name in rows if name in ('command', 'commit') or name.endswith('sha256')]
    return section('How this was measured', facts(rows, code))


def origin_facts(metrics: Metrics) -> dict[str, object]:
    """Name -> value, without what is not known."""
    rows = {name: metrics.get(name) for name in ('protocol', 'frames')}
    known = dict(metrics.get('provenance') or {})
    known['data'] = {**known.get('data', {}), 'sha256': metrics.get('data_sha256')}
    for name, value in known.items():
        if isinstance(value, Mapping):
            rows |= {f'{name}, {key}': inner for key, inner in value.items()}
        else:
            rows[name] = value
    return {name: value for name, value in rows.items() if value is not None}
