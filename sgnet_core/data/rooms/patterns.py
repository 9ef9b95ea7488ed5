# SPDX-License-Identifier: Apache-2.0
"""The surfaces of generated rooms: boards, tiles, cloth, wallpaper.

A pattern is (SIZE, SIZE, 3) float32 weights of three colours, repeating in both directions. Rooms
choose the colours, so a few dozen patterns give endless surfaces at no cost per room.
"""

from __future__ import annotations

import cv2
import numpy as np

SIZE = 256


def noise(rng, cell_x: int, cell_y: int) -> np.ndarray:
    """(SIZE, SIZE) smooth periodic noise in [0, 1] with the given cell size in texels."""
    grid = rng.random((SIZE // cell_y, SIZE // cell_x), dtype=np.float32)
    grid = cv2.copyMakeBorder(grid, 2, 2, 2, 2, cv2.BORDER_WRAP)
    big = cv2.resize(grid, None, fx=cell_x, fy=cell_y, interpolation=cv2.INTER_CUBIC)
    return np.clip(big[2 * cell_y : 2 * cell_y + SIZE, 2 * cell_x : 2 * cell_x + SIZE], 0, 1)


def fractal(rng, coarsest: int = 64) -> np.ndarray:
    """(SIZE, SIZE) periodic noise of all scales, spread over [0, 1]."""
    total, weight = np.zeros((SIZE, SIZE), np.float32), 1.0
    cell = coarsest
    while cell >= 2:
        total += weight * noise(rng, cell, cell)
        weight, cell = weight * 0.6, cell // 2
    return (total - total.min()) / (total.max() - total.min())


def mix(first, second=None) -> np.ndarray:
    """Weights: `first` (H, W) moves from colour 0 to 1, then `second` towards colour 2."""
    second = np.zeros_like(first) if second is None else second
    rest = 1 - second
    return np.stack([(1 - first) * rest, first * rest, second], axis=2).astype(np.float32)


def grain(rng) -> np.ndarray:
    """(SIZE, SIZE) wood grain along x in [0, 1]."""
    bend = noise(rng, 128, 64) * 9 + noise(rng, 64, 16) * 2.5
    y = np.arange(SIZE, dtype=np.float32)[:, None] / SIZE * 2 * np.pi
    rings = 0.5 + 0.5 * np.sin(y * 3 + bend * 2.2)
    fibres = noise(rng, 64, 2) * 0.6 + noise(rng, 32, 1) * 0.4
    return np.clip(0.35 * rings + 0.65 * fibres, 0, 1)


def planks(rng, rows: int, joint_texels: int = 1) -> np.ndarray:
    """Floor boards along x, each with its own tone and grain, joints in colour 2."""
    tone, joints = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
    fibres, height = grain(rng), SIZE // rows
    for row in range(rows):
        band = np.s_[row * height : (row + 1) * height]
        cuts = np.sort(rng.integers(0, SIZE, 2))
        level = rng.random(2) * 0.55
        tone[band] = level[0]
        tone[band, cuts[0] : cuts[1]] = level[1]
        tone[band] += 0.45 * np.roll(fibres[band], int(rng.integers(SIZE)), axis=1)
        joints[row * height : row * height + joint_texels] = 0.8
        for cut in cuts:
            joints[band, cut : cut + 1] = 0.8
    return mix(tone, joints)


def herringbone(rng) -> np.ndarray:
    """Parquet laid in L-shaped pairs, joints in colour 2."""
    unit, length = SIZE // 16, 4
    y, x = np.mgrid[:SIZE, :SIZE]
    i, j = x // unit, y // unit
    phase = (i - j) % (2 * length)
    lying = phase < length
    # The first cell of a board names it; its joint lies along its four edges.
    start_x = np.where(lying, i - phase, i)
    start_y = np.where(lying, j, j - (2 * length - 1 - phase))
    tone = rng.random((32, 32))[start_y % 16, start_x % 16] * 0.6
    fibres = grain(rng)
    tone = tone + 0.4 * np.where(lying, fibres, fibres.T)
    edge_y = np.where(lying, y % unit, (y - start_y * unit) % (length * unit)) == 0
    edge_x = np.where(lying, (x - start_x * unit) % (length * unit), x % unit) == 0
    return mix(np.clip(tone, 0, 1).astype(np.float32), 0.7 * (edge_x | edge_y))


def tiles(rng, count: int, checker: bool, offset: bool = False) -> np.ndarray:
    """Square or brick-bond tiles: tone in colours 0 and 1, joints in colour 2."""
    size = SIZE // count
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y // size
    x = (x + np.where(offset & (row % 2 == 1), size // 2, 0)) % SIZE if offset else x
    column = x // size
    tone = rng.random((count, count)).astype(np.float32)[row, column] * 0.35
    tone += 0.35 * fractal(rng)
    if checker:
        tone = np.where((row + column) % 2 == 0, 0.2 * tone, 1 - 0.2 * tone)
    joint = np.minimum(x % size, y % size) < 2
    return mix(np.clip(tone, 0, 1), 0.85 * joint.astype(np.float32))


def stripes(rng, count: int, width: float, soft: float = 0.0) -> np.ndarray:
    """Upright stripes of colour 1 on 0 with a thin line of colour 2."""
    x = np.arange(SIZE) / SIZE * count % 1.0
    inside = np.clip((width - np.abs(x - 0.5) * 2) / max(soft, 0.04) + 0.5, 0, 1)
    line = (np.abs(np.abs(x - 0.5) * 2 - width - 0.12) < 0.04) * 0.8
    both = np.broadcast_to(np.stack([inside, line])[:, None], (2, SIZE, SIZE))
    return mix(np.clip(both[0] * 0.8 + 0.2 * noise(rng, 2, 2), 0, 1), both[1])


def motifs(rng, count: int, petals: int) -> np.ndarray:
    """Wallpaper or carpet motifs: flowers of colour 1 with hearts of colour 2."""
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE / count)
    x = x + 0.5 * (np.floor(y) % 2)
    dx, dy = x % 1 - 0.5, y % 1 - 0.5
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    flower = np.clip((0.26 + 0.1 * np.cos(petals * angle) - radius) * 20 + 0.5, 0, 1)
    heart = np.clip((0.09 - radius) * 25 + 0.5, 0, 1)
    return mix(np.clip(0.75 * flower + 0.2 * noise(rng, 2, 2), 0, 1), heart)


def weave(rng, cell: int) -> np.ndarray:
    """Cloth: two threads over and under each other."""
    y, x = np.mgrid[:SIZE, :SIZE] // cell
    over = ((x + y) % 2).astype(np.float32)
    return mix(np.clip(0.35 * over + 0.4 * noise(rng, 2, 2) + 0.25 * fractal(rng), 0, 1))


def plaid(rng) -> np.ndarray:
    """Crossing bands of colours 1 and 2 on 0."""
    x = np.arange(SIZE) / SIZE
    band = ((x * 4 % 1) < 0.4).astype(np.float32)
    line = (np.abs(x * 4 % 1 - 0.7) < 0.05).astype(np.float32)
    tone = (band[:, None] + band[None, :]) / 2 * 0.85 + 0.15 * noise(rng, 2, 2)
    return mix(np.clip(tone, 0, 1), np.maximum(line[:, None], line[None, :]) * 0.6)


def folds(rng, count: int) -> np.ndarray:
    """Curtain folds: light and dark along x, a thin weave."""
    x = np.arange(SIZE, dtype=np.float32) / SIZE * 2 * np.pi
    wobble = rng.random(3) * 2 * np.pi
    wave = np.sin(count * x + wobble[0]) + 0.5 * np.sin((count + 3) * x + wobble[1])
    tone = np.clip(0.5 + 0.33 * wave[None, :] + 0.1 * (noise(rng, 1, 4) - 0.5), 0, 1)
    return mix(np.broadcast_to(tone, (SIZE, SIZE)))


def slats(count: int) -> np.ndarray:
    """Blinds: horizontal slats, lit above and dark below."""
    y = np.arange(SIZE, dtype=np.float32)[:, None] / SIZE * count % 1.0
    return mix(
        np.broadcast_to(0.85 * y**1.5, (SIZE, SIZE)), np.broadcast_to(y > 0.9, (SIZE, SIZE)) * 0.7
    )
