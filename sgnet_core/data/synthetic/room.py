# SPDX-License-Identifier: Apache-2.0
"""Lays out a room: its shell, door, windows and lamp, and what stands in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sgnet_core.data.synthetic.furniture import LABEL, Materials, build
from sgnet_core.data.synthetic.materials import palette
from sgnet_core.data.synthetic.placement import Item, Plan, Spot
from sgnet_core.data.synthetic.solids import Solid, box

_SMALL = Item('books|cup|vase|paper|carton', 'on', 0.7)
_TOP = (_SMALL, _SMALL, Item('table lamp', 'on', 0.35))
_NIGHT_STAND = Item('night stand', 'left', 0.85, (Item('table lamp', 'on', 0.7), _SMALL))
_SEAT = Item('office chair|office chair|chair', 'facing', gap_m=0.1)
_DESK = Item('desk', then=(Item('monitor', 'on', 0.85), *_TOP, _SEAT))
_CHAIRS = [Item('chair', 'facing', 0.8, gap_m=0.05, side=side) for side in range(4)]
_EATING_PLACE = Item('table', 'floor', then=(_SMALL, _SMALL, _SMALL, *_CHAIRS))
_COFFEE_TABLE = Item('coffee table', 'on', 0.9, (_SMALL, _SMALL, _SMALL))
_SOFA = Item('sofa', then=(Item('rug', 'front', 1.0, (_COFFEE_TABLE,), 0.15),))
_BOOKSHELF, _PLANT = Item('bookshelf', chance=0.65), Item('plant', chance=0.6)
_WORKTOP = (Item('kitchen sink', 'on', 0.7), _SMALL, _SMALL, Item('wall cabinets', 'above', 0.75))
_COUNTER = Item('counter', then=(*_WORKTOP, Item('refrigerator', 'left', 0.7)))
_CABINET, _DRESSER = (Item(kind, chance=0.6, then=_TOP) for kind in ('cabinet', 'dresser'))
_TELEVISION = Item('low cabinet', then=(Item('television', 'on'),))
_BED = Item('bed', then=(_NIGHT_STAND, _NIGHT_STAND._replace(at='right')))
ROOMS = {
    'bedroom': (_BED, _DRESSER, _BOOKSHELF, Item('wardrobe', chance=0.7), Item('rug', 'floor')),
    'living room': (
        *(_SOFA, Item('sofa', chance=0.5), _TELEVISION, _BOOKSHELF, _BOOKSHELF, _PLANT),
    ),
    'office': (
        *(_DESK, _DESK._replace(chance=0.4), Item('whiteboard', gap_m=0.0)),
        *(_BOOKSHELF, _CABINET, _BOOKSHELF, _PLANT),
    ),
    'kitchen': (_COUNTER, _EATING_PLACE, Item('counter', chance=0.6, then=_WORKTOP)),
    'dining room': (
        *(_EATING_PLACE, _CABINET, _DRESSER, Item('sofa', chance=0.6), _BOOKSHELF, _PLANT),
    ),
}
"""Kind of room -> what it holds, besides `_EXTRAS`."""
_EXTRAS = (
    *[Item('picture', chance=0.75, gap_m=0.0)] * 4,
    *(Item(kind, chance=0.3, gap_m=0.0) for kind in ('mirror', 'wall shelves')),
    *(Item(kind, chance=0.3) for kind in ('carton', 'bin', 'chair', 'floor lamp')),
)


class Window(NamedTuple):
    """Where daylight enters; `normal` points into the room."""

    centre: np.ndarray
    normal: np.ndarray
    area_m2: float


@dataclass(frozen=True)
class Layout:
    """A room as solids, its ceiling light at `lamp`, and `daylight` from 0 (night) to 1."""

    plan: Plan
    shell: list[Solid]
    windows: list[Window]
    lamp: np.ndarray
    daylight: float


def lay_out(rng) -> Layout:
    """A new room; everything in it follows from the state of `rng`."""
    kind = rng.choice(list(ROOMS))
    plan = Plan((*rng.uniform(3.2, 5.8, 2), rng.uniform(2.4, 2.9)))
    daylight = 0.0 if rng.random() < 0.18 else rng.uniform(0.35, 1.0)
    room = palette(rng)
    brightness = np.float32(0.45 + 1.4 * daylight if daylight else 0.02)
    outdoors = room['outdoors']
    room['outdoors'] = replace(outdoors, colours=outdoors.colours * brightness)
    shell = _shell(rng, plan, room, kind)
    door = build(rng, 'door', room)
    spot = plan.try_spots(door, plan.at_walls(rng, door, 0.0))
    # Nothing stands before the door.
    plan.taken.append(spot.occupied((1.0, 0.9, 2.0)))
    windows = [_add_window(rng, plan, room) for _ in range(int(rng.integers(1, 3)))]
    # The lamp hangs from the middle of the ceiling.
    pendant = build(rng, 'pendant', room)
    (x, y, height), (_, depth, length) = np.array(plan.size_m) / (2, 2, 1), pendant.size_m
    plan.add(pendant, Spot(x, y - depth / 2, 0.0, height - length))
    lamp = np.array([x, y, height - 0.35])
    plan.place_items(rng, room, (*ROOMS[kind], *_EXTRAS))
    return Layout(plan, shell, [window for window in windows if window], lamp, daylight)


def _shell(rng, plan: Plan, room: Materials, kind: str) -> list[Solid]:
    """Ceiling, walls and floor; adds skirting boards."""
    for wall in range(4):
        board = build(rng, 'skirting', room, (plan.size_m[wall % 2], 0.014, 0.08))
        plan.solids += plan.wall_spot(wall).place(board)
    wall = rng.choice(['wall', 'wallpaper', 'bricks'], p=[0.65, 0.28, 0.07])
    floor = 'tiles' if kind == 'kitchen' else rng.choice(['boards', 'boards', 'carpet'])
    rows = (('ceiling', 'white', [2]), ('wall', wall, [0, 1, 3, 4]), ('floor', floor, [5]))
    return [
        box((0, 0, 0), plan.size_m, LABEL[label], room[finish]).faces(faces)
        for label, finish, faces in rows
    ]


def _add_window(rng, plan: Plan, room: Materials) -> Window | None:
    """A window, most with curtains or blinds; None if no wall has space."""
    window = build(rng, 'window', room)
    (w, _, h), sill = window.size_m, window.mount_m
    wide = replace(window, size_m=(w + 0.36, 0.22, h + 0.12))
    spot = plan.try_spots(wide, plan.at_walls(rng, wide, 0.0))
    if spot is None:
        return None
    cover, top = rng.random(), sill + h + 0.1
    if cover < 0.45:
        bottom = rng.choice([0.04, sill - 0.1])
        curtains = build(rng, 'curtains', room, (w + 0.34, 0.22, top - bottom))
        plan.add(curtains, replace(spot, z=bottom))
    elif cover < 0.7:
        drop = rng.uniform(0.35, 0.95) * h
        plan.add(build(rng, 'blinds', room, (w, 0.1, drop)), replace(spot, z=top - 0.06 - drop))
    inside = spot.moved(0, 1)
    normal = np.array([inside.x - spot.x, inside.y - spot.y, 0.0])
    return Window(np.array([spot.x, spot.y, sill + h / 2]), normal, (w - 0.16) * (h - 0.13))
