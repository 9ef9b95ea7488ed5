# SPDX-License-Identifier: Apache-2.0
"""Storage and kitchen furniture of generated rooms. Frames and makers as in `furniture`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.furniture import LABEL, Piece, fronts
from sgnet_core.data.rooms.geometry import (
    Material,
    Solid,
    box,
    column,
    rotation_about_vertical,
    rotation_about_x,
)
from sgnet_core.data.rooms.style import Style, pick


def cabinet(rng, style: Style) -> Piece:
    """A low cupboard or a wardrobe with doors."""
    tall = rng.random() < 0.4
    w = rng.uniform(0.9, 1.5)
    d, h = (
        (rng.uniform(0.5, 0.62), rng.uniform(1.8, 2.1)) if tall else (0.45, rng.uniform(0.75, 1.15))
    )
    return _chest(style, LABEL['cabinet'], (w, d, h), (int(round(w / 0.45)), 1))


def dresser(rng, style: Style) -> Piece:
    """A chest of drawers."""
    w, h = rng.uniform(0.8, 1.4), rng.uniform(0.75, 1.1)
    return _chest(style, LABEL['dresser'], (w, 0.48, h), (1 if w < 1.0 else 2, 4 if h > 0.9 else 3))


def night_stand(rng, style: Style) -> Piece:
    """A small chest beside a bed."""
    w, h = rng.uniform(0.4, 0.52), rng.uniform(0.45, 0.62)
    return _chest(style, LABEL['night stand'], (w, 0.4, h), (1, pick(rng, (2, 3))))


def _chest(style: Style, label: int, size, grid) -> Piece:
    """Plinth, body, top board and fronts."""
    w, d, h = size
    solids = [
        box((-w / 2 + 0.02, 0.02, 0), (w / 2 - 0.02, d - 0.05, 0.06), label, style.wood_dark),
        box((-w / 2, 0, 0.06), (w / 2, d - 0.02, h - 0.025), label, style.wood),
        box((-w / 2 - 0.01, 0, h - 0.025), (w / 2 + 0.01, d + 0.005, h), label, style.wood, 0.006),
        *fronts((-w / 2, w / 2), (0.07, h - 0.03), d - 0.02, grid, label, style),
    ]
    return Piece(solids, (w + 0.02, d + 0.02, h), ((-w / 2, w / 2, 0.03, d, h),))


def bookshelf(rng, style: Style) -> Piece:
    """An open case with books and a few things on its boards."""
    w, d, h = rng.uniform(0.7, 1.2), rng.uniform(0.26, 0.34), rng.uniform(1.5, 2.1)
    count = int(h / rng.uniform(0.3, 0.38))
    label, t = LABEL['bookshelf'], 0.025
    solids = [
        box((-w / 2, 0, 0), (-w / 2 + t, d, h), label, replace(style.wood, upright=True)),
        box((w / 2 - t, 0, 0), (w / 2, d, h), label, replace(style.wood, upright=True)),
        box((-w / 2 + t, 0, 0), (w / 2 - t, 0.012, h), label, style.wood_dark),
    ]
    gap = (h - t) / count
    for i in range(count + 1):
        z = i * gap
        solids.append(box((-w / 2 + t, 0.012, z), (w / 2 - t, d, z + t), label, style.wood))
        if i < count:
            span = (-w / 2 + t + 0.01, w / 2 - t - 0.01)
            solids += row_of_books(rng, span, d - 0.04, (z + t, gap - t))
    return Piece(solids, (w, d, h))


def row_of_books(rng, x_range, depth: float, shelf) -> list[Solid]:
    """Books side by side on a board, of their own heights, with gaps and leaning ends.

    Args:
        depth: y of the spines.
        shelf: (z of the board, free height), metres.
    """
    (x, x1), (z, free) = x_range, shelf
    x += rng.uniform(0, 0.12)
    solids = []
    while x < x1 - 0.08:
        kind = rng.random()
        if kind < 0.72:
            width = min(rng.uniform(0.06, 0.32), x1 - x)
            solids.append(_books(rng, (x, depth, z), width, min(free, 0.32)))
        elif kind < 0.8:
            width = 0.11
            solids.append(_leaning_book(rng, (x, depth, z), 0.22 * min(1, free / 0.3)))
        elif kind < 0.88:
            width = min(0.14, 0.7 * free, x1 - x)
            low, high = (x, depth - 0.14, z), (x + width, depth, z + width)
            solids.append(box(low, high, LABEL['otherprop'], styles.painted(rng), 0.02))
        else:
            width = rng.uniform(0.05, 0.2)
        x += width
    return solids


def _books(rng, corner, width: float, free: float) -> Solid:
    """A block of books from the front lower left `corner` (3,) on."""
    x, y, z = corner
    height = rng.uniform(0.62, 0.92) * free
    spines = styles.bright(rng, f'spines{rng.integers(4)}', (max(0.5, width), height))
    low = (x, y - rng.uniform(0.15, 0.2), z)
    return box(low, (x + width, y, z + height), LABEL['books'], spines)


def _leaning_book(rng, corner, height: float) -> Solid:
    """One book that has tipped to the right."""
    book = box((0, -0.15, 0), (0.03, 0, height), LABEL['books'], styles.painted(rng))
    lean = np.array([[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]])
    return book.placed(lean, np.asarray(corner) + (0, 0, 0.008))


def counter(rng, style: Style) -> Piece:
    """A kitchen counter with a worktop, a sink or hob, and a splash board."""
    w, d, h = rng.uniform(1.6, 2.8), 0.6, 0.9
    units = int(round(w / 0.6))
    cupboard, label = LABEL['cabinet'], LABEL['counter']
    stone = styles.linear(pick(rng, ('3c3b3a', 'b9b1a4', 'e5e1da', '7d6a58', '55504c')))
    top = Material(
        pick(rng, ('granite', 'marble', 'wood')), styles.three(stone, stone * 0.6), (0.8, 0.8)
    )
    solids = [
        box((-w / 2, 0, 0), (w / 2, d - 0.08, 0.1), cupboard, styles.plain('2a2a2a')),
        box((-w / 2, 0, 0.1), (w / 2, d - 0.02, h - 0.04), cupboard, style.wood),
        box((-w / 2, 0, h - 0.04), (w / 2, d + 0.02, h), label, top, 0.006),
        box((-w / 2, 0, h), (w / 2, 0.02, h + 0.1), label, top),
        *fronts((-w / 2, w / 2), (0.11, h - 0.05), d - 0.02, (units, 1), cupboard, style),
    ]
    x = rng.uniform(-0.25, 0.25) * w
    if rng.random() < 0.6:
        steel = styles.plain('8d9296', dropout=0.3)
        solids.append(box((x - 0.28, 0.1, h), (x + 0.28, 0.5, h + 0.008), LABEL['sink'], steel))
        solids.append(
            box(
                (x - 0.22, 0.15, h + 0.008),
                (x + 0.22, 0.45, h + 0.01),
                LABEL['sink'],
                styles.plain('4b4f52'),
            )
        )
        solids.append(box((x - 0.015, 0.07, h), (x + 0.015, 0.1, h + 0.25), LABEL['sink'], steel))
        solids.append(
            box((x - 0.012, 0.07, h + 0.23), (x + 0.012, 0.24, h + 0.255), LABEL['sink'], steel)
        )
    shift = -np.sign(x) * w / 4
    return Piece(solids, (w, d + 0.02, h + 0.1), ((shift - w / 5, shift + w / 5, 0.08, d, h),))


def hanging_cabinets(rng, style: Style) -> Piece:
    """Kitchen wall cupboards; they hang at z = 1.4 m."""
    w, d, h = rng.uniform(1.0, 2.2), 0.34, rng.uniform(0.6, 0.75)
    label, z = LABEL['cabinet'], 1.42
    solids = [
        box((-w / 2, 0, z), (w / 2, d - 0.02, z + h), label, style.wood),
        *fronts((-w / 2, w / 2), (z, z + h), d - 0.02, (int(round(w / 0.45)), 1), label, style),
    ]
    return Piece(solids, (w, d, z + h))


def wall_shelves(rng, style: Style) -> Piece:
    """One to three boards on the wall with books and things."""
    w, d, z = rng.uniform(0.7, 1.4), 0.24, rng.uniform(1.15, 1.4)
    solids = []
    count = int(rng.integers(1, 4))
    for i in range(count):
        height = z + 0.33 * i
        solids.append(
            box((-w / 2, 0, height), (w / 2, d, height + 0.03), LABEL['shelves'], style.wood)
        )
        solids += row_of_books(rng, (-w / 2 + 0.02, w / 2 - 0.02), d - 0.02, (height + 0.03, 0.28))
    return Piece(solids, (w, d, z + 0.33 * count))


def refrigerator(rng, style: Style) -> Piece:
    """A fridge with two doors above each other."""
    w, d, h = rng.uniform(0.58, 0.72), 0.65, rng.uniform(1.6, 1.85)
    label = LABEL['refridgerator']
    shell = styles.plain(pick(rng, ('eceeee', 'dfe1e0', '9fa3a6', '2f3133', 'a23b36')))
    split = h * pick(rng, (0.36, 0.68))
    solids = [box((-w / 2, 0, 0.03), (w / 2, d - 0.06, h), label, shell, 0.01)]
    for z0, z1 in ((0.05, split - 0.005), (split + 0.005, h)):
        solids.append(box((-w / 2, d - 0.055, z0), (w / 2, d, z1), label, shell, 0.012))
        hz = z1 - 0.35 if z0 < 0.1 else z0 + 0.05
        solids.append(
            box((w / 2 - 0.07, d, hz), (w / 2 - 0.045, d + 0.035, hz + 0.3), label, style.metal)
        )
    return Piece(solids, (w, d + 0.03, h), ((-w / 2, w / 2, 0.1, d - 0.1, h),))


def stove(rng, style: Style) -> Piece:
    """A cooker with a glass door and four plates."""
    w, d, h = 0.6, 0.6, 0.9
    label = LABEL['otherstructure']
    shell = styles.plain(pick(rng, ('e6e6e4', '2b2c2d', '8f9396')))
    glass = styles.plain('17181a', dropout=0.4)
    solids = [
        box((-w / 2, 0, 0), (w / 2, d - 0.02, h), label, shell, 0.008),
        box((-w / 2 + 0.05, d - 0.02, 0.2), (w / 2 - 0.05, d, 0.68), label, glass),
        box((-w / 2 + 0.06, d, 0.7), (w / 2 - 0.06, d + 0.03, 0.725), label, style.metal),
        box((-w / 2 + 0.02, 0.04, h), (w / 2 - 0.02, d - 0.04, h + 0.006), label, glass),
    ]
    return Piece(solids, (w, d + 0.03, h))


def plant(rng, style: Style) -> Piece:
    """A pot with leaves that spread."""
    h, label = rng.uniform(0.7, 1.3), LABEL['otherprop']
    pot = styles.plain(pick(rng, ('b5653f', 'd8d2c8', '3b4045', '8f8f86')))
    solids = [column((0, 0.28), (0.12, 0.16), (0, 0.3), label, pot, 14)]
    green = styles.linear(pick(rng, ('3f6b3a', '56803f', '2f5a45', '6f8f4a')))
    for i in range(int(rng.integers(12, 20))):
        shade = green * rng.uniform(0.7, 1.2)
        leaf_material = Material('weave_fine', styles.three(shade, shade * 0.7), (0.2, 0.2))
        length = rng.uniform(0.45, 0.95) * h * 0.55
        leaf = box((-0.04, 0.0, -0.006), (0.04, length, 0.006), label, leaf_material, 0.03)
        tilt = rotation_about_x(rng.uniform(0.35, 1.45))
        turn = rotation_about_vertical(i * 2.4 + rng.uniform(-0.2, 0.2))
        start = np.array([0, 0.28, 0.3 + rng.uniform(0, 0.4) * (h - 0.55)])
        solids.append(leaf.placed(turn @ tilt, start))
    solids.append(
        column((0, 0.28), (0.015, 0.01), (0.3, 0.3 + 0.4 * h), label, styles.plain('6b5138'), 6)
    )
    return Piece(solids, (0.6, 0.56, h))
