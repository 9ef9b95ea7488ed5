# SPDX-License-Identifier: Apache-2.0
"""Procedural textures, made once per process and kept in one mip-mapped image.

A texture is (SIZE, SIZE, 3) float32 weights of the three colours of a material.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

SIZE = 256
LEVELS = 6
_BORDER = 2


@dataclass(frozen=True)
class Atlas:
    """All textures and their mip levels.

    Attributes:
        weights: (rows, columns, 3) uint8.
        rows: first row of a texture by its index.
        columns: (LEVELS,) first column of a level.
        index: index of a texture by its name.
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    index: dict[str, int]

    def sample(self, texture, u, v, texels_per_pixel) -> np.ndarray:
        """(H, W, 3) uint8 weights of `texture` (H, W) int at tile coordinates u, v (H, W)."""
        level = np.log2(np.maximum(texels_per_pixel, 1.0)) + 0.3
        level = np.minimum(level, LEVELS - 1).astype(np.int32)
        size = np.take(SIZE / 2.0 ** np.arange(LEVELS, dtype=np.float32), level)
        x = (u - np.floor(u)) * size + np.take(self.columns, level)
        y = (v - np.floor(v)) * size + np.take(self.rows, texture)
        return cv2.remap(self.weights, x, y, cv2.INTER_LINEAR)


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The atlas of every texture, the same in every process."""
    textures = _textures(np.random.default_rng(20180331))
    height = SIZE + 2 * _BORDER
    starts = np.cumsum([0, *((SIZE >> level) + 2 * _BORDER for level in range(LEVELS))])
    weights = np.zeros((len(textures) * height, starts[-1], 3), np.uint8)
    for row, texture in enumerate(textures.values()):
        for level in range(LEVELS):
            small = cv2.resize(texture, (SIZE >> level,) * 2, interpolation=cv2.INTER_AREA)
            tile = np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)
            tile = cv2.copyMakeBorder(tile, *([_BORDER] * 4), cv2.BORDER_WRAP)
            left = starts[level]
            weights[row * height : row * height + len(tile), left : left + len(tile)] = tile
    # Tile coordinate 0 lies half a texel before the centre of the first texel.
    rows = (np.arange(len(textures)) * height + _BORDER - 0.5).astype(np.float32)
    columns = (starts[:-1] + _BORDER - 0.5).astype(np.float32)
    return Atlas(weights, rows, columns, {name: i for i, name in enumerate(textures)})


def _textures(rng) -> dict[str, np.ndarray]:
    x, y = _axes()
    slat = 20 * y % 1.0
    return {
        'plain': _mix(0.12 * _fractal(rng)),
        'paint': _mix(0.2 * _fractal(rng, 128) + 0.1 * _noise(rng, 1, 1)),
        'wood': _mix(_grain(rng)),
        'knots': _mix(_grain(rng) ** 2),
        'planks': _planks(rng, 8),
        'planks_narrow': _planks(rng, 16),
        'tiles': _tiles(rng, 4),
        'checker': _tiles(rng, 4, checker=True),
        'bricks': _tiles(rng, 8, offset=True),
        'carpet': _mix(0.5 * _noise(rng, 1, 1) + 0.5 * _fractal(rng)),
        'granite': _mix(_noise(rng, 2, 2), 0.5 * _noise(rng, 4, 4) ** 3),
        'motif': _motifs(rng, 4, 4),
        'flowers': _motifs(rng, 6, 5),
        'damask': _motifs(rng, 8, 8),
        'stripes': _stripes(rng, 8, 0.5),
        'stripes_fine': _stripes(rng, 16, 0.35),
        'weave': _weave(rng, 4),
        'weave_fine': _weave(rng, 2),
        'plaid': _plaid(rng),
        'folds': _mix(0.5 + 0.33 * np.sin(18 * np.pi * x) + 0.15 * np.sin(24 * np.pi * x + 1)),
        'slats': _mix(0.85 * slat**1.5, 0.7 * (slat > 0.9)),
        'gloss': _mix(0.9 * np.exp(-(((x + 0.7 * y - 0.7) / 0.25) ** 2))),
        'view': _view(rng),
        'landscape': _landscape(rng),
        **{f'abstract{i}': _abstract(rng) for i in range(3)},
        **{f'spines{i}': _spines(rng) for i in range(3)},
        'panels': _panels([0.14], 0.72, [(0.06, 0.5), (0.56, 0.94)]),
        'panels_six': _panels([0.13, 0.55], 0.32, [(0.05, 0.2), (0.26, 0.56), (0.62, 0.94)]),
        'text': _text(rng, 24),
    }


def _mix(first, second=0.0) -> np.ndarray:
    """Weights: `first` (H, W) moves from colour 0 to 1, then `second` towards colour 2."""
    first, second, _ = np.broadcast_arrays(first, second, np.empty((SIZE, SIZE)))
    rest = 1 - second
    return np.clip(np.stack([(1 - first) * rest, first * rest, second], 2), 0, 1).astype('f4')


def _axes() -> tuple[np.ndarray, np.ndarray]:
    """x to the right and y downwards, both in [0, 1), float32."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    return x, y


def _noise(rng, cell_x: int, cell_y: int) -> np.ndarray:
    """(SIZE, SIZE) smooth periodic noise in [0, 1] with the given cell size in texels."""
    grid = rng.random((SIZE // cell_y, SIZE // cell_x), dtype=np.float32)
    grid = cv2.copyMakeBorder(grid, 2, 2, 2, 2, cv2.BORDER_WRAP)
    big = cv2.resize(grid, None, fx=cell_x, fy=cell_y, interpolation=cv2.INTER_CUBIC)
    return np.clip(big[2 * cell_y : 2 * cell_y + SIZE, 2 * cell_x : 2 * cell_x + SIZE], 0, 1)


def _fractal(rng, coarsest: int = 64) -> np.ndarray:
    """(SIZE, SIZE) periodic noise of all scales, spread over [0, 1]."""
    cells = [coarsest >> i for i in range(coarsest.bit_length() - 1)]
    total = sum(0.6**i * _noise(rng, cell, cell) for i, cell in enumerate(cells))
    return (total - total.min()) / (total.max() - total.min())


def _grain(rng) -> np.ndarray:
    """(SIZE, SIZE) wood grain along x in [0, 1]."""
    bend = _noise(rng, 128, 64) * 9 + _noise(rng, 64, 16) * 2.5
    rings = 0.5 + 0.5 * np.sin(_axes()[1] * 6 * np.pi + bend * 2.2)
    fibres = _noise(rng, 64, 2) * 0.6 + _noise(rng, 32, 1) * 0.4
    return np.clip(0.35 * rings + 0.65 * fibres, 0, 1)


def _planks(rng, rows: int) -> np.ndarray:
    """Floor boards along x, each with its own tone and grain, joints in colour 2."""
    tone, joints = np.zeros((2, SIZE, SIZE), np.float32)
    grain, height = _grain(rng), SIZE // rows
    for row in range(rows):
        band = np.s_[row * height : (row + 1) * height]
        cuts = np.sort(rng.integers(0, SIZE, 2))
        tone[band] = rng.random() * 0.55
        tone[band, cuts[0] : cuts[1]] = rng.random() * 0.55
        tone[band] += 0.45 * np.roll(grain[band], int(rng.integers(SIZE)), axis=1)
        joints[row * height] = 0.8
        joints[band, cuts] = 0.8
    return _mix(tone, joints)


def _tiles(rng, count: int, checker: bool = False, offset: bool = False) -> np.ndarray:
    """Square or brick-bond tiles: tone in colours 0 and 1, joints in colour 2."""
    size = SIZE // count
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y // size
    x = (x + offset * (row % 2) * (size // 2)) % SIZE
    tone = 0.35 * rng.random((count, count))[row, x // size] + 0.35 * _fractal(rng)
    if checker:
        tone = np.where((row + x // size) % 2 == 0, 0.2 * tone, 1 - 0.2 * tone)
    return _mix(tone, 0.85 * (np.minimum(x % size, y % size) < 2))


def _stripes(rng, count: int, width: float) -> np.ndarray:
    """Upright stripes of colour 1 on 0 with a thin line of colour 2."""
    across = np.abs(_axes()[0] * count % 1.0 - 0.5) * 2
    inside = np.clip((width - across) / 0.04 + 0.5, 0, 1)
    line = np.abs(across - width - 0.12) < 0.04
    return _mix(np.clip(inside * 0.8 + 0.2 * _noise(rng, 2, 2), 0, 1), 0.8 * line)


def _motifs(rng, count: int, petals: int) -> np.ndarray:
    """Wallpaper or carpet flowers of colour 1 with hearts of colour 2."""
    x, y = (axis * count for axis in _axes())
    dx, dy = (x + 0.5 * (np.floor(y) % 2)) % 1 - 0.5, y % 1 - 0.5
    radius = np.hypot(dx, dy)
    edge = 0.26 + 0.1 * np.cos(petals * np.arctan2(dy, dx))
    flower = np.clip((edge - radius) * 20 + 0.5, 0, 1)
    heart = np.clip((0.09 - radius) * 25 + 0.5, 0, 1)
    return _mix(0.75 * flower + 0.2 * _noise(rng, 2, 2), heart)


def _weave(rng, cell: int) -> np.ndarray:
    """Cloth: two threads over and under each other."""
    y, x = np.mgrid[:SIZE, :SIZE] // cell
    return _mix(0.35 * ((x + y) % 2) + 0.4 * _noise(rng, 2, 2) + 0.25 * _fractal(rng))


def _plaid(rng) -> np.ndarray:
    """Crossing bands of colours 1 and 2 on 0."""
    phase = np.arange(SIZE) / SIZE * 4 % 1
    band, line = (phase < 0.4) * 0.85, (np.abs(phase - 0.7) < 0.05) * 0.6
    tone = (band[:, None] + band) / 2 + 0.15 * _noise(rng, 2, 2)
    return _mix(tone, np.maximum(line[:, None], line))


def _landscape(rng) -> np.ndarray:
    """Sky (colour 0), ranges of hills (towards colour 1), a sun (colour 2)."""
    x, y = _axes()
    tone = 0.25 * (1 - y) + 0.1 * _fractal(rng)
    sun = np.clip((0.09 - np.hypot(x - 0.65, y - 0.25)) * 40 + 0.5, 0, 1)
    for i in range(4):
        below = y - (0.42 + 0.13 * i) - 0.04 * np.sin(2 * np.pi * (x + rng.random()) * (i + 1))
        tone = np.where(below > 0, 0.4 + 0.17 * i + 0.1 * below, tone)
        sun = np.where(below > 0, 0, sun)
    return _mix(tone, sun)


def _abstract(rng) -> np.ndarray:
    """Discs and rectangles of the three colours."""
    x, y = _axes()
    tone, accent = np.zeros((2, SIZE, SIZE), np.float32)
    for i in range(8):
        (cx, cy), radius = rng.random(2), rng.uniform(0.1, 0.3)
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        inside = np.hypot(dx, dy) < radius if i % 2 else np.maximum(dx, 1.5 * dy) < radius
        tone = np.where(inside, rng.random(), tone)
        accent = np.where(inside, i % 3 == 0, accent)
    return _mix(tone, accent)


def _spines(rng) -> np.ndarray:
    """A row of book spines, with titles in bands of another colour."""
    tone, accent = np.zeros((2, SIZE, SIZE), np.float32)
    x = 0
    while x < SIZE:
        width = int(rng.integers(10, 30))
        tone[:, x : x + width] = rng.random()
        accent[:, x : x + width] = rng.choice([0.0, 0.0, rng.random()])
        for y in rng.integers(0, SIZE - 30, 2):
            tone[y : y + int(rng.integers(5, 24)), x + 2 : x + width - 3] = rng.random()
        tone[:, x + width - 1 : x + width] = 1.0
        x += width
    return _mix(tone, accent)


def _view(rng) -> np.ndarray:
    """Outdoors: sky (colour 0) over roofs and trees (colour 1), clouds of colour 2."""
    _, y = _axes()
    roofs = np.repeat(0.5 + 0.3 * rng.random(16), SIZE // 16)
    below = y > np.minimum(roofs, 0.62 + 0.2 * (_fractal(rng)[SIZE // 2] - 0.5))
    clouds = np.where(below, 0, np.clip(_fractal(rng, 128) * 2 - 0.9, 0, 1))
    return _mix(np.where(below, 0.65 + 0.35 * _fractal(rng, 16), 0.25 * (1 - y)), clouds)


def _text(rng, lines: int) -> np.ndarray:
    """Words in lines that end ragged."""
    tone, height = np.zeros((SIZE, SIZE), np.float32), SIZE // lines
    for top in range(height // 3, SIZE - height, height):
        words = np.repeat(rng.random(SIZE // 4) < 0.75, 4)
        words[int(SIZE * rng.uniform(0.6, 1.0)) :] = False
        tone[top : top + height // 3] = 0.8 * words
    return _mix(tone)


def _panels(lefts, width: float, rows) -> np.ndarray:
    """A door with inset panels: lit lower edges, dark upper and left ones."""
    tone, dark = np.zeros((2, SIZE, SIZE), np.float32)
    for left in lefts:
        for y0, y1 in rows:
            x0, y0, x1, y1 = (int(value * SIZE) for value in (left, y0, left + width, y1))
            tone[y0:y1, x0:x1] = 0.25
            tone[y1 - 2 : y1, x0:x1] = 0.7
            dark[y0 : y0 + 3, x0:x1] = 0.8
            dark[y0:y1, x0 : x0 + 3] = 0.6
    return _mix(tone, dark)
