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
    """All textures, one below the other, and their mip levels, side by side.

    `rows` and `columns` are where textures and levels start; `index` numbers textures by name.
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
        for level, left in enumerate(starts[:-1]):
            small = cv2.resize(texture, (SIZE >> level,) * 2, interpolation=cv2.INTER_AREA)
            tile = np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)
            tile = cv2.copyMakeBorder(tile, *([_BORDER] * 4), cv2.BORDER_WRAP)
            weights[row * height : row * height + len(tile), left : left + len(tile)] = tile
    # Tile coordinate 0 lies half a texel before the centre of the first texel.
    rows = (np.arange(len(textures)) * height + _BORDER - 0.5).astype(np.float32)
    columns = (starts[:-1] + _BORDER - 0.5).astype(np.float32)
    return Atlas(weights, rows, columns, {name: i for i, name in enumerate(textures)})


def _textures(rng) -> dict[str, np.ndarray]:
    x, y = _axes()
    fine, cloth = _noise(rng, 1, 1), _noise(rng, 2, 2)
    clouds, grain = _fractal(rng, 128), _grain(rng)
    across, slat = np.abs(8 * x % 1 - 0.5), 20 * y % 1
    roofs, sky = _cells(0.5 + 0.3 * rng.random((1, 16))), np.clip(clouds * 2 - 0.9, 0, 1)
    outdoors = np.where(y > roofs, 0.5 + 0.5 * clouds, 0.4 * (1 - y))
    words = (rng.random((48, 64)) < 0.7) & (np.arange(48)[:, None] % 2 == 0)
    return {
        'plain': _mix(0.12 * clouds),
        'paint': _mix(0.2 * clouds + 0.1 * fine),
        'carpet': _mix(0.5 * fine + 0.5 * _fractal(rng)),
        'granite': _mix(cloth, 0.5 * _noise(rng, 4, 4) ** 3),
        'wood': _mix(grain),
        'planks': _tiles(rng, 8, 2, grain, stagger=0.31),
        'tiles': _tiles(rng, 4, 4, clouds),
        'bricks': _tiles(rng, 8, 8, clouds, stagger=1 / 16),
        'motif': _flowers(4, 4, cloth),
        'flowers': _flowers(6, 5, cloth),
        'stripes': _mix(0.8 * (across < 0.25) + 0.2 * cloth, 0.8 * (np.abs(across - 0.3) < 0.02)),
        'weave': _mix(0.35 * ((64 * x // 1 + 64 * y // 1) % 2) + 0.4 * cloth + 0.25 * clouds),
        'plaid': _mix(0.42 * ((4 * x % 1 < 0.4) + 1.0 * (4 * y % 1 < 0.4)) + 0.15 * cloth),
        'folds': _mix(0.5 + 0.33 * np.sin(18 * np.pi * x) + 0.15 * np.sin(24 * np.pi * x + 1)),
        'slats': _mix(0.85 * slat**1.5, 0.7 * (slat > 0.9)),
        'gloss': _mix(0.9 * np.exp(-(((x + 0.7 * y - 0.7) / 0.25) ** 2))),
        'text': _mix(0.8 * _cells(words)),
        'outdoors': _mix(outdoors, sky * (y <= roofs)),
        **{f'blocks{i}': _mix(_blocks(rng), _blocks(rng) > 0.7) for i in range(3)},
        **{f'spines{i}': _spines(rng) for i in range(3)},
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


def _cells(values: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) float32: each value of a small array fills a rectangle."""
    return cv2.resize(values.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


def _blocks(rng) -> np.ndarray:
    """Rectangles of random size, as in an abstract painting."""
    edges = np.linspace(0, SIZE, 5)[1:-1].astype(int) + rng.integers(-24, 25, (2, 3))
    rows, columns = (np.searchsorted(edge, np.arange(SIZE)) for edge in edges)
    return rng.random((4, 4))[rows[:, None], columns]


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


def _tiles(rng, rows: int, columns: int, surface, stagger: float = 0.0) -> np.ndarray:
    """Tiles, bricks or boards with a tone each and joints of colour 2.

    `stagger` moves each row further to the side, as a share of the texture.
    """
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y * rows // SIZE
    x = (x + (row * stagger * SIZE).astype(int)) % SIZE
    tone = 0.5 * rng.random((rows, columns))[row, x * columns // SIZE] + 0.4 * surface[y, x]
    joint = (x % (SIZE // columns) < 2) | (y % (SIZE // rows) < 2 - (rows > columns))
    return _mix(tone, 0.8 * joint)


def _flowers(count: int, petals: int, cloth) -> np.ndarray:
    """Flowers of colour 1 with hearts of colour 2, for wallpaper and carpets."""
    x, y = (axis * count for axis in _axes())
    dx, dy = (x + 0.5 * (np.floor(y) % 2)) % 1 - 0.5, y % 1 - 0.5
    radius = np.hypot(dx, dy)
    edge = 0.26 + 0.1 * np.cos(petals * np.arctan2(dy, dx))
    flower, heart = (np.clip((size - radius) * 20 + 0.5, 0, 1) for size in (edge, 0.09))
    return _mix(0.75 * flower + 0.2 * cloth, heart)


def _spines(rng) -> np.ndarray:
    """A row of book spines with bands of another tone, and gaps of colour 1."""
    tone = _cells(rng.random((1, 14)))
    bands = _cells(rng.random((16, 14)))
    tone = np.where(bands > 0.8, bands * 3 % 1, tone)
    gap = _axes()[0] * 14 % 1 < 0.08
    return _mix(np.where(gap, 1, tone), np.where(gap, 0, _cells(rng.random((1, 14)) > 0.6) * 0.8))
