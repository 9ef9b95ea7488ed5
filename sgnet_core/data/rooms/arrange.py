# SPDX-License-Identifier: Apache-2.0
"""Furnishes a room: bedroom, living room, office, kitchen, dining room or bathroom.

Each kind is a function (rng, plan, style) that puts pieces where they fit.
"""

from __future__ import annotations

import numpy as np

from sgnet_core.data.rooms import bath, furniture, storage, things
from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.furniture import Piece
from sgnet_core.data.rooms.plan import Plan, Spot
from sgnet_core.data.rooms.style import Style


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


KINDS = {
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


def add_extras(rng, plan: Plan, style: Style, kind: str) -> None:
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
