# SPDX-License-Identifier: Apache-2.0
"""Builds the shell of a room with its openings and lamp, and has it furnished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.rooms import openings, things
from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.arrange import KINDS, add_extras
from sgnet_core.data.rooms.furniture import LABEL, Piece
from sgnet_core.data.rooms.geometry import Solid, box, rotation_about_vertical, some_faces
from sgnet_core.data.rooms.plan import Plan, Spot
from sgnet_core.data.rooms.style import Style


@dataclass(frozen=True)
class Window:
    """Where daylight enters: centre (3,), inward normal (3,), (width, height) of the glass."""

    centre: np.ndarray
    normal: np.ndarray
    size_m: tuple[float, float]


@dataclass(frozen=True)
class Furnished:
    """A room as solids.

    Attributes:
        kind: `bedroom`, `living`, `office`, `kitchen`, `dining` or `bathroom`.
        shell: the planes of floor, ceiling and walls.
        lamp: (3,) position of the ceiling light.
        daylight: 0 (night) to 1.
    """

    kind: str
    plan: Plan
    shell: list[Solid]
    windows: list[Window]
    lamp: np.ndarray
    daylight: float


_KINDS_BY_SHARE = tuple(kind for kind in KINDS for _ in range(1 if kind == 'bathroom' else 2))
"""Homes have fewer bathrooms than other rooms."""


def furnish(rng) -> Furnished:
    """A new room; everything in it follows from the state of `rng`."""
    kind = styles.pick(rng, _KINDS_BY_SHARE)
    largest = 3.8 if kind == 'bathroom' else 5.8
    width, depth = rng.uniform(0.55, 1.0, 2) * largest
    plan = Plan((width, depth, rng.uniform(2.4, 2.9)))
    style = styles.random_style(rng)
    daylight = 0.0 if rng.random() < 0.18 else rng.uniform(0.35, 1.0)
    shell = _shell(rng, plan, style, kind)
    if rng.random() < 0.25:
        _corner_block(rng, plan, shell[2].material)
    door = openings.door(rng, style)
    spot = plan.try_wall(rng, door, gap_m=0.0)
    if spot:
        plan.keep_free((1.0, 0.9, 2.0), spot)
    windows = _add_windows(rng, plan, style, daylight)
    lamp = np.array([width / 2, depth / 2, plan.size_m[2]]) + (*rng.uniform(-0.3, 0.3, 2), 0)
    _add_ceiling_lamp(rng, plan, style, lamp)
    KINDS[kind](rng, plan, style)
    add_extras(rng, plan, style, kind)
    lamp[2] -= 0.35
    return Furnished(kind, plan, shell, windows, lamp, daylight)


def _shell(rng, plan: Plan, style: Style, kind: str) -> list[Solid]:
    """Floor, ceiling and four walls, one of them at times in another colour."""
    covering = (
        'tiles'
        if kind == 'kitchen' and rng.random() < 0.7
        else styles.pick(rng, ('wood', 'wood', 'carpet'))
    )
    ceiling = styles.Material('paint', styles.three(styles.WHITE, styles.WHITE * 0.9), (2.0, 2.0))
    walls = styles.wall_tiles(rng) if kind == 'bathroom' else styles.wall(rng, style.wall)
    accent = styles.wall(rng, styles.random_style(rng).wall) if rng.random() < 0.3 else walls
    other = int(rng.integers(4))
    sides = [0, 1, 3, 4]
    whole = [(0, 0, 0), plan.size_m]
    parts = [
        some_faces(box(*whole, LABEL['floor'], styles.floor(rng, covering)), [5]),
        some_faces(box(*whole, LABEL['ceiling'], ceiling), [2]),
    ]
    for face in sides:
        material = accent if face == sides[other] else walls
        parts.append(some_faces(box(*whole, LABEL['wall'], material), [face]))
    trim = styles.Material(
        'paint', styles.three(styles.pick(rng, (styles.WHITE, style.wood.colours[0])))
    )
    height = rng.uniform(0.06, 0.11)
    for wall in range(4):
        length = plan.wall_length(wall)
        board = box((-length / 2, 0, 0), (length / 2, 0.014, height), LABEL['wall'], trim)
        spot = plan.wall_spot(wall, 0.0)
        plan.solids += _placed(board, spot)
    return parts


def _placed(solid: Solid, spot: Spot) -> list[Solid]:
    rotation = rotation_about_vertical(spot.yaw_rad)
    return [solid.placed(rotation, np.array([spot.x, spot.y, spot.z]))]


def _corner_block(rng, plan: Plan, material) -> None:
    """A piece of wall that makes the room L-shaped."""
    width, depth, height = plan.size_m
    w, d = rng.uniform(0.3, 0.28 * width), rng.uniform(0.3, 0.28 * depth)
    x = 0.0 if rng.random() < 0.5 else width - w
    y = 0.0 if rng.random() < 0.5 else depth - d
    # Reaches into walls, floor and ceiling: its outer faces must not flicker with theirs.
    block = box(
        (x - 0.01, y - 0.01, -0.01),
        (x + w + 0.01, y + d + 0.01, height + 0.01),
        LABEL['wall'],
        material,
    )
    plan.solids.append(block)
    plan.taken.append((x, y, 0.0, x + w, y + d, height))


def _add_windows(rng, plan: Plan, style: Style, daylight: float) -> list[Window]:
    """One or two windows, most with curtains or blinds."""
    windows = []
    for _ in range(int(rng.integers(1, 3))):
        piece, opening = openings.window(rng, style, daylight)
        cover = rng.random()
        wide = Piece(piece.solids, (piece.size_m[0] + 0.45, 0.22, piece.size_m[2] + 0.12))
        spot = plan.try_wall(rng, wide, gap_m=0.0)
        if spot is None:
            continue
        if cover < 0.45:
            plan.add(openings.curtains(rng, style, opening), spot)
        elif cover < 0.7:
            plan.add(openings.blinds(rng, style, opening), spot)
        w, sill, h = opening
        into_room = spot.beside(0, 1)
        windows.append(
            Window(
                np.array([spot.x, spot.y, sill + h / 2]),
                np.array([into_room.x - spot.x, into_room.y - spot.y, 0.0]),
                (w, h),
            )
        )
    return windows


def _add_ceiling_lamp(rng, plan: Plan, style: Style, position: np.ndarray) -> None:
    """A pendant or a flat glowing panel."""
    if rng.random() < 0.6:
        piece = things.pendant(rng, style)
    else:
        glow = styles.plain('fff6e6', emission=1.6)
        w = rng.uniform(0.2, 0.5)
        piece = Piece(
            [box((-w, -0.15, -0.05), (w, 0.15, 0), LABEL['lamp'], glow, 0.01)], (2 * w, 0.3, 0.05)
        )
    spot = Spot(position[0], position[1], 0.0, position[2])
    plan.solids += [s for solid in piece.solids for s in _placed(solid, spot)]
    r, (x, y, z) = piece.size_m[0] / 2, position
    plan.taken.append((x - r, y - r, z - piece.size_m[2], x + r, y + r, z))
