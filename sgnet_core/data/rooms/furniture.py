# SPDX-License-Identifier: Apache-2.0
"""Furniture of generated rooms, made of convex solids with sizes as in real homes.

Every piece stands on z = 0 with its back at y = 0 and its front towards +y, x centred.
A maker takes (rng, style) and returns a `Piece`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.geometry import (
    Solid,
    box,
    column,
    rotation_about_vertical,
    rotation_about_x,
)
from sgnet_core.data.rooms.style import Style, pick
from sgnet_core.labels import NYU40

LABEL = {name: index for index, name in enumerate(NYU40.class_names)}


@dataclass(frozen=True)
class Piece:
    """One piece of furniture and the box it needs.

    Attributes:
        solids: in the frame of the piece.
        size_m: (width, depth, height) of the space it takes.
        tops: surfaces (x0, x1, y0, y1, z) that can carry something.
    """

    solids: list[Solid]
    size_m: tuple[float, float, float]
    tops: tuple[tuple[float, float, float, float, float], ...] = ()


def legs(width, depth, height, thickness, label: int, material) -> list[Solid]:
    """Four square legs at the corners of a width x depth rectangle that starts at y = 0."""
    solids = []
    for x in (-width / 2, width / 2 - thickness):
        for y in (0.0, depth - thickness):
            low = (x, y, 0.0)
            solids.append(box(low, (x + thickness, y + thickness, height), label, material))
    return solids


def bed(rng, style: Style) -> Piece:
    """Bedstead, mattress, blanket and pillows, head at the wall."""
    w, d = pick(rng, (0.95, 1.4, 1.6, 1.8)), rng.uniform(1.95, 2.1)
    base, top = rng.uniform(0.25, 0.32), rng.uniform(0.48, 0.6)
    label = LABEL['bed']
    sheet = replace(style.fabrics[0], colours=styles.three(styles.WHITE, styles.WHITE * 0.85))
    head = rng.uniform(0.85, 1.15)
    fold = rng.uniform(0.45, 0.75)
    solids = [
        box((-w / 2, 0, 0), (w / 2, 0.06, head), label, style.wood, 0.015),
        box((-w / 2, 0.06, 0.06), (w / 2, d, base), label, style.wood),
        box((-w / 2 + 0.02, 0.07, base), (w / 2 - 0.02, d - 0.02, top - 0.04), label, sheet, 0.05),
        box(
            (-w / 2 - 0.02, fold, base - 0.1),
            (w / 2 + 0.02, d + 0.02, top),
            label,
            style.fabrics[1],
            0.06,
        ),
        box(
            (-w / 2 - 0.025, fold - 0.06, base),
            (w / 2 + 0.025, fold + 0.14, top + 0.02),
            label,
            sheet,
            0.05,
        ),
    ]
    count = 1 if w < 1.2 else 2
    for i in range(count):
        x = (i + 0.5) * w / count - w / 2 + rng.uniform(-0.04, 0.04)
        solids.append(
            _pillow(rng, (x, 0.27, top + 0.03), min(0.62, w / count - 0.12), styles.fabric(rng))
        )
    return Piece(solids, (w + 0.06, d + 0.03, head))


def _pillow(rng, centre, width: float, material) -> Solid:
    """A soft pillow, its back edge raised."""
    half = np.array([width / 2, 0.2, 0.075])
    tilt = rotation_about_vertical(rng.uniform(-0.15, 0.15)) @ rotation_about_x(
        -rng.uniform(0.15, 0.5)
    )
    return box(-half, half, LABEL['pillow'], material, 0.07).placed(
        tilt, np.asarray(centre) + (0, 0, 0.05)
    )


def sofa(rng, style: Style) -> Piece:
    """Seats, back, arms and cushions for one to three."""
    seats = pick(rng, (1, 2, 2, 3))
    arm, seat_w, d = rng.uniform(0.14, 0.22), rng.uniform(0.58, 0.7), rng.uniform(0.8, 0.95)
    w, seat_z, back_z = seats * seat_w + 2 * arm, rng.uniform(0.38, 0.45), rng.uniform(0.75, 0.92)
    arm_z = rng.uniform(0.52, 0.66)
    label, cloth = LABEL['sofa'], style.fabrics[0]
    solids = [
        box((-w / 2, 0.02, 0.06), (w / 2, d - 0.03, seat_z - 0.14), label, cloth, 0.02),
        box((-w / 2, 0.0, 0.06), (w / 2, 0.22, back_z - 0.06), label, cloth, 0.05),
        box((-w / 2, 0.0, 0.06), (-w / 2 + arm, d, arm_z), label, cloth, 0.05),
        box((w / 2 - arm, 0.0, 0.06), (w / 2, d, arm_z), label, cloth, 0.05),
        *legs(w - 0.06, d - 0.05, 0.06, 0.05, label, style.wood_dark),
    ]
    for i in range(seats):
        x0 = -w / 2 + arm + i * seat_w
        solids.append(
            box(
                (x0 + 0.005, 0.2, seat_z - 0.15),
                (x0 + seat_w - 0.005, d, seat_z),
                label,
                cloth,
                0.05,
            )
        )
        back = box(
            (-seat_w / 2 + 0.01, -0.09, 0),
            (seat_w / 2 - 0.01, 0.09, back_z - seat_z),
            label,
            cloth,
            0.06,
        )
        solids.append(
            back.placed(rotation_about_x(0.18), np.array([x0 + seat_w / 2, 0.3, seat_z - 0.02]))
        )
    solids += _cushions(rng, w / 2 - arm - 0.25, seat_z)
    return Piece(solids, (w, d, back_z))


def _cushions(rng, reach: float, seat_z: float) -> list[Solid]:
    """Up to two cushions that lean on the back of a sofa, x within `reach`."""
    solids = []
    for _ in range(int(rng.integers(0, 3))):
        half = np.array([0.21, 0.06, 0.2])
        cushion = box(-half, half, LABEL['pillow'], styles.fabric(rng, 0.3), 0.055)
        lean = rotation_about_x(rng.uniform(0.3, 0.5))
        turn = rotation_about_vertical(rng.uniform(-0.3, 0.3)) @ lean
        solids.append(
            cushion.placed(turn, np.array([rng.uniform(-reach, reach), 0.48, seat_z + 0.19]))
        )
    return solids


def chair(rng, style: Style) -> Piece:
    """A dining chair: four legs, seat, back of boards or padded."""
    w, d, seat = rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.52), rng.uniform(0.43, 0.48)
    back = rng.uniform(0.82, 1.0)
    label = LABEL['chair']
    frame = pick(rng, (style.wood, style.wood_dark, style.metal))
    padded = rng.random() < 0.5
    cover = style.fabrics[1] if padded else frame
    solids = legs(w, d, seat - 0.03, 0.04, label, frame)
    solids.append(
        box((-w / 2, 0, seat - 0.03), (w / 2, d, seat + 0.02 * padded), label, cover, 0.02)
    )
    lean = rotation_about_x(0.12)
    for x in (-w / 2, w / 2 - 0.04):
        post = box((x, 0, 0), (x + 0.04, 0.03, back - seat), label, frame)
        solids.append(post.placed(lean, np.array([0, 0, seat - 0.01])))
    rows = ((0.12, 1.0),) if padded else ((0.3, 0.5), (0.75, 0.98))
    for z0, z1 in rows:
        reach = back - seat
        board = box(
            (-w / 2 + 0.01, 0, z0 * reach), (w / 2 - 0.01, 0.035, z1 * reach), label, cover, 0.012
        )
        solids.append(board.placed(lean, np.array([0, 0.005, seat - 0.01])))
    return Piece(solids, (w, d, back))


def office_chair(rng, style: Style) -> Piece:
    """A swivel chair on five feet."""
    label = LABEL['chair']
    seat, back = rng.uniform(0.45, 0.52), rng.uniform(0.92, 1.15)
    dark, cloth = styles.plain('2b2c2e'), pick(rng, (style.fabrics[1], styles.plain('26282b')))
    solids = [
        column((0, 0.3), (0.03, 0.03), (0.06, seat - 0.06), label, dark, 8),
        box((-0.24, 0.07, seat - 0.07), (0.24, 0.55, seat + 0.02), label, cloth, 0.03),
        box((-0.29, 0.15, seat + 0.18), (-0.24, 0.45, seat + 0.22), label, dark),
        box((0.24, 0.15, seat + 0.18), (0.29, 0.45, seat + 0.22), label, dark),
        box((-0.28, 0.27, seat - 0.05), (-0.25, 0.32, seat + 0.18), label, dark),
        box((0.25, 0.27, seat - 0.05), (0.28, 0.32, seat + 0.18), label, dark),
    ]
    back_rest = box((-0.22, 0, 0), (0.22, 0.07, back - seat - 0.08), label, cloth, 0.03)
    solids.append(back_rest.placed(rotation_about_x(0.12), np.array([0, 0.06, seat + 0.08])))
    for i in range(5):
        foot = box((0, -0.025, 0.03), (0.3, 0.025, 0.07), label, dark)
        solids.append(
            foot.placed(rotation_about_vertical(i * 2 * np.pi / 5), np.array([0, 0.3, 0]))
        )
    return Piece(solids, (0.62, 0.62, back))


def table(rng, style: Style) -> Piece:
    """A dining table, square or round."""
    w, d, h = rng.uniform(0.9, 1.7), rng.uniform(0.75, 0.95), rng.uniform(0.71, 0.77)
    label, top = LABEL['table'], style.wood
    if rng.random() < 0.3:
        r = rng.uniform(0.45, 0.6)
        solids = [
            column((0, r), (r, r), (h - 0.035, h), label, top, 28),
            column((0, r), (0.05, 0.05), (0.04, h - 0.03), label, style.wood_dark, 10),
            column((0, r), (0.3, 0.1), (0.0, 0.05), label, style.wood_dark, 16),
        ]
        return Piece(solids, (2 * r, 2 * r, h), ((-0.6 * r, 0.6 * r, 0.4 * r, 1.6 * r, h),))
    solids = legs(w - 0.04, d - 0.02, h - 0.03, 0.06, label, pick(rng, (top, style.metal)))
    solids.append(box((-w / 2, -0.02, h - 0.035), (w / 2, d, h), label, top, 0.008))
    solids.append(
        box((-w / 2 + 0.06, 0.06, h - 0.1), (w / 2 - 0.06, d - 0.08, h - 0.035), label, top)
    )
    return Piece(solids, (w, d, h), ((-w / 2, w / 2, 0.0, d, h),))


def coffee_table(rng, style: Style) -> Piece:
    """A low table with a shelf below."""
    w, d, h = rng.uniform(0.8, 1.2), rng.uniform(0.5, 0.65), rng.uniform(0.36, 0.48)
    label, top = LABEL['table'], style.wood
    solids = legs(w, d, h - 0.03, 0.05, label, top)
    solids.append(box((-w / 2, 0, h - 0.035), (w / 2, d, h), label, top, 0.008))
    if rng.random() < 0.6:
        solids.append(box((-w / 2 + 0.03, 0.03, 0.12), (w / 2 - 0.03, d - 0.03, 0.14), label, top))
    return Piece(solids, (w, d, h), ((-w / 2, w / 2, 0.0, d, h),))


def desk(rng, style: Style) -> Piece:
    """A writing desk with drawers on one side."""
    w, d, h = rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75), rng.uniform(0.71, 0.76)
    label = LABEL['desk']
    side = pick(rng, (-1, 1))
    x0, x1 = sorted((side * w / 2, side * (w / 2 - 0.42)))
    solids = [
        box((-w / 2, 0, h - 0.03), (w / 2, d, h), label, style.wood, 0.006),
        box((-w / 2 + 0.02, 0.04, h - 0.35), (w / 2 - 0.02, 0.06, h - 0.03), label, style.wood),
        box((x0 + 0.01, 0.03, 0.03), (x1 - 0.01, d - 0.04, h - 0.03), label, style.wood),
    ]
    far = -side * (w / 2 - 0.03)
    solids.append(box((far - 0.02, 0.02, 0), (far + 0.02, d - 0.02, h - 0.03), label, style.wood))
    solids += fronts((x0 + 0.02, x1 - 0.02), (0.06, h - 0.05), d - 0.04, (1, 3), label, style)
    return Piece(solids, (w, d, h), ((-w / 2, w / 2, 0.02, d, h),))


def fronts(
    x_range, z_range, y: float, grid, label: int, style: Style, round_knobs=False
) -> list[Solid]:
    """Drawer or door fronts with handles on the plane `y`, in a grid of (columns, rows)."""
    (x0, x1), (z0, z1), (columns, rows) = x_range, z_range, grid
    width, height = (x1 - x0) / columns, (z1 - z0) / rows
    solids = []
    for column_index in range(columns):
        for row in range(rows):
            a, b = x0 + column_index * width, z0 + row * height
            solids.append(
                box(
                    (a + 0.006, y, b + 0.006),
                    (a + width - 0.006, y + 0.018, b + height - 0.006),
                    label,
                    style.wood,
                )
            )
            if height > 1.4 * width or round_knobs:
                towards_middle = 0.88 if column_index < columns / 2 and columns > 1 else 0.12
                x, z = a + towards_middle * width, b + 0.55 * height
                handle = ((x - 0.012, z - 0.06), (x + 0.012, z + 0.06))
            else:
                x, z = a + width / 2, b + 0.62 * height
                handle = ((x - 0.06, z - 0.01), (x + 0.06, z + 0.01))
            (hx0, hz0), (hx1, hz1) = handle
            solids.append(box((hx0, y + 0.018, hz0), (hx1, y + 0.04, hz1), label, style.metal))
    return solids
