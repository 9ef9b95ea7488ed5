# SPDX-License-Identifier: Apache-2.0
"""Bathroom fittings, towels and clothes of generated rooms. Frames as in `furniture`."""

from __future__ import annotations

import numpy as np

from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.furniture import LABEL, Piece
from sgnet_core.data.rooms.geometry import (
    Material,
    box,
    column,
    rotation_about_vertical,
    rotation_about_x,
)
from sgnet_core.data.rooms.style import Style, pick

_CERAMIC = styles.plain('f1f0ec', dropout=0.05)


def toilet(rng, style: Style) -> Piece:
    """Bowl, seat, raised lid and cistern."""
    label, seat = LABEL['toilet'], rng.uniform(0.38, 0.43)
    lid = box((-0.19, -0.02, 0), (0.19, 0.02, 0.4), label, _CERAMIC, 0.04)
    solids = [
        box((-0.2, 0, 0.36), (0.2, 0.17, seat + 0.36), label, _CERAMIC, 0.03),
        box((-0.05, 0.05, seat + 0.36), (0.05, 0.11, seat + 0.375), label, style.metal),
        column((0, 0.4), (0.13, 0.17), (0, 0.2), label, _CERAMIC, 18),
        column((0, 0.42), (0.15, 0.21), (0.2, seat - 0.02), label, _CERAMIC, 20),
        box((-0.12, 0.0, 0), (0.12, 0.35, seat - 0.05), label, _CERAMIC, 0.03),
        column((0, 0.42), (0.215, 0.215), (seat - 0.02, seat), label, styles.plain('e4e2dc'), 20),
        column((0, 0.42), (0.12, 0.12), (seat, seat + 0.002), label, styles.plain('6f767a'), 18),
        lid.placed(rotation_about_x(0.12), np.array([0, 0.22, seat])),
    ]
    return Piece(solids, (0.44, 0.66, seat + 0.42))


def basin(rng, style: Style) -> Piece:
    """A washbasin on a vanity unit or a pedestal."""
    w, d, h, label = rng.uniform(0.55, 0.9), 0.48, rng.uniform(0.82, 0.88), LABEL['sink']
    solids = [
        box((-w / 2, 0, h - 0.13), (w / 2, d, h), label, _CERAMIC, 0.035),
        box(
            (-w / 2 + 0.09, 0.13, h - 0.02),
            (w / 2 - 0.09, d - 0.06, h + 0.002),
            label,
            styles.plain('b9bfc1'),
        ),
        box((-0.018, 0.05, h), (0.018, 0.085, h + 0.14), label, style.metal),
        box((-0.014, 0.05, h + 0.12), (0.014, 0.2, h + 0.145), label, style.metal),
    ]
    if rng.random() < 0.6:
        body = box(
            (-w / 2 + 0.02, 0, 0.15),
            (w / 2 - 0.02, d - 0.04, h - 0.12),
            LABEL['cabinet'],
            style.wood,
        )
        solids += [
            body,
            box(
                (-0.004, d - 0.04, 0.17),
                (0.004, d - 0.035, h - 0.14),
                LABEL['cabinet'],
                style.metal,
            ),
        ]
    else:
        solids.append(column((0, 0.2), (0.11, 0.08), (0, h - 0.12), label, _CERAMIC, 16))
    return Piece(solids, (w, d, h + 0.15), ((-w / 2, -w / 2 + 0.12, 0.02, 0.14, h),))


def bathtub(rng, style: Style) -> Piece:
    """A bathtub along the wall, some with a shower curtain."""
    w, d, h, label = (
        rng.uniform(1.5, 1.75),
        rng.uniform(0.7, 0.8),
        rng.uniform(0.5, 0.58),
        LABEL['bathtub'],
    )
    t = 0.08
    solids = [
        box((-w / 2, 0, 0), (w / 2, t, h), label, _CERAMIC),
        box((-w / 2, d - t, 0), (w / 2, d, h), label, _CERAMIC, 0.015),
        box((-w / 2, t, 0), (-w / 2 + 0.12, d - t, h), label, _CERAMIC),
        box((w / 2 - 0.12, t, 0), (w / 2, d - t, h), label, _CERAMIC),
        box((-w / 2 + 0.12, t, 0.0), (w / 2 - 0.12, d - t, 0.14), label, styles.plain('dcdddb')),
        box((-w / 2 + 0.03, 0.3, h), (-w / 2 + 0.06, 0.34, h + 0.14), label, style.metal),
        box((-w / 2 + 0.03, 0.3, h + 0.12), (-w / 2 + 0.2, 0.34, h + 0.15), label, style.metal),
    ]
    top = h
    if rng.random() < 0.65:
        top, curtain = 1.98, LABEL['shower curtain']
        cloth = styles.linear(pick(rng, ('e9eef0', 'b9d3d9', 'd9c7b0', '7f9fb0', 'f0e3e3')))
        folds = Material('folds', styles.three(cloth * 0.7, cloth), (0.7, 0.7))
        solids.append(
            box((-w / 2, d - 0.06, top - 0.03), (w / 2, d - 0.035, top), curtain, style.metal)
        )
        count = int(rng.integers(4, 11))
        for i in range(count):
            x = w / 2 - 0.02 - 0.09 * (i + 1)
            solids.append(
                box((x, d - 0.075, 0.3), (x + 0.09, d - 0.005, top - 0.03), curtain, folds, 0.03)
            )
    return Piece(solids, (w, d, top))


def towel(rng, style: Style) -> Piece:
    """A towel over a rail on the wall."""
    w, h, z = rng.uniform(0.4, 0.65), rng.uniform(0.4, 0.65), rng.uniform(1.1, 1.35)
    cloth, label = styles.fabric(rng, 0.4), LABEL['towel']
    solids = [
        box((-w / 2 - 0.06, 0.05, z + h), (w / 2 + 0.06, 0.07, z + h + 0.02), label, style.metal),
        box((-w / 2 - 0.06, 0, z + h), (-w / 2 - 0.04, 0.06, z + h + 0.02), label, style.metal),
        box((w / 2 + 0.04, 0, z + h), (w / 2 + 0.06, 0.06, z + h + 0.02), label, style.metal),
        box((-w / 2, 0.07, z), (w / 2, 0.095, z + h + 0.015), label, cloth, 0.01),
        box((-w / 2, 0.025, z + 0.12), (w / 2, 0.05, z + h + 0.015), label, cloth, 0.01),
        box((-w / 2, 0.03, z + h), (w / 2, 0.09, z + h + 0.03), label, cloth, 0.012),
    ]
    return Piece(solids, (w + 0.12, 0.1, z + h + 0.03))


def coats(rng, style: Style) -> Piece:
    """Jackets on a rack of hooks."""
    count = int(rng.integers(2, 5))
    w, label = 0.3 * count + 0.1, LABEL['clothes']
    solids = [box((-w / 2, 0, 1.62), (w / 2, 0.02, 1.7), LABEL['otherprop'], style.wood)]
    for i in range(count):
        x, length = -w / 2 + 0.2 + 0.3 * i, rng.uniform(0.55, 0.95)
        cloth = styles.fabric(rng)
        solids.append(
            box((x - 0.01, 0, 1.6), (x + 0.01, 0.07, 1.62), LABEL['otherprop'], style.metal)
        )
        solids.append(
            box((x - 0.14, 0.02, 1.6 - length), (x + 0.14, 0.15, 1.6), label, cloth, 0.06)
        )
        for side in (-1, 1):
            a, b = sorted((side * 0.11, side * 0.18))
            solids.append(box((x + a, 0.04, 1.0), (x + b, 0.13, 1.53), label, cloth, 0.03))
    return Piece(solids, (w, 0.17, 1.7))


def laundry(rng, style: Style) -> Piece:
    """A few garments thrown or folded on top of each other."""
    solids, z = [], 0.0
    for _ in range(int(rng.integers(2, 5))):
        half_w, half_d, t = rng.uniform(0.12, 0.2), rng.uniform(0.1, 0.16), rng.uniform(0.03, 0.06)
        garment = box(
            (-half_w, -half_d, 0), (half_w, half_d, t), LABEL['clothes'], styles.fabric(rng), 0.025
        )
        turn = rotation_about_vertical(rng.uniform(-0.6, 0.6))
        solids.append(garment.placed(turn, np.array([rng.uniform(-0.03, 0.03), 0.2, z])))
        z += t * 0.9
    return Piece(solids, (0.42, 0.4, z + 0.03))
