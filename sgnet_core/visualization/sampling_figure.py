# SPDX-License-Identifier: Apache-2.0
"""The figure of the sampling locations of a network in one frame (SGNet, Fig. 7).

The maps of movement have one logarithmic scale: a pixel of one layer may be eight of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgnet_core.types import RgbdFrame
from sgnet_core.visualization.figures import (
    image_grid,
    percentile_range,
    render,
    show_depth,
    show_image,
)
from sgnet_core.visualization.sampling_locations import SamplingLocations

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pixel = tuple[int, int]
"""(column, row) in the colour image."""

COLUMNS = 3
"""A stage of the paper's networks has up to three S-Convs: one row of maps per stage."""
LARGEST_MAGNIFICATION = 8.0
MOVEMENT = 'sum of offset lengths (px of the colour image)'


def sampling_figure(
    frame: RgbdFrame,
    layers: Sequence[SamplingLocations],
    pixels: Sequence[Pixel],
    title: str = '',
    caption: str = '',
) -> np.ndarray:
    """Sampling locations over colour, depth, and a map of movement per layer.

    Args:
        layers: at least one.
        pixels: (column, row) of the colour image; each gets one row.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: a pixel is outside the image.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    map_rows = -(-len(layers) // COLUMNS)
    figure, axes = image_grid(len(pixels) + map_rows, COLUMNS, frame.size, title, caption)
    # From blue for the first layer to red for the last.
    colors = colormaps['turbo'](np.linspace(0.1, 0.9, len(layers)))
    for row, pixel in zip(axes, pixels, strict=False):
        depth = _draw_pixel_row(row, frame, layers, colors, pixel)
    figure.colorbar(depth, ax=axes[: len(pixels), -1], label='depth (m), dark: none')
    movements = [layer.movement() for layer in layers]
    norm = LogNorm(*movement_range(movements), clip=True)
    map_axes = axes[len(pixels) :]
    for ax, layer, movement, color in zip(map_axes.flat, layers, movements, colors, strict=False):
        _draw_movement(ax, layer, movement, norm, pixels, color)
    mappable = ScalarMappable(norm, 'viridis')
    # Tick labels in plain digits: the range may be far below one decade.
    bar = figure.colorbar(mappable, ax=map_axes, label=MOVEMENT, format='{x:g}')
    bar.ax.yaxis.set_minor_formatter('{x:g}')
    return render(figure)


def movement_range(movements: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits of a logarithmic scale for all maps: two decades at most, and 0 < low < high."""
    finite = [m[np.isfinite(m)] for m in movements]
    bounds = [np.percentile(m, (1, 99)) for m in finite if m.size] or [(0, 0)]
    # An untrained layer does not move its samples: the scale must not be empty.
    high = max(1.0, *(float(b[1]) for b in bounds))
    low = max(high / 100, min(float(b[0]) for b in bounds))
    return low, max(high, 1.5 * low)


def _draw_pixel_row(
    axes: Sequence[Axes],
    frame: RgbdFrame,
    layers: Sequence[SamplingLocations],
    colors: np.ndarray,
    pixel: Pixel,
) -> object:
    """The samples of one pixel over the whole image and enlarged, and depth, which is returned."""
    overview, enlarged, depth = axes
    samples = [_inside(layer.positions_at(*pixel), frame) for layer in layers]
    left, right, bottom, top = _window(np.concatenate([[pixel], *samples]), frame.size)
    times = frame.size[1] / (right - left)
    show_image(overview, frame.rgb, f'samples for pixel {pixel[0]},{pixel[1]}; area: weight')
    show_image(enlarged, frame.rgb, f'{times:.1f} times larger; lines: from zero offset')
    for layer, color, moved in zip(layers, colors, samples, strict=True):
        weights = np.nan_to_num(layer.weights_at(*pixel)).clip(0.04, 1)
        start = layer.positions_at(*pixel, moved=False)
        for ax, area in ((overview, 20), (enlarged, 120)):
            ax.scatter(*moved.T, area * weights, [color], edgecolors='black', linewidths=0.5)
        enlarged.plot(*np.stack([start, moved]).transpose(2, 0, 1), color=color, linewidth=1)
    box = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    overview.plot(*box.T, color='white', linewidth=1)
    here = frame.depth_m[pixel[1], pixel[0]]
    text = f'{here:.2f} m at the pixel' if np.isfinite(here) else 'none at the pixel'
    image = show_depth(depth, frame.depth_m, f'depth, {text}', percentile_range(frame.depth_m))
    for ax in axes:
        _mark(ax, pixel)
        ax.set(xlim=(-0.5, frame.size[1] - 0.5), ylim=(frame.size[0] - 0.5, -0.5))
    enlarged.set(xlim=(left, right), ylim=(bottom, top))
    return image


def _inside(positions: np.ndarray, frame: RgbdFrame) -> np.ndarray:
    """The positions, NaN for those outside the image."""
    inside = (positions >= 0) & (positions <= np.array(frame.size[::-1]) - 1)
    return np.where(inside.all(axis=1, keepdims=True), positions, np.nan)


def _window(points: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) around the points, in the image and with its proportions."""
    full = np.array(size[::-1], float)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    share = ((1.15 * (high - low) + 1) / full).max().clip(1 / LARGEST_MAGNIFICATION, 1)
    corner = ((low + high - share * full) / 2).clip(-0.5, full - 0.5 - share * full)
    (left, top), (right, bottom) = corner, corner + share * full
    return left, right, bottom, top


def _draw_movement(
    ax: Axes,
    layer: SamplingLocations,
    movement: np.ndarray,
    norm: object,
    pixels: Sequence[Pixel],
    color: np.ndarray,
) -> None:
    """The map of one layer, stretched over the frame."""
    here = ', '.join(_px(movement[layer.pixel_at(*pixel)]) for pixel in pixels)
    stride = layer.input_stride[0] * layer.stride
    median = _px(np.median(movement))
    title = f'{layer.short_name}, stride {stride:g}: {here} px here, median {median}'
    height, width = layer.frame_size
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    options = {'norm': norm, 'extent': extent, 'interpolation': 'nearest'}
    show_image(ax, movement, title, cmap='viridis', **options)
    # The colour of the layer's samples, beside the title.
    swatch = {'edgecolors': 'black', 'transform': ax.transAxes, 'clip_on': False}
    ax.scatter([0.98], [1.05], 70, [color], **swatch)
    for pixel in pixels:
        _mark(ax, pixel)
    ax.set(xlim=extent[:2], ylim=extent[2:])


def _mark(ax: Axes, pixel: Pixel) -> None:
    """A white cross with a dark edge."""
    from matplotlib.patheffects import withStroke

    edge = [withStroke(linewidth=3, foreground='black')]
    ax.plot(*pixel, '+', color='white', markersize=11, path_effects=edge)


def _px(value: float) -> str:
    return f'{value:.0f}' if value >= 10 else f'{value:.2g}'
