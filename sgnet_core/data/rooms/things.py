# SPDX-License-Identifier: Apache-2.0
"""Small and hanging things of generated rooms. Frames and makers as in `furniture`.

What hangs has its back on the wall at y = 0 and its height in its z.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sgnet_core.data.rooms import style as styles
from sgnet_core.data.rooms.art import PAINTINGS
from sgnet_core.data.rooms.furniture import LABEL, Piece
from sgnet_core.data.rooms.geometry import Material, Solid, box, column, rotation_about_vertical
from sgnet_core.data.rooms.style import Style, pick


def picture(rng, style: Style) -> Piece:
    """A framed painting or poster."""
    kind = pick(rng, ('landscape', 'landscape', 'abstract', 'abstract', 'portrait'))
    wide = kind == 'landscape' or (kind == 'abstract' and rng.random() < 0.5)
    w, h = (
        (rng.uniform(0.5, 1.1), rng.uniform(0.4, 0.7))
        if wide
        else (rng.uniform(0.3, 0.55), rng.uniform(0.45, 0.75))
    )
    z, label = 1.55 - h / 2 + rng.uniform(-0.08, 0.12), LABEL['picture']
    frame = pick(
        rng, (style.wood_dark, style.metal, styles.plain('f0eee9'), styles.plain('1e1e1e'))
    )
    art = styles.bright(rng, f'{kind}{rng.integers(PAINTINGS)}')
    edge = rng.uniform(0.02, 0.045)
    solids = [box((-w / 2, 0, z), (w / 2, 0.025, z + h), label, frame, 0.006)]
    if rng.random() < 0.6:
        solids.append(
            box(
                (-w / 2 + edge, 0.02, z + edge),
                (w / 2 - edge, 0.027, z + h - edge),
                label,
                styles.plain('f2f0ea'),
            )
        )
        edge += rng.uniform(0.03, 0.07)
    solids.append(
        box((-w / 2 + edge, 0.02, z + edge), (w / 2 - edge, 0.029, z + h - edge), label, art)
    )
    return Piece(solids, (w, 0.03, z + h))


def mirror(rng, style: Style) -> Piece:
    """A framed mirror; a depth sensor sees little of it."""
    w, h, z = rng.uniform(0.45, 0.8), rng.uniform(0.7, 1.2), rng.uniform(0.85, 1.05)
    glass = Material(
        'mirror', styles.three(styles.linear('8b959b'), styles.linear('dfe6e8')), None, dropout=0.85
    )
    label = LABEL['mirror']
    solids = [
        box((-w / 2, 0, z), (w / 2, 0.03, z + h), label, style.wood_dark, 0.008),
        box((-w / 2 + 0.04, 0.02, z + 0.04), (w / 2 - 0.04, 0.034, z + h - 0.04), label, glass),
    ]
    return Piece(solids, (w, 0.034, z + h))


def whiteboard(rng, style: Style) -> Piece:
    """A whiteboard with writing and a tray."""
    w, h, z, label = (
        rng.uniform(1.0, 1.9),
        rng.uniform(0.8, 1.1),
        rng.uniform(0.9, 1.05),
        LABEL['whiteboard'],
    )
    ink = [styles.linear(pick(rng, ('24508f', 'b3261e', '1d1d1f', '1f7a4d'))) for _ in range(2)]
    board = Material('scribbles', styles.three(styles.WHITE, *ink), None)
    solids = [
        box((-w / 2, 0, z), (w / 2, 0.02, z + h), label, styles.plain('a9adb0')),
        box((-w / 2 + 0.025, 0.01, z + 0.025), (w / 2 - 0.025, 0.023, z + h - 0.025), label, board),
        box((-w / 4, 0.0, z - 0.02), (w / 4, 0.07, z), label, styles.plain('a9adb0')),
    ]
    return Piece(solids, (w, 0.07, z + h))


def wall_television(rng, style: Style) -> Piece:
    """A flat screen on the wall."""
    w, z = rng.uniform(0.9, 1.4), rng.uniform(1.0, 1.2)
    return Piece(_screen(w, 0.05, z, LABEL['television']), (w, 0.07, z + 0.57 * w))


def _screen(w: float, y: float, z: float, label: int) -> list[Solid]:
    """A flat screen of width w, back at y, lower edge at z."""
    glass = Material(
        'screen', styles.three(styles.linear('101216'), styles.linear('5b6670')), None, dropout=0.5
    )
    h = 0.57 * w
    return [
        box((-w / 2, y - 0.04, z), (w / 2, y, z + h), label, styles.plain('1a1a1b'), 0.006),
        box(
            (-w / 2 + 0.015, y - 0.01, z + 0.02),
            (w / 2 - 0.015, y + 0.003, z + h - 0.015),
            label,
            glass,
        ),
    ]


def television(rng, style: Style) -> Piece:
    """A screen on a foot, for a cabinet or desk."""
    w, label = rng.uniform(0.5, 1.05), LABEL['television']
    solids = _screen(w, 0.13, 0.07, label)
    solids.append(box((-w / 5, 0.02, 0), (w / 5, 0.22, 0.015), label, styles.plain('1a1a1b')))
    solids.append(box((-0.05, 0.08, 0.01), (0.05, 0.1, 0.1), label, styles.plain('1a1a1b')))
    return Piece(solids, (w, 0.24, 0.07 + 0.57 * w))


def monitor(rng, style: Style) -> Piece:
    """A computer screen with a keyboard before it: both are `otherprop` to NYU."""
    w, label = rng.uniform(0.45, 0.62), LABEL['otherprop']
    solids = _screen(w, 0.12, 0.12, label)
    solids.append(box((-0.12, 0.02, 0), (0.12, 0.2, 0.015), label, styles.plain('2a2a2c')))
    solids.append(box((-0.03, 0.07, 0.01), (0.03, 0.09, 0.2), label, styles.plain('2a2a2c')))
    keys = Material('keys', styles.three(styles.linear('2b2c2e'), styles.linear('55585c')), None)
    solids.append(box((-0.22, 0.32, 0), (0.22, 0.46, 0.02), label, keys))
    return Piece(solids, (w, 0.48, 0.12 + 0.57 * w))


def table_lamp(rng, style: Style) -> Piece:
    """Foot, stem and a shade that glows."""
    return _lamp(rng, style, rng.uniform(0.42, 0.55), rng.uniform(0.1, 0.15))


def floor_lamp(rng, style: Style) -> Piece:
    """A lamp that stands on the floor."""
    return _lamp(rng, style, rng.uniform(1.4, 1.7), rng.uniform(0.17, 0.23))


def _lamp(rng, style: Style, height: float, radius: float) -> Piece:
    label = LABEL['lamp']
    lit = rng.uniform(0.4, 1.3) if rng.random() < 0.7 else 0.0
    cloth = styles.linear(pick(rng, ('f3e6c8', 'f5efe2', 'd9c6a0', 'c9c4bb')))
    shade = Material('weave_fine', styles.three(cloth, cloth * 0.85), (0.2, 0.2), emission=lit)
    centre, shade_h = (0, radius), 1.5 * min(radius, 0.17)
    solids = [
        column(centre, (radius * 0.7, radius * 0.6), (0, 0.025), label, style.metal, 14),
        column(centre, (0.012, 0.012), (0.02, height - shade_h), label, style.metal, 8),
        column(centre, (radius, radius * 0.65), (height - shade_h, height), label, shade, 20),
    ]
    return Piece(solids, (2 * radius, 2 * radius, height))


def pendant(rng, style: Style) -> Piece:
    """A lamp that hangs from z = 0 downwards."""
    r, drop, label = rng.uniform(0.15, 0.25), rng.uniform(0.3, 0.55), LABEL['lamp']
    cloth = styles.linear(pick(rng, ('f5efe2', 'f0dcae', '2d2d2f', 'd8d8d6')))
    shade = Material('plain', styles.three(cloth), (0.3, 0.3), emission=rng.uniform(0.5, 1.2))
    solids = [
        column((0, 0), (0.006, 0.006), (-drop, 0), label, style.metal, 6),
        column((0, 0), (r, r * 0.4), (-drop - 0.2, -drop), label, shade, 20),
    ]
    return Piece(solids, (2 * r, 2 * r, drop + 0.2))


def rug(rng, style: Style, scale: float = 1.0) -> Piece:
    """A floor mat with a border."""
    w, d, label = rng.uniform(1.2, 2.4), rng.uniform(0.9, 1.7), LABEL['floor mat']
    w, d = scale * w, scale * d
    pattern = pick(rng, ('carpet', 'carpet_motif', 'plaid', 'damask', 'stripes', 'weave'))
    middle = styles.bright(rng, pattern, (0.7, 0.7))
    edge = replace(middle, pattern='carpet', colours=middle.colours[[1, 0, 2]])
    inset = rng.uniform(0.06, 0.15)
    solids = [
        box((-w / 2, 0, 0), (w / 2, d, 0.012), label, edge),
        box((-w / 2 + inset, inset, 0), (w / 2 - inset, d - inset, 0.014), label, middle),
    ]
    return Piece(solids, (w, d, 0.014))


def cardboard_box(rng, style: Style) -> Piece:
    """A carton, at times with its tape."""
    w, d, h = rng.uniform(0.25, 0.55), rng.uniform(0.25, 0.45), rng.uniform(0.18, 0.45)
    board = styles.linear(pick(rng, ('b08a5b', 'a67c4d', 'c09a6b', 'd9d4ca')))
    carton = Material('paint', styles.three(board, board * 0.8), (0.6, 0.6))
    label = LABEL['box']
    solids = [
        box((-w / 2, 0, 0), (w / 2, d, h), label, carton),
        box(
            (-w / 2 - 0.001, d / 2 - 0.025, h - 0.08),
            (w / 2 + 0.001, d / 2 + 0.025, h + 0.002),
            label,
            styles.plain('cdb892'),
        ),
    ]
    return Piece(solids, (w, d, h))


def bag(rng, style: Style) -> Piece:
    """A soft bag with a handle."""
    w, d, h, label = (
        rng.uniform(0.3, 0.45),
        rng.uniform(0.15, 0.22),
        rng.uniform(0.25, 0.4),
        LABEL['bag'],
    )
    cloth = styles.painted(rng)
    solids = [box((-w / 2, 0, 0), (w / 2, d, h), label, cloth, 0.06)]
    for x in (-0.3 * w, 0.3 * w - 0.02):
        solids.append(
            box((x, d / 2 - 0.01, h - 0.02), (x + 0.02, d / 2 + 0.01, h + 0.14), label, cloth)
        )
    solids.append(
        box((-0.3 * w, d / 2 - 0.01, h + 0.12), (0.3 * w, d / 2 + 0.01, h + 0.14), label, cloth)
    )
    return Piece(solids, (w, d, h + 0.14))


def bin_(rng, style: Style) -> Piece:
    """A waste paper bin."""
    r, h = rng.uniform(0.12, 0.16), rng.uniform(0.28, 0.36)
    material = styles.painted(rng)
    return Piece(
        [column((0, r), (0.8 * r, r), (0, h), LABEL['otherprop'], material, 16)], (2 * r, 2 * r, h)
    )


def cup(rng) -> Piece:
    """A mug or a glass."""
    solid = column((0, 0.04), (0.035, 0.042), (0, 0.1), LABEL['otherprop'], styles.painted(rng), 14)
    return Piece([solid], (0.09, 0.09, 0.1))


def small_thing(rng, style: Style) -> Piece:
    """Something for a table: books, a cup, a vase, papers, a box."""
    kind = rng.integers(5)
    if kind == 0:
        solids = []
        for i in range(int(rng.integers(1, 5))):
            book = box((-0.1, -0.14, 0), (0.1, 0.0, 0.03), LABEL['books'], styles.painted(rng))
            turn = rotation_about_vertical(rng.uniform(-0.4, 0.4))
            solids.append(book.placed(turn, np.array([0, 0.14, 0.03 * i])))
        return Piece(solids, (0.28, 0.28, 0.12))
    if kind == 1:
        return cup(rng)
    if kind == 2:
        pot, h = styles.painted(rng), rng.uniform(0.12, 0.2)
        solids = [
            column((0, 0.08), (0.045, 0.08), (0, h / 2), LABEL['otherprop'], pot, 16),
            column((0, 0.08), (0.08, 0.04), (h / 2, h), LABEL['otherprop'], pot, 16),
        ]
        return Piece(solids, (0.16, 0.16, h))
    if kind == 3:
        page = Material('type', styles.three(styles.WHITE, styles.BLACK * 4), None)
        sheet = box((-0.105, -0.15, 0), (0.105, 0.15, 0.003), LABEL['paper'], page)
        turn = rotation_about_vertical(rng.uniform(-0.5, 0.5))
        return Piece([sheet.placed(turn, np.array([0, 0.18, 0]))], (0.3, 0.36, 0.003))
    carton = box(
        (-0.1, 0, 0), (0.1, 0.15, rng.uniform(0.08, 0.2)), LABEL['box'], styles.painted(rng)
    )
    return Piece([carton], (0.2, 0.15, 0.2))
