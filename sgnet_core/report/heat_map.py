# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix as a picture, and the confusions worth naming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sgnet_core.report.chart import percent

FAINTEST = 0.005
"""Share of a class below which a cell stays empty: it could not be seen."""
_LABELLED_CELL = 9
"""Pixels; names do not fit beside smaller cells and are read by pointing."""
_WIDTH, _NAMES, _LONGEST = 570, 104, 16


@dataclass(frozen=True)
class Confusion:
    """`pixels` of the class `truth` that were taken for `prediction`, `share` of all of its."""

    truth: str
    prediction: str
    pixels: int
    share: float


def confusions(counts: Sequence[Sequence[int]], names: Sequence[str]) -> list[Confusion]:
    """Everything predicted wrong, most pixels first.

    Args:
        counts: rows truth, columns prediction; there may be more columns than rows, for pixels
            without a prediction.
        names: of the columns.
    """
    found = [
        Confusion(names[i], names[j], pixels, pixels / sum(row))
        for i, row in enumerate(counts)
        for j, pixels in enumerate(row)
        if pixels and i != j
    ]
    return sorted(found, key=lambda confusion: -confusion.pixels)


def heat_map(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """SVG: a row per true class that occurs, as shares of it; a column per class predicted."""
    rows = [i for i, row in enumerate(counts) if sum(row)]
    columns = [j for j in range(len(names)) if j in rows or any(row[j] for row in counts)]
    cell = min(22.0, max(2.0, (_WIDTH - _NAMES) / max(len(columns), 1)))
    labelled = cell >= _LABELLED_CELL
    margin = _NAMES if labelled else 2
    width, height = margin + cell * len(columns) + 2, margin + cell * len(rows) + 2
    parts = [
        f'<svg class="map" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img">'
        '<title>Confusion matrix: rows are the truth, columns the prediction</title>'
        f'<rect class="frame" x="{margin}" y="{margin}" width="{cell * len(columns):.1f}" '
        f'height="{cell * len(rows):.1f}"/>'
    ]
    for y, i in enumerate(rows):
        total, top = sum(counts[i]), margin + y * cell
        if labelled:
            parts.append(_label(names[i], margin - 5, top + cell / 2 + 4, 'text-anchor="end"'))
        for x, j in enumerate(columns):
            share = counts[i][j] / total
            if share >= FAINTEST:
                says = f'{names[i]} taken for {names[j]}' if i != j else f'{names[i]}, right'
                parts.append(
                    f'<rect class="cell{" right" if i == j else ""}" x="{margin + x * cell:.1f}" '
                    f'y="{top:.1f}" width="{cell:.1f}" height="{cell:.1f}" '
                    # The eye sees small shares better on a scale of square roots.
                    f'fill-opacity="{share**0.5:.2f}"><title>{escape(says)}: {percent(share)} of '
                    f'{total} pixels</title></rect>'
                )
    if labelled:
        for x, j in enumerate(columns):
            place = f'transform="translate({margin + (x + 0.5) * cell + 4:.1f} {margin - 5}) '
            parts.append(_label(names[j], 0, 0, f'{place}rotate(-90)"'))
    return ''.join([*parts, '</svg>'])


def _label(name: str, x: float, y: float, attributes: str) -> str:
    text = name if len(name) <= _LONGEST else f'{name[: _LONGEST - 1]}…'
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
