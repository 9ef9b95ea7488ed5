# SPDX-License-Identifier: Apache-2.0
"""Pictures of generated rooms, stretched once over a face: art, screens, views, book spines.

Like the surfaces of `patterns`, they are (SIZE, SIZE, 3) weights of three colours.
"""

from __future__ import annotations

import cv2
import numpy as np

from sgnet_core.data.rooms.patterns import SIZE, fractal, mix, noise

PAINTINGS = 8
"""Number of paintings of each kind: 'landscape0', 'abstract0', 'portrait0', ..."""


def all_pictures(rng) -> dict[str, np.ndarray]:
    """Name -> (SIZE, SIZE, 3) float32 weights."""
    pictures = {}
    for i in range(PAINTINGS):
        pictures[f'landscape{i}'] = _landscape(rng)
        pictures[f'abstract{i}'] = _abstract(rng)
        pictures[f'portrait{i}'] = _portrait(rng)
    for i in range(4):
        pictures[f'spines{i}'] = _spines(rng)
        pictures[f'poster{i}'] = _poster(rng)
    pictures['view0'] = _view(rng, trees=True)
    pictures['view1'] = _view(rng, trees=False)
    pictures['screen'] = _screen(rng)
    pictures['scribbles'] = _scribbles(rng)
    pictures['panels'] = _panels(((0.14, 0.06, 0.86, 0.5), (0.14, 0.56, 0.86, 0.94)))
    pictures['panels_six'] = _panels(
        tuple(
            (x, y0, x + 0.32, y1)
            for x in (0.13, 0.55)
            for y0, y1 in ((0.05, 0.2), (0.26, 0.56), (0.62, 0.94))
        )
    )
    pictures['mirror'] = mix(_diagonal() * 0.9)
    pictures['keys'] = _keys(rng)
    pictures['type'] = _lines_of_text(rng)
    return pictures


def _axes() -> tuple[np.ndarray, np.ndarray]:
    """x to the right and y downwards, both in [0, 1), float32."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    return x, y


def _profile(rng, roughness: float) -> np.ndarray:
    """(SIZE,) smooth curve around 0 of about the given height."""
    x = np.linspace(0, 2 * np.pi, SIZE, dtype=np.float32)
    waves = [rng.normal() / (i + 1) * np.sin((i + 1) * x + rng.random() * 6.3) for i in range(6)]
    return roughness * np.sum(waves, axis=0)


def _landscape(rng) -> np.ndarray:
    """Sky (colour 0), ranges of hills (towards colour 1), a sun (colour 2)."""
    _, y = _axes()
    tone = 0.25 * (1 - y) + 0.1 * fractal(rng)
    sun_x, sun_y = rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.4)
    x, y = _axes()
    sun = np.clip((rng.uniform(0.05, 0.11) - np.hypot(x - sun_x, y - sun_y)) * 40 + 0.5, 0, 1)
    for i in range(4):
        horizon = 0.42 + 0.13 * i + _profile(rng, 0.05)
        hill = y > horizon[None, :]
        tone = np.where(hill, 0.4 + 0.17 * i + 0.1 * (y - horizon[None, :]), tone)
        sun = np.where(hill, 0, sun)
    return mix(np.clip(tone, 0, 1), np.clip(sun, 0, 1))


def _abstract(rng) -> np.ndarray:
    """Fields of the three colours, parted by black-ish bars or overlapping discs."""
    x, y = _axes()
    tone = np.full((SIZE, SIZE), rng.random() * 0.3, np.float32)
    accent = np.zeros_like(tone)
    for _ in range(7):
        cx, cy, radius = rng.random(), rng.random(), rng.uniform(0.08, 0.3)
        if rng.random() < 0.5:
            inside = np.hypot(x - cx, y - cy) < radius
        else:
            inside = (np.abs(x - cx) < radius) & (np.abs(y - cy) < radius * rng.uniform(0.3, 1.5))
        tone = np.where(inside, rng.random(), tone)
        accent = np.where(inside, float(rng.random() < 0.35), accent)
    return mix(np.clip(tone + 0.08 * fractal(rng), 0, 1), accent)


def _portrait(rng) -> np.ndarray:
    """Head and shoulders before a ground: a bust of colour 1 with a face of colour 2."""
    x, y = _axes()
    lean = rng.uniform(-0.05, 0.05)
    head = ((x - 0.5 - lean) / 0.15) ** 2 + ((y - 0.38) / 0.2) ** 2 < 1
    hair = ((x - 0.5 - lean) / 0.19) ** 2 + ((y - 0.34) / 0.23) ** 2 < 1
    bust = ((x - 0.5) / 0.4) ** 2 + ((y - 1.05) / 0.45) ** 2 < 1
    tone = np.where(hair | bust, 0.9, 0.15 + 0.3 * fractal(rng))
    shade = 0.75 + 0.25 * np.clip((0.6 - x) * 3, -1, 1)
    return mix(tone.astype(np.float32), np.where(head, shade, 0).astype(np.float32))


def _poster(rng) -> np.ndarray:
    """A block of accent colour over lines of text."""
    x, y = _axes()
    top = rng.uniform(0.35, 0.65)
    block = (np.abs(x - 0.5) < 0.38) & (y > 0.08) & (y < top)
    disc = np.hypot(x - rng.uniform(0.3, 0.7), y - top / 2 - 0.04) < 0.15
    text = _text_mask(rng, 14) * (y > top + 0.06) * (y < 0.92) * (np.abs(x - 0.5) < 0.38)
    return mix(np.clip(text + disc, 0, 1).astype(np.float32), (block & ~disc) * np.float32(1))


def _text_mask(rng, lines: int) -> np.ndarray:
    """(SIZE, SIZE) float32: 1 where a line of letters would be."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    height = SIZE // lines
    for line in range(lines):
        words = np.repeat(rng.random(SIZE // 4) < 0.75, 4)
        words[int(SIZE * rng.uniform(0.6, 1.0)) :] = False
        mask[line * height + height // 3 : line * height + 2 * height // 3] = words
    return mask


def _lines_of_text(rng) -> np.ndarray:
    """A written page."""
    return mix(0.8 * _text_mask(rng, 24))


def _scribbles(rng) -> np.ndarray:
    """Handwriting and boxes on a whiteboard, in colours 1 and 2."""
    ink = np.zeros((SIZE, SIZE, 2), np.float32)
    for i in range(16):
        start = rng.random(2) * SIZE * 0.7 + SIZE * 0.1
        t = np.arange(60)
        step = np.stack(
            [t * rng.uniform(0.6, 1.3), 4 * np.sin(t * 0.9 + i) * rng.random(60)], axis=1
        )
        points = (start + step).astype(np.int32)
        layer = np.ascontiguousarray(ink[..., i % 2])
        cv2.polylines(layer, [points.reshape(-1, 1, 2)], False, 1.0, 1, cv2.LINE_AA)
        if i % 4 == 0:
            low = start.astype(int)
            cv2.rectangle(layer, tuple(low.tolist()), tuple((low + 40).tolist()), 1.0, 1)
        ink[..., i % 2] = layer
    return mix(ink[..., 0], ink[..., 1])


def _spines(rng) -> np.ndarray:
    """A row of books seen from their backs: titles in bands of another colour."""
    tone, accent = np.zeros((2, SIZE, SIZE), np.float32)
    x = 0
    while x < SIZE:
        width = int(rng.integers(10, 30))
        book = np.s_[:, x : x + width - 1]
        tone[book], accent[book] = rng.random(), rng.choice([0.0, 0.0, rng.random()])
        for _ in range(2):
            y = int(rng.integers(0, SIZE - 30))
            tone[y : y + int(rng.integers(5, 24)), x + 2 : x + width - 3] = rng.random()
        tone[:, x + width - 1 : x + width] = 1.0
        x += width
    return mix(tone, accent)


def _view(rng, trees: bool) -> np.ndarray:
    """Outdoors: sky (colour 0) over far roofs or trees (colour 1), clouds of colour 2."""
    _, y = _axes()
    clouds = np.clip(fractal(rng, 128) * 2 - 0.9, 0, 1) * (y < 0.7)
    if trees:
        line = 0.62 + 0.16 * (fractal(rng)[SIZE // 2] - 0.5) + _profile(rng, 0.03)
    else:
        line = np.repeat(0.45 + 0.3 * rng.random(16), SIZE // 16)
    below = y > line[None, :]
    ground = 0.65 + 0.35 * fractal(rng, 16)
    tone = np.where(below, ground, 0.25 * (1 - y))
    return mix(tone.astype(np.float32), np.where(below, 0, clouds).astype(np.float32))


def _screen(rng) -> np.ndarray:
    """A dark display with a soft reflection."""
    return mix(np.clip(0.5 * _diagonal() ** 3 + 0.05 * noise(rng, 64, 64), 0, 1))


def _diagonal() -> np.ndarray:
    """Bands of light across the plane, as on glass."""
    x, y = _axes()
    band = np.exp(-(((x + 0.7 * y - 0.7) / 0.25) ** 2)) + 0.6 * np.exp(
        -(((x + 0.7 * y - 1.25) / 0.08) ** 2)
    )
    return np.clip(band, 0, 1).astype(np.float32)


def _panels(fields) -> np.ndarray:
    """Door or cabinet front with inset fields: lit lower edges, dark upper ones."""
    tone = np.zeros((SIZE, SIZE), np.float32)
    accent = np.zeros_like(tone)
    for x0, y0, x1, y1 in fields:
        left, top, right, bottom = (int(value * SIZE) for value in (x0, y0, x1, y1))
        cv2.rectangle(tone, (left, top), (right, bottom), 0.25, -1)
        cv2.rectangle(tone, (left, top), (right, bottom), 0.0, 2)
        cv2.line(accent, (left, top), (right, top), 0.8, 2)
        cv2.line(accent, (left, top), (left, bottom), 0.6, 2)
        cv2.line(tone, (left, bottom), (right, bottom), 0.7, 2)
    return mix(tone, accent)


def _keys(rng) -> np.ndarray:
    """A keyboard from above."""
    y, x = np.mgrid[:SIZE, :SIZE]
    key = (x % 17 > 3) & (y % 50 > 9) & (x > 8) & (x < SIZE - 8)
    return mix(key.astype(np.float32) * rng.uniform(0.8, 1.0))
