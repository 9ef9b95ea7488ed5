# SPDX-License-Identifier: Apache-2.0
"""The picture of what S-Conv does to one frame (SGNet, Fig. 7): its taps, and how far they move.

It shows what is there: one colour scale for all layers, nothing smoothed, each layer at its own
resolution. The scale is logarithmic, since a layer's pixel is up to eight times another's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.color_scale import LogColorScale
from sgnet_core.lettering import (
    FAINT_INK,
    GAP,
    HEADING_SIZE,
    INK,
    PAPER,
    TEXT_SIZE,
    blank_paper,
    cut_text,
    text_strip,
    write_text,
)
from sgnet_core.taps import LayerTaps, Size
from sgnet_core.types import RgbdFrame
from sgnet_core.visualize import contact_sheet, depth_to_rgb

Pixel = tuple[int, int]
"""(column, row) in the colour image."""
Color = tuple[int, int, int]

COLUMNS = 3
"""As many as a stage of the paper's networks has S-Convs: a row of maps is a stage."""
CELL_WIDTH = 420
HEADER = HEADING_SIZE + TEXT_SIZE + 4 * GAP
LARGEST_MAGNIFICATION = 8.0
SMALLEST_WEIGHT = 0.04
"""As large as lighter taps are drawn, to be seen."""
MOVEMENT = 'Movement: how far the taps of a layer move, added up, in pixels of the colour image'
STAGE_COLORS: tuple[tuple[Color, ...], ...] = (
    ((255, 226, 77), (255, 158, 27), (226, 61, 40)),
    ((255, 179, 230), (232, 79, 196), (143, 63, 214)),
    ((150, 214, 255), (63, 140, 255), (31, 63, 191)),
    ((206, 247, 106), (79, 209, 79), (15, 138, 79)),
)
"""Yellow to red, pink to violet, light to dark blue, lime to green: told apart on photographs."""
_SUBPIXEL_BITS = 4


def taps_picture(
    frame: RgbdFrame,
    layers: Sequence[LayerTaps],
    pixels: Sequence[Pixel],
    title: str = '',
    caption: str = '',
) -> np.ndarray:
    """Taps over colour, depth, and a map of movement per layer, (H, W, 3) uint8 RGB.

    Args:
        frame: the frame of which `layers` are the geometry.
        layers: at least one.
        pixels: (column, row) of the colour image; each gets a row of its own.
        title, caption: a line at the top, one at the bottom.

    Raises:
        InputError: a pixel is outside the image.
    """
    cell = (max(1, round(CELL_WIDTH * frame.size[0] / frame.size[1])), CELL_WIDTH)
    colors = layer_colors([layer.name for layer in layers])
    dots = [
        [
            _Dots(layer.positions_at(*at), layer.positions_at(*at, False), layer.weights_at(*at), c)
            for layer, c in zip(layers, colors, strict=True)
        ]
        for at in pixels
    ]
    windows = _View.of_equal_size(pixels, dots, frame.size, cell)
    rows = [_pixel_row(frame, *of_pixel) for of_pixel in zip(pixels, dots, windows, strict=True)]
    movements = [layer.movement() for layer in layers]
    scale = LogColorScale.of(movements)
    maps = [
        _movement_map(layer, scale.colors(movement), pixels, cell, color)
        for layer, movement, color in zip(layers, movements, colors, strict=True)
    ]
    rows += [maps[i : i + COLUMNS] for i in range(0, len(maps), COLUMNS)]
    sheet = contact_sheet(rows, title=title, cell_width=CELL_WIDTH)
    width = sheet.shape[1]
    footer = text_strip([caption], width, width, TEXT_SIZE, FAINT_INK)
    return np.vstack([sheet, scale.bar(width, MOVEMENT), footer])


def layer_colors(names: Sequence[str]) -> list[Color]:
    """A colour per layer: a family of hues for each stage of the network, light to dark in it."""
    # The first part of a name that counts: `layer1` of a ResNet, the mixer's number of a decoder.
    stages = [next((part for part in n.split('.') if re.search(r'\d', part)), n) for n in names]
    order = list(dict.fromkeys(stages))
    colors = []
    for index, stage in enumerate(stages):
        family = STAGE_COLORS[order.index(stage) % len(STAGE_COLORS)]
        first = max(0, len(family) - stages.count(stage)) // 2
        colors.append(family[(first + stages[:index].count(stage)) % len(family)])
    return colors


@dataclass(frozen=True)
class _Dots:
    """The taps of one layer for one pixel: (K, 2) (column, row) of the image, (K,) weights."""

    moved: np.ndarray
    plain: np.ndarray
    weights: np.ndarray
    color: Color


@dataclass(frozen=True)
class _View:
    """A window of the colour image, and the size of the picture it fills."""

    top: int
    left: int
    size: Size
    cell: Size

    @classmethod
    def of_all(cls, frame_size: Size, cell: Size) -> _View:
        return cls(0, 0, frame_size, cell)

    @classmethod
    def of_equal_size(
        cls, pixels: Sequence[Pixel], dots: Sequence[Sequence[_Dots]], frame_size: Size, cell: Size
    ) -> list[_View]:
        """For each pixel a window with all its taps that are in the image, all equally large."""
        boxes = []
        for pixel, dots_of_pixel in zip(pixels, dots, strict=True):
            points = np.concatenate([[pixel], *(d.moved for d in dots_of_pixel)])
            inside = ((points >= 0) & (points <= np.array(frame_size[::-1]) - 1)).all(axis=1)
            boxes.append((points[inside].min(axis=0), points[inside].max(axis=0)))
        extent = np.max([high - low for low, high in boxes], axis=0)[::-1]
        share = (np.maximum(1.15 * extent, extent + 1) / frame_size).max()  # whole pixels
        share = np.clip(share, 1 / LARGEST_MAGNIFICATION, 1)
        size = np.ceil(share * np.array(frame_size)).astype(int)
        views = []
        for low, high in boxes:
            corner = np.rint((low + high)[::-1] / 2 - (size - 1) / 2).astype(int)
            top, left = np.clip(corner, 0, frame_size - size).tolist()
            views.append(cls(top, left, tuple(size.tolist()), cell))
        return views

    @property
    def magnification(self) -> float:
        """Of a pixel of the image in the cell."""
        return self.cell[1] / self.size[1]

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        (height, width), (top, left) = self.size, (self.top, self.left)
        how = cv2.INTER_AREA if self.magnification < 1 else cv2.INTER_LINEAR
        window = rgb[top : top + height, left : left + width]
        return cv2.resize(window, self.cell[::-1], interpolation=how)

    def at(self, position: np.ndarray | Pixel) -> tuple[int, int] | None:
        """(column, row) of the image -> of the cell, in the sub-pixels OpenCV draws with.

        None where it is outside the window or not finite.
        """
        scale = np.array(self.cell[::-1]) / self.size[::-1]
        in_cell = (np.asarray(position) + 0.5 - (self.left, self.top)) * scale - 0.5
        if not ((in_cell >= -1) & (in_cell <= self.cell[::-1])).all():
            return None
        x, y = np.rint(in_cell * (1 << _SUBPIXEL_BITS)).astype(int).tolist()
        return x, y


def _pixel_row(
    frame: RgbdFrame, pixel: Pixel, dots: Sequence[_Dots], window: _View
) -> list[np.ndarray]:
    """The taps of one pixel over the whole image and enlarged, and depth."""
    whole = _View.of_all(frame.size, window.cell)
    overview, enlarged = whole.picture(frame.rgb), window.picture(frame.rgb)
    _draw_taps(overview, whole, dots, radius=3.5)
    _draw_origins(enlarged, window, dots)
    _draw_taps(enlarged, window, dots, radius=8)
    corners = np.array([(0, 0), window.size[::-1]]) + (window.left, window.top) - 0.5
    start, end = (whole.at(corner) for corner in corners)
    cv2.rectangle(overview, start, end, PAPER, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    for picture, view in ((overview, whole), (enlarged, window)):
        _draw_pixel(picture, view, pixel)
    times = window.magnification / whole.magnification
    return [
        _titled(
            overview,
            f'Taps for pixel {pixel[0]},{pixel[1]}',
            'Colour: layer, as below. Area: weight.',
        ),
        _titled(
            enlarged,
            f'Enlarged {times:.1f} times',
            'Lines: from the taps without offset.',
        ),
        _depth(frame, pixel, whole),
    ]


def _depth(frame: RgbdFrame, pixel: Pixel, whole: _View) -> np.ndarray:
    measured = frame.depth_m[np.isfinite(frame.depth_m)]
    near, far = np.percentile(measured, (2, 98)) if measured.size else (0.0, 0.0)
    picture = whole.picture(depth_to_rgb(frame.depth_m, near, far))
    _draw_pixel(picture, whole, pixel)
    here = frame.depth_m[pixel[1], pixel[0]]
    return _titled(
        picture,
        f'Depth, {here:.2f} m at the pixel' if np.isfinite(here) else 'Depth, none at the pixel',
        f'Blue {near:.1f} m, red {far:.1f} m, dark none.' if measured.size else 'No depth at all.',
    )


def _draw_taps(picture: np.ndarray, view: _View, dots: Sequence[_Dots], radius: float) -> None:
    """Draw on the picture in place; the area of a dot is its weight, `radius` that of weight 1."""
    # Large dots first, so that none hides another.
    taps = [
        (float(weight), view.at(position), layer.color)
        for layer in dots
        for position, weight in zip(layer.moved, np.nan_to_num(layer.weights), strict=True)
    ]
    for weight, at, color in sorted(taps, key=lambda tap: -tap[0]):
        if at is not None:
            _draw_dot(picture, at, radius * math.sqrt(max(weight, SMALLEST_WEIGHT)), color)


def _draw_origins(picture: np.ndarray, view: _View, dots: Sequence[_Dots]) -> None:
    """A line from where each tap would be without offset."""
    for layer in dots:
        for plain, moved in zip(layer.plain, layer.moved, strict=True):
            start, end = view.at(plain), view.at(moved)
            if start is not None and end is not None:
                for ink, width in ((INK, 3), (layer.color, 1)):
                    cv2.line(picture, start, end, ink, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_dot(picture: np.ndarray, at: tuple[int, int], radius: float, color: Color) -> None:
    for size, ink in ((radius + 1, INK), (radius, color)):
        r = round(size * (1 << _SUBPIXEL_BITS))
        cv2.circle(picture, at, r, ink, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_pixel(picture: np.ndarray, view: _View, pixel: Pixel) -> None:
    """A cross with an open middle: it hides nothing of the pixel."""
    x, y = view.at(pixel)
    near, far = (n << _SUBPIXEL_BITS for n in (5, 12))
    for ink, width in ((INK, 3), (PAPER, 1)):
        for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            start = x + right * near, y + down * near
            end = x + right * far, y + down * far
            cv2.line(picture, start, end, ink, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _movement_map(
    layer: LayerTaps, colored: np.ndarray, pixels: Sequence[Pixel], cell: Size, color: Color
) -> np.ndarray:
    """One layer's map, stretched over the frame: within half a layer pixel of where it samples."""
    view = _View.of_all(layer.frame_size, cell)
    picture = cv2.resize(colored, cell[::-1], interpolation=cv2.INTER_NEAREST)
    for pixel in pixels:
        _draw_pixel(picture, view, pixel)
    movement = layer.movement()
    here = ', '.join(_px(movement[layer.pixel_at(*pixel)]) for pixel in pixels)
    stride = layer.input_stride[0] * layer.stride
    plural = 's' if len(pixels) > 1 else ''
    return _titled(
        picture,
        f'{layer.short_name}, stride {stride:g}',
        f'{here} px at the pixel{plural}, median {_px(np.median(movement))}',
        color,
    )


def _px(value: float) -> str:
    return f'{value:.0f}' if value >= 10 else f'{value:.2g}'


def _titled(picture: np.ndarray, title: str, note: str, swatch: Color | None = None) -> np.ndarray:
    """The picture below two lines of text."""
    header = blank_paper(HEADER, picture.shape[1])
    left = 0
    if swatch is not None:
        left = HEADING_SIZE + GAP
        middle = (HEADING_SIZE // 2 + 1, GAP + HEADING_SIZE // 2)
        x, y = (n << _SUBPIXEL_BITS for n in middle)
        _draw_dot(header, (x, y), HEADING_SIZE / 2, swatch)
    room = picture.shape[1]
    write_text(header, cut_text(title, HEADING_SIZE, room - left), left, GAP, HEADING_SIZE)
    note = cut_text(note, TEXT_SIZE, room)
    write_text(header, note, 0, 2 * GAP + HEADING_SIZE, TEXT_SIZE, FAINT_INK)
    return np.vstack([header, picture])
