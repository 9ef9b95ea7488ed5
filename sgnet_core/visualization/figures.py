# SPDX-License-Identifier: Apache-2.0
"""Grids of images with titles and colour bars, drawn by matplotlib, which is imported on use."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgnet_core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Color = tuple[int, int, int]
"""RGB, 0..255."""
DPI = 100
CELL_INCHES = 4.2
"""Width of one image of a grid."""


def image_grid(
    rows: int,
    columns: int,
    size: tuple[int, int],
    title: str,
    caption: str = '',
    margin_inches: float = 0.8,
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` times `columns` empty axes for images of `size` (height, width).

    Title and caption are two lines at the top; they and a legend take `margin_inches` of height.

    Returns:
        The figure and its (rows, columns) axes.
    """
    from matplotlib.figure import Figure

    # Frames of extreme proportions still leave room for the titles.
    height = CELL_INCHES * float(np.clip(size[0] / size[1], 0.2, 2)) + 0.6
    figure = Figure(
        (columns * CELL_INCHES + 1, rows * height + margin_inches), DPI, layout='compressed'
    )
    figure.suptitle('\n'.join(filter(None, (title, caption))), fontsize=12)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    return figure, axes


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] = (),
    captions: Sequence[str] = (),
    title: str = '',
    classes: Sequence[tuple[str, Color]] = (),
) -> np.ndarray:
    """Rows of pictures with text around them, each fitted into a cell of the first one's shape.

    Args:
        rows: pictures (H, W, 3) uint8 of any size.
        captions: one per row, below it.
        classes: name and RGB colour of each class of a legend at the bottom.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: there is no picture, or more titles or captions than columns or rows.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise InputError('a contact sheet needs at least one picture')
    if len(column_titles) > columns or len(captions) > len(rows):
        raise InputError(
            f'{len(column_titles)} column titles and {len(captions)} captions for {columns} '
            f'columns and {len(rows)} rows'
        )
    first = next(picture for row in rows for picture in row)
    margin = 0.8 + 0.22 * len(classes) / (2 * columns)
    figure, axes = image_grid(len(rows), columns, first.shape[:2], title, margin_inches=margin)
    for row_axes, row in zip(axes, rows, strict=True):
        for ax, picture in zip(row_axes, row, strict=False):
            show_image(ax, picture, '')
    for ax, text in zip(axes[0], column_titles, strict=False):
        ax.set_title(text, loc='left', fontsize=10)
    for ax, text in zip(axes[:, 0], captions, strict=False):
        # An empty label keeps its place: the layout would make room for a wide text on the left.
        ax.set_xlabel(' ')
        ax.text(0, -0.03, text, va='top', fontsize=9, transform=ax.transAxes, in_layout=False)
    if classes:
        from matplotlib.patches import Patch

        patches = [
            Patch(facecolor=np.divide(color, 255), edgecolor='0.5', label=name)
            for name, color in classes
        ]
        options = {'ncols': 2 * columns, 'loc': 'outside lower left', 'frameon': False}
        figure.legend(handles=patches, fontsize=9, **options)
    return render(figure)


def show_image(ax: Axes, image: np.ndarray, title: str, **options: Any) -> ScalarMappable:
    """Show one image below its title; `options` are those of `Axes.imshow`."""
    ax.set_title(title, loc='left', fontsize=10)
    return ax.imshow(image, **options)


def show_depth(
    ax: Axes, depth_m: np.ndarray, title: str, range_m: tuple[float, float]
) -> ScalarMappable:
    """Show depth in metres; pixels without a measurement are dark grey."""
    from matplotlib import colormaps

    cmap = colormaps['turbo'].with_extremes(bad='0.16')
    return show_image(ax, depth_m, title, cmap=cmap, vmin=range_m[0], vmax=range_m[1])


def percentile_range(values: np.ndarray) -> tuple[float, float]:
    """The 2nd and 98th percentile of the finite values; (0, 1) if there are none."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (2, 98)) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def render(figure: Figure) -> np.ndarray:
    """The figure as (H, W, 3) uint8 RGB, cropped to what is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    # Names of frames may hold dollar signs, or characters that the font lacks.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        canvas.draw()
    rgb = np.asarray(canvas.buffer_rgba())[..., :3]
    box = figure.get_tightbbox().padded(0.1)
    left, right = (np.array([box.x0, box.x1]) * DPI).astype(int).clip(0)
    bottom, top = (np.array([box.y0, box.y1]) * DPI).astype(int).clip(0)
    return rgb[max(0, len(rgb) - top) : len(rgb) - bottom, left:right].copy()
