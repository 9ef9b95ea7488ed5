# SPDX-License-Identifier: Apache-2.0
"""What a check found as JSON values and as text for a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgnet_core.data.validation.alignment import CHANCE, EdgeAgreement
from sgnet_core.data.validation.finding import share
from sgnet_core.data.validation.labels import LabelCheck
from sgnet_core.data.validation.validator import CheckedDataset

_BAR = 30
_DEPTH_STEPS_M = (0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MOST_DEPTH_ROWS = 24


def figures(checked: CheckedDataset) -> dict[str, Any]:
    """Counts and findings, ready for JSON."""
    return {
        'name': checked.file.name,
        'frames': len(checked.frames.ids),
        'frames_read': len(checked.read),
        'splits': {name: len(ids) for name, ids in checked.frames.splits.items()},
        'errors': checked.errors,
        'warnings': len(checked.findings) - checked.errors,
        'findings': [
            {
                'severity': finding.severity,
                'check': finding.check,
                'seen': finding.seen,
                'remedy': finding.remedy,
                'frames': list(finding.ids),
            }
            for finding in checked.findings
        ],
        **_label_figures(checked.labels),
        'depth': _depth_figures(checked),
        'edges': {edges.what: _edge_figures(edges) for edges in checked.edges},
    }


def _label_figures(labels: LabelCheck | None) -> dict[str, Any]:
    if labels is None:
        return {'classes': None, 'unlabelled_pixels': None}
    pixels, frames = labels.of_classes(labels.counts), labels.of_classes(labels.frames)
    return {
        'classes': {
            name: {'pixels': int(pixels[i]), 'frames': int(frames[i])}
            for i, name in enumerate(labels.class_names)
        },
        'unlabelled_pixels': int(labels.counts.sum() - pixels.sum()),
    }


def _depth_figures(checked: CheckedDataset) -> dict[str, Any]:
    depth, step_m = checked.depth, _depth_step(checked)
    total = int(depth.counts.sum())
    return {
        'measured_share': int(depth.measured().sum()) / total if total else None,
        'percentiles_m': {str(p): depth.percentile_m(p) for p in (1, 5, 50, 95, 99)},
        'histogram_step_m': step_m,
        'histogram_pixels': depth.histogram(step_m).astype(int).tolist(),
    }


def _edge_figures(edges: EdgeAgreement) -> dict[str, Any] | None:
    fits = edges.fits()
    if fits is None:
        return None
    stored, best = fits
    return {
        'frames': edges.frames,
        'agreement': stored.agreement,
        'best_agreement': best.agreement,
        'best_change': best.change or None,
    }


def text(checked: CheckedDataset) -> str:
    """All of it for a terminal: what there is, histograms, findings last."""
    parts = [_overview(checked), _classes(checked), _depth(checked), _edges(checked)]
    parts.append('\n'.join(str(finding) for finding in checked.findings))
    parts.append(verdict(checked))
    return '\n\n'.join(part for part in parts if part)


def _overview(checked: CheckedDataset) -> str:
    file, frames = checked.file, checked.frames
    splits = ', '.join(f'{name} {len(ids)}' for name, ids in frames.splits.items())
    alone = len(set(frames.ids).difference(*frames.splits.values())) if frames.splits else 0
    lines = [f'{file.name}: {len(frames.ids)} frames; splits: {splits or "none"}']
    if alone:
        lines[0] += f'; in no split: {alone}'
    if len(checked.read) < len(frames.ids):
        lines.append(f'read: {len(checked.read)} of them, evenly spread')
    if file.label is None:
        lines.append('labels: none, so it can be segmented and replayed, but not trained on')
    return '\n'.join(lines)


def _classes(checked: CheckedDataset) -> str:
    labels = checked.labels
    if labels is None or not labels.counts.any():
        return ''
    pixels, total = labels.of_classes(labels.counts), labels.counts.sum()
    width = max(map(len, (*labels.class_names, 'unlabelled')))
    rows = list(zip(labels.class_names, pixels, labels.of_classes(labels.frames), strict=True))
    # A stable sort: what is missing stays in the order of the classes file.
    rows.sort(key=lambda row: -row[1])
    lines = [f'{"class":{width}}  {"pixels":>11}  {"frames":>6}']
    for name, count, frames in rows:
        bar = _bar(count, pixels.max())
        lines.append(f'{name:{width}}  {share(count, total):>11}  {frames:6}  {bar}'.rstrip())
    lines.append(f'{"unlabelled":{width}}  {share(total - pixels.sum(), total):>11}')
    return '\n'.join(lines)


def _depth(checked: CheckedDataset) -> str:
    depth = checked.depth
    total = depth.counts.sum()
    if not depth.measured().any():
        return ''
    step_m = _depth_step(checked)
    histogram = depth.histogram(step_m)
    head = min(len(histogram), _MOST_DEPTH_ROWS)
    rows = [(f'{i * step_m:g} - {(i + 1) * step_m:g} m', histogram[i]) for i in range(head)]
    if histogram[head:].any():
        rows.append((f'{head * step_m:g} m and more', histogram[head:].sum()))
    rows = rows[int(np.argmax([count > 0 for _, count in rows])) :]
    width = max(len(name) for name, _ in (*rows, ('no measurement', 0)))
    lines = [f'{"depth":{width}}  {"pixels":>11}']
    for name, count in rows:
        bar = _bar(count, histogram.max())
        lines.append(f'{name:{width}}  {share(count, total):>11}  {bar}'.rstrip())
    missing = share(total - depth.measured().sum(), total)
    lines.append(f'{"no measurement":{width}}  {missing:>11}')
    low, median, high = (depth.percentile_m(percent) for percent in (5, 50, 95))
    lines.append(f'median {median:.3g} m; 5 % below {low:.3g} m, 5 % above {high:.3g} m')
    return '\n'.join(lines)


def _edges(checked: CheckedDataset) -> str:
    lines = []
    for edges in checked.edges:
        fits = edges.fits()
        if fits is None:
            lines.append(f'edges of {edges.what} against colour: too few to judge')
        else:
            lines.append(
                f'edges of {edges.what} against colour: agreement {fits[0].agreement:.2f} over '
                f'{edges.frames} frames (chance: below {CHANCE:g}; usual: 0.5 to 1.5)'
            )
    return '\n'.join(lines)


def _depth_step(checked: CheckedDataset) -> float:
    """Of the histogram, so that nearly all depth is on it."""
    far_m = checked.depth.percentile_m(99) or 0.0
    return next((s for s in _DEPTH_STEPS_M if s * (_MOST_DEPTH_ROWS - 4) >= far_m), 50.0)


def _bar(part: float, whole: float) -> str:
    return '#' * max(int(part > 0), round(_BAR * part / max(whole, 1)))


def verdict(checked: CheckedDataset) -> str:
    """`1 error, no warnings`."""
    counts = {'error': checked.errors, 'warning': len(checked.findings) - checked.errors}
    return ', '.join(f'{n or "no"} {word}{"" if n == 1 else "s"}' for word, n in counts.items())
