# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: axes, and marks at the coordinates of the data.

Colours are classes of `style.py`, so that charts follow the page from light to dark and to paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]


def percent(value: float | None, digits: int = 1) -> str:
    """`39.6 %`, the space not to be broken; a dash for None."""
    return '–' if value is None else f'{100 * value:.{digits}f}\N{NO-BREAK SPACE}%'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them."""
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = magnitude * next(s for s in (1, 2, 2.5, 5, 10) if s * magnitude >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * index for index in range(first, last + 1)]


@dataclass
class Chart:
    """A chart that is drawn on, then read as `svg`.

    Attributes:
        title: for those who cannot see it.
        x_range, y_range: what the axes span, low < high.
        x_label, y_label: of the axes, with their units.
        x_text, y_text: a number of an axis as text.
        size: (height, width) in CSS pixels.
    """

    title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str = ''
    y_label: str = ''
    x_text: Callable[[float], str] = '{:g}'.format
    y_text: Callable[[float], str] = '{:g}'.format
    size: tuple[int, int] = (260, 460)
    _marks: list[str] = field(default_factory=list, init=False, repr=False)

    _LEFT, _RIGHT, _TOP, _BOTTOM = 58, 22, 14, 46

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x_range
        return self._LEFT + (value - low) / (high - low) * (self.size[1] - self._LEFT - self._RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y_range
        return (
            self.size[0]
            - self._BOTTOM
            - (value - low) / (high - low) * (self.size[0] - self._TOP - self._BOTTOM)
        )

    def line(self, points: Iterable[Point], style: str = 'line') -> None:
        """Straight from point to point."""
        path = ' '.join(f'{self.x(x):.1f},{self.y(y):.1f}' for x, y in points)
        self._marks.append(f'<polyline class="{style}" points="{path}"/>')

    def dots(self, points: Iterable[tuple[float, float, str]], style: str = 'dot') -> None:
        """A dot per (x, y, what it says when pointed at)."""
        for x, y, says in points:
            self._marks.append(
                f'<circle class="{style}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5">'
                f'<title>{escape(says)}</title></circle>'
            )

    def bars(self, bars: Iterable[tuple[float, float, float, str]], style: str = 'bar') -> None:
        """A bar per (left, right, top, what it says), from the foot of the chart."""
        foot = self.y(self.y_range[0])
        for left, right, top, says in bars:
            start, end, head = self.x(left), self.x(right), self.y(top)
            self._marks.append(
                f'<rect class="{style}" x="{start + 0.5:.1f}" y="{head:.1f}" '
                f'width="{max(end - start - 1, 0.5):.1f}" height="{max(foot - head, 0):.1f}">'
                f'<title>{escape(says)}</title></rect>'
            )

    def upright(self, value: float, says: str) -> None:
        """A dashed line at x = `value`, with a word at its head."""
        x = self.x(value)
        # Words of several lines stand below each other, on the side where there is room.
        y = self._TOP + 9 + 13 * sum(mark.startswith('<line class="mark"') for mark in self._marks)
        at, anchor = (x - 4, 'end') if x > 0.7 * self.size[1] else (x + 4, 'start')
        self._marks.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{self._TOP}" '
            f'y2="{self.size[0] - self._BOTTOM}"/><text class="tick" x="{at:.1f}" y="{y}" '
            f'text-anchor="{anchor}">{escape(says)}</text>'
        )

    def svg(self) -> str:
        """The picture, as large as `size` where the page has room."""
        height, width = self.size
        return (
            f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" role="img">'
            f'<title>{escape(self.title)}</title>{self._axes()}{"".join(self._marks)}</svg>'
        )

    def _axes(self) -> str:
        height, width = self.size
        foot, right = height - self._BOTTOM, width - self._RIGHT
        parts = []
        for value in ticks(*self.y_range):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{self._LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick" x="{self._LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                f'{escape(self.y_text(value))}</text>'
            )
        for value in ticks(*self.x_range):
            parts.append(
                f'<text class="tick" x="{self.x(value):.1f}" y="{foot + 16}" '
                f'text-anchor="middle">{escape(self.x_text(value))}</text>'
            )
        parts.append(
            f'<line class="axis" x1="{self._LEFT}" x2="{right}" y1="{foot}" y2="{foot}"/>'
            f'<text class="label" x="{(self._LEFT + right) / 2:.0f}" y="{height - 8}" '
            f'text-anchor="middle">{escape(self.x_label)}</text>'
            f'<text class="label" text-anchor="middle" '
            f'transform="translate(14 {(self._TOP + foot) / 2:.0f}) rotate(-90)">'
            f'{escape(self.y_label)}</text>'
        )
        return ''.join(parts)


def histogram(values: Sequence[float], most: int = 40) -> list[tuple[float, float, int]]:
    """(left, right, count) of equal bins over `values`, which must not be empty."""
    low, high = min(values), max(values)
    if high <= low:
        margin = max(abs(low) * 0.05, 1e-3)
        low, high = low - margin, high + margin
    count = min(most, max(5, round(2 * math.sqrt(len(values)))))
    width = (high - low) / count
    counts = [0] * count
    for value in values:
        counts[min(int((value - low) / width), count - 1)] += 1
    return [(low + i * width, low + (i + 1) * width, n) for i, n in enumerate(counts)]


def share_bar(
    value: float | None, says: str, interval: Sequence[float] | None = None, width: int = 220
) -> str:
    """A bar for one line of a table, full at 1, with a thin line over its interval."""
    filled = 0 if value is None else min(max(value, 0), 1) * width
    whisker = ''
    if interval:
        low, high = (end * width for end in interval)
        whisker = f'<path class="whisker" d="M{low:.1f} 3v6m0-3H{high:.1f}m0-3v6"/>'
    return (
        f'<svg class="share" viewBox="0 0 {width} 12" width="{width}" height="12" role="img">'
        f'<title>{escape(says)}</title><rect class="track" width="{width}" height="12" rx="2"/>'
        f'<rect class="bar" width="{filled:.1f}" height="12" rx="2"/>{whisker}</svg>'
    )


def swatch(color: Sequence[int]) -> str:
    """A square of one RGB colour."""
    red, green, blue = color
    return (
        '<svg class="swatch" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">'
        f'<rect width="12" height="12" rx="2" fill="#{red:02x}{green:02x}{blue:02x}"/></svg>'
    )


def interval_bar(
    values: tuple[float, float, float], reach: float, style: str, says: str, width: int = 240
) -> str:
    """(low, middle, high) on a line from -reach to reach, zero in its middle."""
    low, middle, high = ((value / reach + 1) / 2 * (width - 8) + 4 for value in values)
    return (
        f'<svg class="share" viewBox="0 0 {width} 14" width="{width}" height="14" role="img">'
        f'<title>{escape(says)}</title>'
        f'<line class="grid" x1="{width / 2}" x2="{width / 2}" y1="0" y2="14"/>'
        f'<line class="{style}" x1="{low:.1f}" x2="{high:.1f}" y1="7" y2="7" stroke-width="2"/>'
        f'<circle class="{style}" cx="{middle:.1f}" cy="7" r="3.5"/></svg>'
    )
