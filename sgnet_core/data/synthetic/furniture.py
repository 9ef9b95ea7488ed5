# SPDX-License-Identifier: Apache-2.0
"""Furniture as tables of boxes and cones, with sizes as in real homes.

A piece fills a box of (width, depth, height): x from 0 at its left, y from 0 at its back, z from 0
at its bottom. A span (a, b) counts `a` below 0, and `b` up to 0, from the far end: (0, 0) is all,
(-0.05, 0) the last 5 cm. A single number is the extent of a centred span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sgnet_core.data.synthetic.materials import FINISHES, Material, palette
from sgnet_core.data.synthetic.solids import Solid, box, cone, rotation
from sgnet_core.labels import NYU40

LABEL = {name: index for index, name in enumerate(NYU40.class_names)}
Span = tuple[float, float] | float
Materials = dict[str, Material]


class Box(NamedTuple):
    """A box, or a grid of equal boxes.

    Attributes:
        bevel: how far the edges are cut, metres.
        lean: angle in radians, backwards about the lower back edge.
        cells: (width, height) of about one box in a grid that fills the span.
        gap: half the gap between two boxes of a grid, metres.
        twin: there is a mirrored one on the other side.
    """

    material: str
    x: Span = (0, 0)
    y: Span = (0, 0)
    z: Span = (0, 0)
    bevel: float = 0.0
    lean: float = 0.0
    cells: tuple[float, float] = (np.inf, np.inf)
    gap: float = 0.0
    handle: bool = False
    twin: bool = False
    label: str | None = None


class Cone(NamedTuple):
    """A cone about the middle; radii (bottom, top) are shares of half the width."""

    material: str
    radii: tuple[float, float]
    z: Span = (0, 0)


class Shelves(NamedTuple):
    """Boards with books, about 35 cm apart."""


class Kind(NamedTuple):
    """One kind of furniture: `size` (width, depth, height) and `mount` height, each a range."""

    label: str
    size: tuple
    parts: tuple
    mount: tuple[float, float] = (0.0, 0.0)


def _legs(thickness: float) -> tuple[Box, ...]:
    x, front = (0, thickness), (-thickness, 0)
    return tuple(Box('wood', x, y, (0, -0.03), twin=True) for y in (x, front))


def _fronts(x: Span, y: Span, z: Span, cells: tuple[float, float]) -> Box:
    """Doors or drawers."""
    return Box('wood', x, y, z, cells=cells, gap=0.006, handle=True)


def _chest(label: str, size, cells: tuple[float, float]) -> Kind:
    """Plinth, body, top board, and fronts with handles."""
    return Kind(label, size, (
        Box('black', (0.02, -0.02), (0.02, -0.05), (0, 0.06)),
        Box('wood', (0.01, -0.01), (0, -0.02), (0.06, -0.025)),
        Box('wood', z=(-0.025, 0), bevel=0.006),
        _fronts((0.01, -0.01), (-0.02, -0.002), (0.07, -0.03), cells),
    ))  # fmt: skip


def _screen(bottom: float) -> tuple[Box, ...]:
    """A screen from `bottom` up, with a foot."""
    return (
        Box('black', y=(0.09, 0.13), z=(bottom, 0), bevel=0.006),
        Box('screen', (0.015, -0.015), (0.12, 0.133), (bottom + 0.02, -0.015)),
        *(Box('black', 0.25, (0.02, 0.2), (0, 0.015)), Box('black', 0.06, (0.07, 0.09), (0, 0.2))),
    )


def _lamp(shade_m: float) -> tuple[Cone, ...]:
    foot, pole = ('metal', (0.7, 0.6), (0, 0.025)), ('metal', (0.08, 0.08), (0.02, -shade_m))
    return Cone(*foot), Cone(*pole), Cone('shade', (1.0, 0.65), (-shade_m, 0))


_INNER = (0.08, -0.08)
KINDS = {
    # Seats and beds
    'bed': Kind('bed', ((0.95, 1.8), (1.95, 2.1), (0.85, 1.15)), (
        Box('wood', y=(0, 0.06), bevel=0.015),
        Box('wood', (0.02, -0.02), (0.06, -0.02), (0.06, 0.3)),
        Box('white', (0.03, -0.03), (0.07, -0.03), (0.3, 0.51), 0.05),
        Box('cover', y=(0.6, 0), z=(0.2, 0.54), bevel=0.06),
        Box('white', y=(0.54, 0.76), z=(0.3, 0.56), bevel=0.05),
        Box('cushion', (0.1, -0.1), (0.09, 0.5), (0.58, 0.72), 0.06, -0.25, (0.75, 1), 0.04,
            label='pillow'),
    )),
    'sofa': Kind('sofa', ((0.9, 2.3), (0.8, 0.95), (0.75, 0.92)), (
        Box('fabric', (0.02, -0.02), (0.02, -0.03), (0.05, 0.3), 0.02),
        Box('fabric', y=(0, 0.22), z=(0.05, -0.06), bevel=0.05),
        Box('fabric', x=(0, 0.18), z=(0.05, 0.6), bevel=0.05, twin=True),
        Box('fabric', (0.18, -0.18), (0.2, 0), (0.28, 0.43), 0.05, 0, (0.65, 1), 0.006),
        Box('fabric', (0.18, -0.18), (0.22, 0.4), (0.41, 0), 0.06, 0.15, (0.65, 1), 0.006),
        Box('cushion', (0.22, 0.64), (0.45, 0.57), (0.43, 0.83), 0.055, 0.35, label='pillow'),
    )),
    'chair': Kind('chair', ((0.4, 0.5), (0.42, 0.52), (0.82, 1.0)), (
        Box('wood', (0, 0.04), (0, 0.04), (0, 0.42), twin=True),
        Box('wood', (0, 0.04), (-0.04, 0), (0, 0.42), twin=True),
        Box('cover', z=(0.42, 0.45), bevel=0.012),
        Box('wood', (0, 0.04), (0.05, 0.08), (0.44, 0), lean=0.12, twin=True),
        Box('wood', (0.03, -0.03), (0.055, 0.075), (0.5, 0), 0, 0.12, (1, 0.2), 0.03),
    )),
    'office chair': Kind('chair', (0.6, 0.6, (0.95, 1.15)), (
        Cone('black', (0.95, 0.15), (0.03, 0.1)), Cone('metal', (0.1, 0.1), (0.1, 0.42)),
        Box('black', 0.48, (0.06, -0.06), (0.41, 0.5), 0.03),
        Box('black', (0, 0.05), (0.15, 0.45), (0.66, 0.7), twin=True),
        Box('black', (0.02, 0.05), (0.25, 0.31), (0.45, 0.66), twin=True),
        Box('cover', 0.44, (0.06, 0.13), (0.55, 0), 0.03, 0.1),
    )),
    # Tables
    'table': Kind('table', ((0.9, 1.7), (0.75, 0.95), (0.71, 0.77)), (
        *_legs(0.06), Box('wood', z=(-0.035, 0), bevel=0.008),
        Box('wood', (0.06, -0.06), (0.06, -0.06), (-0.1, -0.035)),
    )),
    'coffee table': Kind('table', ((0.8, 1.2), (0.5, 0.65), (0.36, 0.48)), (
        *_legs(0.05), Box('wood', z=(-0.035, 0), bevel=0.008),
        Box('wood', (0.03, -0.03), (0.03, -0.03), (0.12, 0.14)),
    )),
    'desk': Kind('desk', ((1.1, 1.6), (0.6, 0.75), (0.71, 0.76)), (
        Box('wood', z=(-0.03, 0), bevel=0.006),
        Box('wood', (0.02, -0.02), (0.04, 0.06), (-0.35, -0.03)),
        Box('wood', (0.01, 0.42), (0.03, -0.04), (0.03, -0.03)),
        Box('wood', (-0.04, 0), (0.02, -0.02), (0, -0.03)),
        _fronts((0.02, 0.41), (-0.04, -0.02), (0.05, -0.05), (1, 0.2)),
    )),
    # Storage
    'cabinet': _chest('cabinet', ((0.9, 1.5), 0.47, (0.75, 1.15)), (0.45, 9)),
    'low cabinet': _chest('cabinet', ((0.9, 1.5), 0.47, (0.5, 0.7)), (0.4, 9)),
    'wardrobe': _chest('cabinet', ((0.9, 1.5), (0.5, 0.62), (1.8, 2.1)), (0.5, 9)),
    'dresser': _chest('dresser', ((0.8, 1.4), 0.5, (0.75, 1.1)), (0.65, 0.25)),
    'night stand': _chest('night stand', ((0.4, 0.52), 0.42, (0.45, 0.62)), (1, 0.2)),
    'bookshelf': Kind('bookshelf', ((0.7, 1.2), (0.26, 0.34), (1.5, 2.1)), (
        Box('wood', x=(0, 0.025), twin=True), Box('wood', z=(-0.025, 0)),
        Box('wood', y=(0, 0.012)), Shelves(),
    )),
    'wall shelves': Kind('shelves', ((0.7, 1.4), 0.24, (0.35, 1.0)), (Shelves(),), (1.15, 1.3)),
    # Kitchen
    'counter': Kind('cabinet', ((1.6, 2.8), 0.62, 0.9), (
        Box('black', y=(0, -0.1), z=(0, 0.1)), Box('wood', y=(0, -0.04), z=(0.1, -0.04)),
        _fronts((0, 0), (-0.04, -0.022), (0.11, -0.05), (0.6, 9)),
        Box('stone', z=(-0.04, 0), bevel=0.006, label='counter'),
    )),
    'kitchen sink': Kind('sink', (0.56, 0.5, 0.25), (
        Box('white', z=(0, 0.008)), Box('metal', 0.44, (0.12, -0.05), (0.008, 0.01)),
        Box('metal', 0.03, (0.03, 0.06)), Box('metal', 0.024, (0.03, 0.22), (-0.025, 0)),
    )),
    'wall cabinets': Kind('cabinet', ((1.0, 2.2), 0.34, (0.6, 0.75)), (
        Box('wood', y=(0, -0.02)), _fronts((0, 0), (-0.02, -0.002), (0, 0), (0.45, 9)),
    ), (1.42, 1.46)),
    'refrigerator': Kind('refridgerator', ((0.58, 0.72), 0.68, (1.6, 1.85)), (
        Box('enamel', y=(0, -0.09), z=(0.03, 0), bevel=0.01),
        Box('enamel', y=(-0.085, -0.03), z=(0.05, 0), bevel=0.012, cells=(1, 0.85), gap=0.005),
        Box('metal', (-0.07, -0.045), (-0.03, 0), (0.4, 1.1), cells=(1, 0.3), gap=0.04),
    )),
    # On walls
    'picture': Kind('picture', ((0.35, 1.1), 0.03, (0.4, 0.75)), (
        Box('frame', y=(0, 0.025), bevel=0.006),
        Box('white', (0.03, -0.03), (0, 0.027), (0.03, -0.03)),
        Box('print', _INNER, (0, 0.029), _INNER),
    ), (1.15, 1.35)),
    'mirror': Kind('mirror', ((0.45, 0.8), 0.035, (0.7, 1.2)), (
        Box('frame', y=(0, 0.03), bevel=0.008),
        Box('mirror', (0.04, -0.04), (0, 0.034), (0.04, -0.04)),
    ), (0.85, 1.05)),
    'whiteboard': Kind('whiteboard', ((1.0, 1.9), 0.07, (0.85, 1.1)), (
        Box('metal', y=(0, 0.02)), Box('metal', 0.6, z=(0, 0.02)),
        Box('page', (0.025, -0.025), (0, 0.023), (0.025, -0.025)),
    ), (0.9, 1.05)),
    # On the floor
    'rug': Kind('floor mat', ((1.3, 2.4), (0.9, 1.7), 0.012), (Box('rug'),)),
    'plant': Kind('otherprop', (0.6, 0.6, (0.75, 1.3)), (
        Cone('paint', (0.4, 0.53), (0, 0.3)), Cone('leaf', (0.35, 1.0), (0.3, -0.35)),
        Cone('leaf', (1.0, 0.25), (-0.35, 0)),
    )),
    'floor lamp': Kind('lamp', (0.4, 0.4, (1.4, 1.7)), _lamp(0.26)),
    'bin': Kind('otherprop', (0.28, 0.28, (0.28, 0.36)), (Cone('paint', (0.8, 1.0)),)),
    'carton': Kind('box', ((0.25, 0.55), (0.25, 0.45), (0.18, 0.45)), (Box('carton'),)),
    # On other pieces
    'television': Kind('television', ((0.6, 1.05), 0.22, (0.45, 0.62)), _screen(0.07)),
    'monitor': Kind('otherprop', ((0.46, 0.6), 0.48, (0.42, 0.48)), (
        *_screen(0.12), Box('black', 0.44, (0.32, 0.46), (0, 0.02)),
    )),
    'table lamp': Kind('lamp', (0.26, 0.26, (0.42, 0.55)), _lamp(0.2)),
    'books': Kind('books', (0.2, 0.28, (0.03, 0.12)), (Box('paint', cells=(1, 0.03), gap=0.001),)),
    'cup': Kind('otherprop', (0.08, 0.08, 0.1), (Cone('paint', (0.85, 1.0)),)),
    'vase': Kind('otherprop', (0.16, 0.16, (0.14, 0.2)), (Cone('paint', (0.55, 1.0)),)),
    'paper': Kind('paper', (0.21, 0.3, 0.003), (Box('page'),)),
    # Parts of the room
    'door': Kind('door', ((0.96, 1.1), 0.07, (2.08, 2.16)), (
        Box('trim', (0, 0.08), (0, 0.035), twin=True),
        Box('trim', _INNER, (0, 0.035), (-0.08, 0)), Box('door', _INNER, (0, 0.02), (0, -0.08)),
        Box('door', (0.16, -0.16), (0.02, 0.028), (0.1, -0.16), 0.008, 0, (0.4, 1), 0.05),
        Box('metal', (0.11, 0.15), (0.02, 0.03), (0.95, 1.13)),
        Box('metal', (0.12, 0.24), (0.05, 0.07), (1.04, 1.06)),
    )),
    'window': Kind('window', ((1.0, 1.9), 0.12, (1.1, 1.45)), (
        Box('outdoors', _INNER, (0, 0.008), (0.08, -0.05)),
        Box('trim', (0.03, 0.08), (0, 0.04), (0.03, 0), twin=True), Box('trim', z=(0, 0.03)),
        Box('trim', _INNER, (0, 0.04), (-0.05, 0)), Box('trim', _INNER, (0, 0.04), (0.03, 0.08)),
        Box('trim', 0.05, (0, 0.03), (0.08, -0.05)),
    ), (0.75, 0.95)),
    'curtains': Kind('curtain', (1.0, 0.22, 1.0), (
        Box('metal', y=(0.1, 0.125), z=(-0.025, 0)),
        Box('curtain', (0.06, 0.42), (0.125, 0.21), (0, -0.02), 0.04, 0, (0.1, 9), twin=True),
    )),
    'blinds': Kind('blinds', (1.0, 0.1, 1.0), (
        Box('white', y=(0.045, 0), z=(-0.05, 0)), Box('slats', y=(0.055, 0.075), z=(0, -0.05)),
    )),
    'pendant': Kind('lamp', ((0.32, 0.5), 0.4, (0.5, 0.75)), (
        Cone('metal', (0.03, 0.03), (0.2, 0)), Cone('shade', (1.0, 0.4), (0, 0.2)),
    )),
    'skirting': Kind('wall', (1.0, 0.014, 0.08), (Box('trim'),)),
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Furniture with its back at y = 0, x centred, its bottom at z = 0 (`mount_m` in a room)."""

    solids: list[Solid]
    size_m: tuple[float, float, float]
    mount_m: float


def build(rng, name: str, room: Materials, size_m=None) -> Piece:
    """A random piece of a kind; `size_m` replaces the size drawn."""
    kind = KINDS[name]
    drawn = [rng.uniform(*extent) if isinstance(extent, tuple) else extent for extent in kind.size]
    size = np.array(drawn if size_m is None else size_m, float)
    materials, solids = palette(rng, room), []
    for part in kind.parts:
        solids += _BUILDERS[type(part)](rng, part, size, materials, LABEL[kind.label])
    centred = [solid.placed(np.eye(3), (-size[0] / 2, 0, 0)) for solid in solids]
    return Piece(centred, tuple(size.tolist()), rng.uniform(*kind.mount))


def _span(span: Span, extent: float) -> tuple[float, float]:
    if not isinstance(span, tuple):
        return (extent - span) / 2, (extent + span) / 2
    low, high = span
    return low + extent * (low < 0), high + extent * (high <= 0)


def _boxes(rng, part: Box, size, materials: Materials, label: int) -> list[Solid]:
    (x0, x1), (back, front), (z0, z1) = map(_span, part[1:4], size)
    if part.label:
        label = LABEL[part.label]
    gap = np.array([part.gap, 0, part.gap])
    turned, edge = rotation(0, part.lean), np.array([0, back, z0])
    solids = []
    for left, right in [(x0, x1), (size[0] - x1, size[0] - x0)][: 1 + part.twin]:
        xs = np.linspace(left, right, 1 + max(1, round((right - left) / part.cells[0])))
        zs = np.linspace(z0, z1, 1 + max(1, round((z1 - z0) / part.cells[1])))
        for i, j in np.ndindex(len(xs) - 1, len(zs) - 1):
            low, high = (xs[i], back, zs[j]) + gap, (xs[i + 1], front, zs[j + 1]) - gap
            solids.append(box(low, high, label, materials[part.material], part.bevel))
            if part.handle:
                # Upright near the edge of a door, level in the middle of a drawer.
                is_door = high[2] - low[2] > high[0] - low[0]
                middle = low + (high - low) * ((0.88, 1, 0.6) if is_door else (0.5, 1, 0.6))
                half = np.array([0.012, 0, 0.06] if is_door else [0.06, 0, 0.01])
                ends = middle - half, middle + half + (0, 0.02, 0)
                solids.append(box(*ends, label, materials['metal']))
    return [solid.placed(turned, edge - turned @ edge) for solid in solids]


def _cone(rng, part: Cone, size, materials: Materials, label: int) -> list[Solid]:
    radii, heights = np.array(part.radii) * size[0] / 2, _span(part.z, size[2])
    return [cone(size[:2] / 2, radii, heights, label, materials[part.material])]


def _shelves(rng, part: Shelves, size, materials: Materials, label: int) -> list[Solid]:
    width, depth, height = size
    solids, free = [], height / max(1, round(height / 0.35))
    for z in np.arange(0, height - 0.1, free):
        top, x = z + 0.025, 0.03 + rng.uniform(0, 0.12)
        solids.append(box((0.02, 0, z), (width - 0.02, depth, top), label, materials['wood']))
        while x < width - 0.11:
            end = min(x + rng.uniform(0.08, 0.32), width - 0.03)
            high = (end, depth - 0.03, top + min(free - 0.03, 0.3) * rng.uniform(0.65, 0.95))
            if rng.random() < 0.85:
                books = FINISHES['spines'].draw(rng)
                solids.append(box((x, 0.04, top), high, LABEL['books'], books))
            x = end
    return solids


_BUILDERS = {Box: _boxes, Cone: _cone, Shelves: _shelves}
