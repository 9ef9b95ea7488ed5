# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG that follow the page from light to dark and to paper.

Matplotlib draws them in `COLORS`, which then become the CSS variables of the same names. It is
imported with the first chart, not with this module, because that takes half a second.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from sgnet_core.report.template import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLORS = {
    'ink': '#1c2126',
    'faint': '#5f6b76',
    'rule': '#dde2e7',
    'accent': '#2563a8',
    'good': '#1a7f4b',
}
_INK, _FAINT, _RULE, _ACCENT, _GOOD = COLORS.values()
_DASHED = {'linewidth': 1, 'linestyle': (0, (4, 3))}
_STYLE = {
    'axes.axisbelow': True,
    'axes.edgecolor': _FAINT,
    'axes.facecolor': 'none',
    'axes.grid': True,
    'axes.grid.axis': 'y',
    'axes.labelcolor': _INK,
    'axes.labelpad': 7,
    'axes.labelsize': 12,
    **{f'axes.spines.{side}': False for side in ('left', 'right', 'top')},
    'font.family': 'DejaVu Sans',
    'font.size': 11,
    'grid.color': _RULE,
    'lines.linewidth': 2,
    'svg.fonttype': 'none',
    'text.color': _FAINT,
    **{f'{axis}tick.labelcolor': _FAINT for axis in 'xy'},
    **{f'{axis}tick.major.pad': 5 for axis in 'xy'},
    **{f'{axis}tick.major.size': 0 for axis in 'xy'},
}
_LOCK = Lock()
"""The settings of matplotlib belong to the process."""
_SMALLEST_BIN = 0.001
"""A confidence bin with a smaller share of the pixels has no reliable accuracy."""
_SMALLEST_SHARE = 0.005
"""A cell of the confusion matrix with a smaller share stays empty: it would be invisible."""
_SMALLEST_LABELLED_CELL = 9
"""Pixels; smaller cells have class names only in their tooltips."""
_MATRIX_WIDTH, _NAME_WIDTH, _NAME_LENGTH = 570, 110, 16


def histogram(
    title: str, values: Sequence[float], label: str, marks: Mapping[str, float] | None = None
) -> Markup:
    """Frames by a value (at least one); `marks` are named dashed lines."""
    bins = min(40, max(5, round(2 * len(values) ** 0.5)))
    counts, edges = np.histogram(values, bins)

    def draw(axes: Axes) -> None:
        width = edges[1] - edges[0]
        bars = axes.bar(edges[:-1], counts, 0.97 * width, align='edge', color=_ACCENT)
        spans = zip(edges, edges[1:], counts, strict=False)
        _add_tooltips(bars, (f'{low:.4g} to {high:.4g}: {n} frames' for low, high, n in spans))
        shown = {name: at for name, at in (marks or {}).items() if edges[0] <= at <= edges[-1]}
        for row, (name, value) in enumerate(shown.items()):
            axes.axvline(value, color=_FAINT, **_DASHED)
            # The names stand below each other, on the side with more room.
            x, side = (-4, 'right') if value > edges.mean() else (4, 'left')
            axes.annotate(
                f'{name} {value:.0f}',
                (value, 1),
                (x, -13 * row),
                xycoords=('data', 'axes fraction'),
                textcoords='offset points',
                horizontalalignment=side,
                verticalalignment='top',
            )
        axes.yaxis.get_major_locator().set_params(integer=True)

    return _svg(title, draw, xlabel=label, ylabel='frames', ylim=(0, 1.15 * counts.max()))


def reliability(bins: Sequence[Mapping[str, float]]) -> Markup:
    """Accuracy by confidence; `bins` of metrics.json, at least one."""
    total = sum(row['pixels'] for row in bins)
    curve = [row for row in bins if row['pixels'] >= _SMALLEST_BIN * total]

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=_FAINT, **_DASHED)
        left, right, pixels = np.array([(row['from'], row['to'], row['pixels']) for row in bins]).T
        width = 0.97 * (right - left)
        bars = axes.bar(left, pixels / total, width, align='edge', color=_ACCENT, alpha=0.35)
        _add_tooltips(bars, (f'{percent(n / total)} of the pixels' for n in pixels))
        tooltips = [
            f'confidence {percent(row["confidence"])}: accuracy {percent(row["accuracy"])}'
            for row in curve
        ]
        _dots(axes, [(row['confidence'], row['accuracy']) for row in curve], tooltips)
        _percent_axis(axes.xaxis, axes.yaxis)

    limits = {'xlim': (0, 1), 'ylim': (0, 1)}
    return _svg('Accuracy by confidence', draw, xlabel='confidence', ylabel='accuracy', **limits)


def robustness(clean: float, rows: Sequence[Mapping[str, Any]], top: float) -> Markup:
    """mIoU by severity of one corruption, from the `clean` mIoU on; `top` ends the axis."""
    points = list(enumerate((clean, *(row['miou'] for row in rows))))
    levels = ['none', *(f'{row["level"]:.2g}' for row in rows)]

    def draw(axes: Axes) -> None:
        _dots(axes, points, [f'{levels[i]}: {percent(score)}' for i, score in points])
        axes.set_xticks(range(len(levels)), levels)
        axes.yaxis.get_major_locator().set_params(nbins=5)
        _percent_axis(axes.yaxis)

    title, unit = f'mIoU with {rows[0]["corruption"]}', rows[0]['unit']
    return _svg(title, draw, (190, 240), xlabel=unit, ylabel='mIoU', ylim=(0, top))


def scatter(frames: Sequence[Mapping[str, Any]]) -> Markup:
    """mIoU of frames (`id`, `a`, `b`) in two runs."""

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=_FAINT, **_DASHED)
        points = [(frame['a'], frame['b']) for frame in frames]
        tooltips = [f'{f["id"]}: {percent(f["a"])} to {percent(f["b"])}' for f in frames]
        _dots(axes, points, tooltips, line=False)
        _percent_axis(axes.xaxis, axes.yaxis)

    labels = {'xlabel': 'A: mIoU of the frame', 'ylabel': 'B: mIoU of the frame'}
    title = 'mIoU of each frame in both runs'
    return _svg(title, draw, (420, 460), xlim=(0, 1), ylim=(0, 1), **labels)


def confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Rows are true classes that occur, columns (`names`) predicted ones, cells shares of the row.

    There may be one more column than rows, for pixels without a prediction.
    """
    from matplotlib.colors import to_rgba

    pixels = np.array(counts)
    rows = np.flatnonzero(pixels.sum(1))
    columns = np.flatnonzero(pixels.any(0) | np.isin(np.arange(len(names)), rows))
    totals = pixels[rows].sum(1)
    shares = pixels[np.ix_(rows, columns)] / totals[:, None]
    cell = float(np.clip((_MATRIX_WIDTH - _NAME_WIDTH) / max(len(columns), 1), 2, 22))
    labelled = cell >= _SMALLEST_LABELLED_CELL

    def draw(axes: Axes) -> None:
        y, x = np.nonzero(shares >= _SMALLEST_SHARE)
        right, share = rows[y] == columns[x], shares[y, x]
        # Small shares are easier to see on a scale of square roots.
        colors = [
            to_rgba(_GOOD if ok else _ACCENT, alpha)
            for ok, alpha in zip(right, share**0.5, strict=True)
        ]
        tooltips = (
            f'{names[rows[i]]} {"correct" if ok else f"predicted as {names[columns[j]]}"}: '
            f'{percent(part)} of {totals[i]} pixels'
            for i, j, ok, part in zip(y, x, right, share, strict=True)
        )
        _add_tooltips(axes.bar(x, 1, 1, y, color=colors, align='edge'), tooltips)
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(_RULE)
        axes.grid(False)
        axes.xaxis.tick_top()
        for axis, ids in ((axes.xaxis, columns), (axes.yaxis, rows)):
            shown = [_axis_name(names[i]) for i in ids if labelled]
            axis.set_ticks(np.arange(len(shown)) + 0.5, shown)
        axes.tick_params('x', labelrotation=90)

    margin = _NAME_WIDTH if labelled else 4
    size = (margin + round(cell * len(rows)), margin + round(cell * len(columns)))
    limits = {'xlim': (0, len(columns)), 'ylim': (len(rows), 0)}
    return _svg('Confusion matrix: truth by prediction', draw, size, aspect='equal', **limits)


def _axis_name(name: str) -> str:
    short = name if len(name) <= _NAME_LENGTH else f'{name[: _NAME_LENGTH - 1]}…'
    # Between two dollars matplotlib would read mathematics.
    return short.replace('$', r'\$')


def _dots(
    axes: Axes, points: Sequence[tuple[float, float]], tooltips: Sequence[str], line: bool = True
) -> None:
    x, y = zip(*points, strict=True)
    if line:
        axes.plot(x, y, color=_ACCENT)
    dots = axes.scatter(x, y, 49, color=_ACCENT, alpha=0.75, linewidths=0, clip_on=False, zorder=3)
    dots.set_urls(tooltips)


def _add_tooltips(artists: Iterable[Artist], tooltips: Iterable[str]) -> None:
    """Store the tooltips as links, which `_inline` turns into titles."""
    for artist, text in zip(artists, tooltips, strict=True):
        artist.set_url(text)


def _percent_axis(*axes: Any) -> None:
    for axis in axes:
        axis.set_major_formatter(lambda value, _: percent(value, 0))


def _svg(
    title: str, draw: Callable[[Axes], None], size: tuple[int, int] = (260, 460), **properties: Any
) -> Markup:
    """Draw on axes with `properties` in a figure of `size` (height, width) in CSS pixels."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    height, width = size
    file = io.BytesIO()
    with _LOCK, rc_context({**_STYLE, 'svg.hashsalt': title}), warnings.catch_warnings():
        # The browser has the glyphs that the fonts of matplotlib lack.
        warnings.filterwarnings('ignore', 'Glyph')
        # The unit of the SVG backend is 1/72 inch.
        figure = Figure((width / 72, height / 72), layout='constrained', frameon=False)
        draw(figure.add_subplot(**properties))
        figure.savefig(file, format='svg', metadata={'Date': None})
    return _inline(file.getvalue(), title, width)


def _inline(svg: bytes, title: str, width: int) -> Markup:
    """Return a drawing of matplotlib as an element of the page, with its fonts and colours."""
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        element.tag = element.tag.rpartition('}')[2]
        for child in list(element):
            if child.tag.rpartition('}')[2] in ('metadata', 'style', 'clipPath'):
                element.remove(child)
        attributes = {name.rpartition('}')[2]: v for name, v in element.attrib.items()}
        attributes.pop('clip-path', None)
        if element.tag in ('a', 'g'):
            attributes.pop('id', None)
        if element.tag == 'a':
            element.tag = 'g'
            element.insert(0, _title(attributes['href']))
            attributes = {}
        if 'style' in attributes:
            for name, color in COLORS.items():
                attributes['style'] = attributes['style'].replace(color, f'var(--{name})')
        element.attrib = attributes
        for text in ('text', 'tail'):
            setattr(element, text, (getattr(element, text) or '').strip())
    root.insert(0, _title(title))
    box = root.get('viewBox')
    root.attrib = {'class': 'chart', 'viewBox': box, 'width': f'{width}', 'role': 'img'}
    return Markup(ElementTree.tostring(root, 'unicode'))


def _title(text: str) -> ElementTree.Element:
    element = ElementTree.Element('title')
    element.text = text
    return element
