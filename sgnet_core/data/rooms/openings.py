# SPDX-License-Identifier: Apache-2.0
"""Doors and windows of generated rooms, curtains and blinds. Frames as in `furniture`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.furniture import LABEL, Piece
from sgnet_core.data.rooms.geometry import Material, Solid, box
from sgnet_core.data.rooms.style import Style, pick


def door(rng, style: Style) -> Piece:
    """A closed door in its frame."""
    w, h, label = rng.uniform(0.8, 0.95), rng.uniform(2.0, 2.08), LABEL['door']
    white = rng.random() < 0.55
    base = styles.WHITE if white else style.wood_dark.colours[0]
    trim = Material('paint', styles.three(base * 0.95), (1.0, 1.0))
    if rng.random() < 0.75:
        leaf = Material(
            pick(rng, ('panels', 'panels_six')), styles.three(base * 0.9, base, base * 0.4), None
        )
    else:
        leaf = replace(style.wood_dark, upright=True) if not white else trim
    x = pick(rng, (-1, 1)) * (w / 2 - 0.09)
    solids = [
        box((-w / 2 - 0.08, 0, 0), (-w / 2, 0.035, h + 0.08), label, trim),
        box((w / 2, 0, 0), (w / 2 + 0.08, 0.035, h + 0.08), label, trim),
        box((-w / 2, 0, h), (w / 2, 0.035, h + 0.08), label, trim),
        box((-w / 2, 0, 0), (w / 2, 0.02, h), label, leaf),
        box((x - 0.02, 0.02, 0.95), (x + 0.02, 0.03, 1.13), label, style.metal),
        box((x - 0.06, 0.05, 1.04), (x + 0.06, 0.07, 1.06), label, style.metal),
        box((x - 0.01, 0.02, 1.04), (x + 0.01, 0.06, 1.06), label, style.metal),
    ]
    return Piece(solids, (w + 0.16, 0.07, h + 0.08))


def window(rng, style: Style, daylight: float) -> tuple[Piece, tuple[float, float, float]]:
    """A window with frame, glass and sill, and its (width, sill height, glass height).

    `daylight` is how bright the view outside is; 0 is night.
    """
    w, h, sill = rng.uniform(0.9, 1.8), rng.uniform(1.0, 1.35), rng.uniform(0.8, 1.0)
    label = LABEL['window']
    frame = Material(
        'plain', styles.three(pick(rng, (styles.WHITE, styles.WHITE, style.wood_dark.colours[0])))
    )
    sky = styles.linear(pick(rng, ('a9c9ea', 'd5dde3', '8fbcec', 'e9dcc8')))
    green = styles.linear(pick(rng, ('6f8f5a', '8a8f7a', '7a6f64')))
    if daylight < 0.1:
        sky, green = sky * 0.03, green * 0.02
    glass = Material(
        f'view{rng.integers(2)}', styles.three(sky, green, np.minimum(sky * 1.3, 1)), None,
        emission=0.35 + 1.6 * daylight, dropout=0.6,
    )  # fmt: skip
    top, t = sill + h, 0.05
    solids = [
        box((-w / 2, 0, sill), (w / 2, 0.008, top), label, glass),
        box((-w / 2 - t, 0, sill - t), (w / 2 + t, 0.04, sill), label, frame),
        box((-w / 2 - t, 0, top), (w / 2 + t, 0.04, top + t), label, frame),
        box((-w / 2 - t, 0, sill), (-w / 2, 0.04, top), label, frame),
        box((w / 2, 0, sill), (w / 2 + t, 0.04, top), label, frame),
        box((-w / 2 - 0.08, 0, sill - t - 0.03), (w / 2 + 0.08, 0.12, sill - t), label, frame),
    ]
    for i in range(1, 2 + (w > 1.4)):
        x = -w / 2 + i * w / (2 + (w > 1.4))
        solids.append(box((x - 0.025, 0, sill), (x + 0.025, 0.03, top), label, frame))
    if rng.random() < 0.4:
        solids.append(
            box((-w / 2, 0, top - 0.35 * h), (w / 2, 0.028, top - 0.35 * h + 0.03), label, frame)
        )
    return Piece(solids, (w + 0.16, 0.12, top + t)), (w, sill, h)


def curtains(rng, style: Style, opening) -> Piece:
    """Two curtains on a rod, drawn aside."""
    w, sill, h = opening
    label, top = LABEL['curtain'], sill + h + 0.12
    cloth = styles.linear(
        pick(rng, ('d8d0c2', 'a9b3b8', '8f5f56', '5f7286', 'e9e4da', 'b7a27d', '6f7f68'))
    )
    folds = Material(
        pick(rng, ('folds', 'folds_loose')), styles.three(cloth * 0.5, cloth), (0.9, 0.9)
    )
    bottom = 0.04 if rng.random() < 0.6 else sill - 0.12
    drawn = rng.uniform(0.22, 0.4) * w / 2 + 0.08
    solids = [
        box((-w / 2 - 0.25, 0.1, top), (w / 2 + 0.25, 0.125, top + 0.025), label, style.metal)
    ]
    for side in (-1, 1):
        outer, inner = side * (w / 2 + 0.18), side * (w / 2 + 0.18 - drawn)
        solids += _hanging_folds(sorted((outer, inner)), (bottom, top), label, folds)
    return Piece(solids, (w + 0.5, 0.22, top + 0.03))


def _hanging_folds(x_range, z_range, label: int, cloth: Material) -> list[Solid]:
    """Cloth as a row of bevelled strips, so that depth shows the folds too."""
    (x0, x1), (z0, z1) = x_range, z_range
    count = max(2, int((x1 - x0) / 0.1))
    step = (x1 - x0) / count
    return [
        box((x0 + i * step, 0.125, z0), (x0 + (i + 1) * step, 0.21, z1), label, cloth, 0.04)
        for i in range(count)
    ]


def blinds(rng, style: Style, opening) -> Piece:
    """Slatted blinds, let down part of the way."""
    w, sill, h = opening
    label, top = LABEL['blinds'], sill + h + 0.06
    paint = styles.linear(pick(rng, ('eeece6', 'd9d2c3', 'c3c9cc', 'b48a5f')))
    slats = Material('slats', styles.three(paint, paint * 0.6, paint * 0.25), (0.8, 0.8))
    bottom = top - rng.uniform(0.35, 0.95) * h
    solids = [
        box(
            (-w / 2 - 0.03, 0.045, top - 0.05),
            (w / 2 + 0.03, 0.1, top),
            label,
            styles.plain('e7e5e0'),
        ),
        box((-w / 2 - 0.02, 0.055, bottom), (w / 2 + 0.02, 0.075, top - 0.05), label, slats),
        box(
            (-w / 2 - 0.02, 0.05, bottom - 0.02),
            (w / 2 + 0.02, 0.08, bottom),
            label,
            styles.plain('e7e5e0'),
        ),
    ]
    return Piece(solids, (w + 0.06, 0.1, top))
