# SPDX-License-Identifier: Apache-2.0
"""Furnishes a room: bedroom, living room, office, kitchen, dining room or bathroom.

A little over 300 lines, so that the kinds of room stay side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data import rooms_bath as bath
from sgnet_core.data import rooms_furniture as furniture
from sgnet_core.data import rooms_openings as openings
from sgnet_core.data import rooms_storage as storage
from sgnet_core.data import rooms_style as styles
from sgnet_core.data import rooms_things as things
from sgnet_core.data.rooms_furniture import LABEL, Piece
from sgnet_core.data.rooms_geometry import Solid, box, some_faces
from sgnet_core.data.rooms_plan import Plan, Spot
from sgnet_core.data.rooms_style import Style


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


def furnish(rng) -> Furnished:
    """A new room; everything in it follows from the state of `rng`."""
    kind = styles.pick(rng, tuple(_ARRANGE))
    largest = 3.4 if kind == 'bathroom' else 5.4
    width, depth = rng.uniform(2.5, largest), rng.uniform(2.9, largest)
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
    _ARRANGE[kind](rng, plan, style)
    _add_extras(rng, plan, style, kind)
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
    rotation = furniture.rotation_about_vertical(spot.yaw_rad)
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


def _bedroom(rng, plan: Plan, style: Style) -> None:
    bed = furniture.bed(rng, style)
    spot = plan.try_wall(rng, bed)
    if spot:
        for side in (-1, 1):
            stand = storage.night_stand(rng, style)
            beside = spot.beside(side * (bed.size_m[0] / 2 + stand.size_m[0] / 2 + 0.05), 0)
            if rng.random() < 0.85 and plan.try_add(stand, beside):
                top = (
                    things.table_lamp(rng, style)
                    if rng.random() < 0.7
                    else things.small_thing(rng, style)
                )
                plan.put_on(rng, stand, beside, top)
        if rng.random() < 0.5:
            w, d, _ = bed.size_m
            carrier = Piece([], bed.size_m, ((-w / 2, w / 2, 1.0, d, 0.6),))
            plan.put_on(rng, carrier, spot, bath.laundry(rng, style))
    for maker in (storage.dresser, storage.cabinet, storage.bookshelf):
        _against_wall(rng, plan, style, maker, 0.7)
    if rng.random() < 0.4:
        _workplace(rng, plan, style)
    plan.try_floor(rng, things.rug(rng, style), any_angle=False)


def _living(rng, plan: Plan, style: Style) -> None:
    for _ in range(1 + int(rng.random() < 0.6)):
        sofa = furniture.sofa(rng, style)
        spot = plan.try_wall(rng, sofa, gap_m=0.04)
        low = furniture.coffee_table(rng, style)
        if spot:
            before = spot.beside(rng.uniform(-0.2, 0.2), sofa.size_m[1] + rng.uniform(0.35, 0.5))
            rug = things.rug(rng, style)
            if rng.random() < 0.7 and plan.fits(low, before):
                plan.try_add(rug, before.beside(0, (low.size_m[1] - rug.size_m[1]) / 2))
                _table_with_things(rng, plan, low, plan.add(low, before), style)
    stand = storage.cabinet(rng, style)
    spot = plan.try_wall(rng, stand)
    if spot and stand.size_m[2] < 1.0:
        plan.put_on(rng, stand, spot, things.television(rng, style))
    for maker in (storage.bookshelf, things.floor_lamp, storage.plant, storage.bookshelf):
        _against_wall(rng, plan, style, maker, 0.65)


def _office(rng, plan: Plan, style: Style) -> None:
    for _ in range(int(rng.integers(1, 4))):
        _workplace(rng, plan, style)
    plan.try_wall(rng, things.whiteboard(rng, style), gap_m=0.0)
    for maker in (
        storage.bookshelf,
        storage.cabinet,
        storage.bookshelf,
        things.bin_,
        storage.plant,
    ):
        _against_wall(rng, plan, style, maker, 0.65)


def _kitchen(rng, plan: Plan, style: Style) -> None:
    for maker in (storage.counter, storage.counter):
        piece = maker(rng, style)
        spot = plan.try_wall(rng, piece)
        if spot is None:
            continue
        for _ in range(int(rng.integers(1, 4))):
            plan.put_on(rng, piece, spot, things.small_thing(rng, style))
        if rng.random() < 0.75:
            plan.try_add(storage.hanging_cabinets(rng, style), spot)
        for neighbour in (storage.refrigerator(rng, style), storage.stove(rng, style)):
            side = styles.pick(rng, (-1, 1)) * (piece.size_m[0] + neighbour.size_m[0] + 0.06) / 2
            plan.try_add(neighbour, spot.beside(side, 0))
    _against_wall(rng, plan, style, storage.refrigerator, 0.5)
    _eating_place(rng, plan, style)


def _bathroom(rng, plan: Plan, style: Style) -> None:
    for maker, chance in ((bath.bathtub, 0.8), (bath.toilet, 0.9)):
        if rng.random() < chance:
            plan.try_wall(rng, maker(rng, style))
    basin = bath.basin(rng, style)
    spot = plan.try_wall(rng, basin)
    if spot:
        plan.try_add(
            things.mirror(rng, style), Spot(spot.x, spot.y, spot.yaw_rad, 0.25).beside(0, -0.02)
        )
        plan.put_on(rng, basin, spot, things.cup(rng))
    for maker, chance in ((bath.towel, 0.8), (bath.towel, 0.4)):
        if rng.random() < chance:
            plan.try_wall(rng, maker(rng, style), gap_m=0.0)
    _against_wall(rng, plan, style, storage.cabinet, 0.4)
    plan.try_floor(rng, things.rug(rng, style, 0.6), any_angle=False)


def _dining(rng, plan: Plan, style: Style) -> None:
    _eating_place(rng, plan, style)
    for maker in (
        storage.cabinet,
        storage.dresser,
        storage.plant,
        furniture.sofa,
        storage.bookshelf,
    ):
        _against_wall(rng, plan, style, maker, 0.6)


_ARRANGE = {
    'bedroom': _bedroom,
    'living': _living,
    'office': _office,
    'kitchen': _kitchen,
    'dining': _dining,
    'bathroom': _bathroom,
}


def _against_wall(rng, plan: Plan, style: Style, maker, chance: float) -> None:
    """With some chance a piece at a wall, with things on its top."""
    if rng.random() >= chance:
        return
    piece = maker(rng, style)
    spot = plan.try_wall(rng, piece)
    if spot and piece.size_m[2] < 1.3:
        for _ in range(int(rng.integers(0, 4))):
            plan.put_on(rng, piece, spot, things.small_thing(rng, style))
        if rng.random() < 0.35:
            plan.put_on(rng, piece, spot, things.table_lamp(rng, style))


def _table_with_things(rng, plan: Plan, piece: Piece, spot: Spot, style: Style) -> None:
    for _ in range(int(rng.integers(1, 5))):
        plan.put_on(rng, piece, spot, things.small_thing(rng, style))


def _workplace(rng, plan: Plan, style: Style) -> None:
    """A desk with a screen and a chair before it."""
    desk = furniture.desk(rng, style)
    spot = plan.try_wall(rng, desk)
    if spot is None:
        return
    if rng.random() < 0.85:
        plan.put_on(rng, desk, spot, things.monitor(rng, style))
    for _ in range(int(rng.integers(0, 4))):
        plan.put_on(rng, desk, spot, things.small_thing(rng, style))
    if rng.random() < 0.4:
        plan.put_on(rng, desk, spot, things.table_lamp(rng, style))
    maker = furniture.office_chair if rng.random() < 0.65 else furniture.chair
    seat = maker(rng, style)
    turn = np.pi + rng.uniform(-0.5, 0.5)
    plan.try_add(seat, spot.beside(rng.uniform(-0.1, 0.1), desk.size_m[1] + 0.75, turn))


def _eating_place(rng, plan: Plan, style: Style) -> None:
    """A table on the free floor with chairs pushed in a little."""
    piece = furniture.table(rng, style)
    w, d, h = piece.size_m
    room = Piece(piece.solids, (w + 0.7, d + 0.7, h))
    width, depth, _ = plan.size_m
    for _ in range(10):
        yaw = float(rng.integers(4)) * np.pi / 2
        spot = Spot(*rng.uniform((1.0, 0.8), (width - 1.0, depth - 0.8)), yaw)
        if plan.fits(room, spot.beside(0, -0.35)):
            break
    else:
        return
    plan.add(piece, spot)
    _table_with_things(rng, plan, piece, spot, style)
    state = rng.bit_generator.state
    sides = [
        (0, -0.35, 0.0),
        (0, d + 0.35, np.pi),
        (w / 2 + 0.35, d / 2, np.pi / 2),
        (-w / 2 - 0.35, d / 2, -np.pi / 2),
    ]
    for dx, dy, turn in sides:
        # Equal chairs around one table: each is made from the same state of the generator.
        seat = furniture.chair(_replay(state), style)
        if rng.random() < 0.8:
            place = spot.beside(dx, dy, turn + rng.uniform(-0.15, 0.15))
            rotation_free = Piece(seat.solids, (seat.size_m[0], 0.3, seat.size_m[2]))
            if plan.fits(rotation_free, place, margin_m=-0.1):
                plan.add(seat, place)


def _replay(state) -> np.random.Generator:
    rng = np.random.default_rng(0)
    rng.bit_generator.state = state
    return rng


def _add_extras(rng, plan: Plan, style: Style, kind: str) -> None:
    """Pictures and shelves on the walls, small things on the floor."""
    bare = kind == 'bathroom'
    for _ in range(int(rng.integers(0, 2) if bare else rng.integers(2, 6))):
        plan.try_wall(rng, things.picture(rng, style), gap_m=0.0)
    for maker, chance in (
        (things.mirror, 0.3),
        (storage.wall_shelves, 0.5),
        (things.wall_television, 0.2),
        (things.whiteboard, 0.08),
    ):
        if rng.random() < chance and not bare:
            plan.try_wall(rng, maker(rng, style), gap_m=0.0)
    for maker, chance in (
        (things.cardboard_box, 0.45),
        (bath.coats, 0.2),
        (things.cardboard_box, 0.25),
        (things.bag, 0.3),
        (furniture.chair, 0.3),
        (things.bin_, 0.25),
        (things.floor_lamp, 0.3),
    ):
        if rng.random() < chance * (0.4 if bare else 1.0):
            plan.try_wall(rng, maker(rng, style), gap_m=0.05)
