# SPDX-License-Identifier: Apache-2.0
"""Grids of images with titles and colour bars, drawn by matplotlib without a display.

matplotlib is imported on first use: the node does without it.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

DPI = 100
CELL_INCHES = 4.2
"""Width of one image of a grid."""


def image_grid(
    rows: int, columns: int, size: tuple[int, int], title: str, caption: str
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` times `columns` empty axes for images of `size` (height, width).

    Title and caption are two lines at the top.

    Returns:
        The figure and its (rows, columns) axes.
    """
    from matplotlib.figure import Figure

    # Frames of extreme proportions still leave room for the titles.
    height = CELL_INCHES * float(np.clip(size[0] / size[1], 0.2, 2)) + 0.6
    figure = Figure((columns * CELL_INCHES + 1, rows * height + 0.8), DPI, layout='compressed')
    figure.suptitle('\n'.join(filter(None, (title, caption))), fontsize=12)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes


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
