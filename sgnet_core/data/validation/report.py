# SPDX-License-Identifier: Apache-2.0
"""The result of a validation as JSON values, as text for a terminal, and as a contact sheet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sgnet_core.data.validation.alignment import CHANCE, EdgeAgreement, depth_edges
from sgnet_core.data.validation.finding import ERROR, WARNING, counted, few, share
from sgnet_core.data.validation.labels import LabelCheck
from sgnet_core.data.validation.raw_frame import RawFrame, RawFrameReader
from sgnet_core.data.validation.validator import ValidationResult, evenly_spaced
from sgnet_core.io.images import depth_in_metres, write_rgb
from sgnet_core.labels import label_set_of
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.depth_colors import depth_to_rgb
from sgnet_core.visualization.figures import contact_sheet
from sgnet_core.visualization.legend import legend_entries
from sgnet_core.visualization.overlay import colorize

_BAR = 30
_DEPTH_STEPS_M = (0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MAX_DEPTH_ROWS = 24
SHEET_ROWS = 6
_GREY, _EDGE = 110, (0, 255, 0)


def json_values(result: ValidationResult) -> dict[str, Any]:
    """Counts and findings, ready for JSON."""
    depth = result.depth
    far_m = depth.percentile_m(99) or 0.0
    # The width of a bin at which nearly all depth fits into the rows of the histogram.
    step_m = next((s for s in _DEPTH_STEPS_M if s * (_MAX_DEPTH_ROWS - 4) >= far_m), 50.0)
    total = int(depth.counts.sum())
    findings = [asdict(finding) for finding in result.findings]
    return {
        'name': result.file.name,
        'frames': len(result.frames.ids),
        'frames_read': len(result.read),
        'splits': {name: len(ids) for name, ids in result.frames.splits.items()},
        'errors': result.errors,
        'warnings': len(result.findings) - result.errors,
        'findings': [values | {'frames': list(values.pop('ids'))} for values in findings],
        **_label_values(result.labels),
        'depth': {
            'measured_share': int(depth.measured().sum()) / total if total else None,
            'percentiles_m': {str(p): depth.percentile_m(p) for p in (1, 5, 50, 95, 99)},
            'histogram_step_m': step_m,
            'histogram_pixels': depth.histogram(step_m).astype(int).tolist(),
        },
        'edges': {edges.what: _edge_values(edges) for edges in result.edges},
    }


def _label_values(labels: LabelCheck | None) -> dict[str, Any]:
    if labels is None:
        return {'classes': None, 'unlabelled_pixels': None}
    pixels, frames = labels.of_classes(labels.counts), labels.of_classes(labels.frames)
    classes = zip(labels.class_names, pixels.tolist(), frames.tolist(), strict=True)
    return {
        'classes': {name: {'pixels': count, 'frames': n} for name, count, n in classes},
        'unlabelled_pixels': int(labels.counts.sum() - pixels.sum()),
    }


def _edge_values(edges: EdgeAgreement) -> dict[str, Any] | None:
    if (fits := edges.fits()) is None:
        return None
    stored, best = fits
    return {
        'frames': edges.frames,
        'agreement': stored.agreement,
        'best_agreement': best.agreement,
        'best_change': None if best.change == 1.0 else best.change,
    }


def text(result: ValidationResult) -> str:
    """The result for a terminal: overview, histograms, findings."""
    values = json_values(result)
    paragraphs = (
        _overview(result),
        _class_table(values['classes'] or {}, values['unlabelled_pixels'] or 0),
        _depth_table(values['depth'], int(result.depth.counts.sum())),
        '\n'.join(_edge_line(what, edges) for what, edges in values['edges'].items()),
        '\n'.join(map(str, result.findings)),
        verdict(result),
    )
    return '\n\n'.join(filter(None, paragraphs))


def _overview(result: ValidationResult) -> str:
    frames = result.frames
    splits = ', '.join(f'{name} {len(ids)}' for name, ids in frames.splits.items())
    unused = len(set(frames.ids).difference(*frames.splits.values())) if frames.splits else 0
    line = f'{result.file.name}: {len(frames.ids)} frames; splits: {splits or "none"}'
    lines = [f'{line}; in no split: {unused}' if unused else line]
    if len(result.read) < len(frames.ids):
        lines.append(f'read: {len(result.read)} of them, evenly spaced')
    if result.file.label is None:
        lines.append('labels: none; the data set can be segmented and replayed, not trained on')
    return '\n'.join(lines)


def _class_table(classes: dict[str, dict[str, int]], unlabelled: int) -> str:
    total = unlabelled + sum(entry['pixels'] for entry in classes.values())
    # A stable sort keeps missing classes in the order of the classes file.
    order = sorted(classes.items(), key=lambda item: -item[1]['pixels'])
    rows = [(name, entry['pixels'], f'{entry["frames"]:>6}  ') for name, entry in order]
    return _histogram(('class', 'pixels', 'frames'), rows, 'unlabelled', total) if total else ''


def _depth_table(depth: dict[str, Any], total: int) -> str:
    counts, step_m = depth['histogram_pixels'], depth['histogram_step_m']
    if not any(counts):
        return ''
    rows = [(f'{i * step_m:g} - {(i + 1) * step_m:g} m', n, '') for i, n in enumerate(counts)]
    if beyond := sum(counts[_MAX_DEPTH_ROWS:]):
        rows[_MAX_DEPTH_ROWS:] = [(f'{_MAX_DEPTH_ROWS * step_m:g} m and more', beyond, '')]
    first = next(i for i, row in enumerate(rows) if row[1])
    low, median, high = (depth['percentiles_m'][percent] for percent in ('5', '50', '95'))
    summary = f'median {median:.3g} m; 5 % below {low:.3g} m, 5 % above {high:.3g} m'
    table = _histogram(('depth', 'pixels'), rows[first:], 'no measurement', total)
    return f'{table}\n{summary}'


def _histogram(
    titles: tuple[str, ...], rows: list[tuple[str, int, str]], rest: str, total: int
) -> str:
    """Rows of (name, pixels, text before the bar), then the `rest` of the pixels without a bar."""
    width = max(len(name) for name in (rest, *(row[0] for row in rows)))
    most = max(count for _, count, _ in rows)
    lines = ['  '.join([f'{titles[0]:{width}}', f'{titles[1]:>11}', *titles[2:]])]
    for name, count, extra in rows:
        bar = '#' * max(int(count > 0), round(_BAR * count / max(most, 1)))
        lines.append(f'{name:{width}}  {share(count, total):>11}  {extra}{bar}'.rstrip())
    unseen = total - sum(count for _, count, _ in rows)
    return '\n'.join([*lines, f'{rest:{width}}  {share(unseen, total):>11}'])


def _edge_line(what: str, edges: dict[str, Any] | None) -> str:
    if edges is None:
        return f'edges of {what} on colour: too few to judge'
    return (
        f'edges of {what} on colour: agreement {edges["agreement"]:.2f} over {edges["frames"]} '
        f'frames (chance: below {CHANCE:g}; usual: 0.5 to 1.5)'
    )


def verdict(result: ValidationResult) -> str:
    """`1 error, no warnings`."""
    numbers = {ERROR: result.errors, WARNING: len(result.findings) - result.errors}
    return ', '.join(counted(n, word) if n else f'no {word}s' for word, n in numbers.items())


def write_contact_sheet(path: Path, result: ValidationResult) -> None:
    """Write a PNG with a row per frame: colour, depth, labels, and depth edges on colour.

    Frames with findings come first, others follow evenly spaced. Unreadable images are grey.
    """
    reader = RawFrameReader(result.root, result.file)
    # At most half of the rows are frames with findings, so that the others can be compared.
    suspects = list(dict.fromkeys(f.ids[0] for f in result.findings if f.ids))[: SHEET_ROWS // 2]
    others = [i for i in evenly_spaced(result.read, SHEET_ROWS) if i not in suspects]
    ids = [*suspects, *others][:SHEET_ROWS]
    range_m = tuple(result.depth.percentile_m(percent) or 0.0 for percent in (2, 98))
    rows = [_pictures(reader.read(i), result, range_m) for i in ids]
    titles = ['colour', 'depth, {:.2g} to {:.2g} m'.format(*range_m), 'depth edges on colour']
    classes = []
    if result.labels is not None:
        titles.append('labels')
        known = label_set_of(result.labels.class_names)
        classes = legend_entries(known.class_names, known.palette, (*range(len(known)), UNLABELLED))
    checks = [few(dict.fromkeys(f.check for f in result.findings if i in f.ids), 4) for i in ids]
    captions = [f'{i}. {names}' if names else i for i, names in zip(ids, checks, strict=True)]
    heading = f'{result.file.name}: {len(result.frames.ids)} frames, {verdict(result)}'
    write_rgb(path, contact_sheet(rows, titles, captions, heading, classes))


def _pictures(
    frame: RawFrame, result: ValidationResult, range_m: tuple[float, float]
) -> list[np.ndarray]:
    """RGB pictures of one frame, one for each column."""
    blank = np.full((3, 4, 3), _GREY, np.uint8)
    rgb, depth, labels, edges = frame.rgb, blank, blank, blank
    if frame.depth is not None:
        depth_m = depth_in_metres(frame.depth, result.file.depth_scale, result.file.depth_invalid)
        depth = depth_to_rgb(depth_m, *range_m)
        if rgb is not None and depth_m.shape == rgb.shape[:2]:
            # Darkened colour, and edges that stay visible when the picture is reduced.
            square = np.ones((max(1, round(rgb.shape[1] / 300)),) * 2, np.uint8)
            thick = cv2.dilate(depth_edges(depth_m).astype(np.uint8), square)
            edges = np.where(thick[..., None] > 0, _EDGE, rgb * 0.7).astype(np.uint8)
    pictures = [blank if rgb is None else rgb, depth, edges]
    if result.labels is None:
        return pictures
    if frame.labels is not None:
        label_set = label_set_of(result.labels.class_names)
        ids = frame.labels.astype(np.int64) - result.file.label_offset
        known = (ids >= 0) & (ids < len(label_set))
        labels = colorize(np.where(known, ids, UNLABELLED).astype(np.uint8), label_set.palette)
    return [*pictures, labels]
