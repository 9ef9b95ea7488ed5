# SPDX-License-Identifier: Apache-2.0
"""All patterns of generated rooms in one mip-mapped image, made once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sgnet_core.data.rooms import art
from sgnet_core.data.rooms import patterns as surfaces
from sgnet_core.data.rooms.patterns import SIZE

LEVELS = 6
_BORDER = 2


@dataclass(frozen=True)
class Atlas:
    """All patterns and their mip levels.

    Attributes:
        weights: (rows, columns, 3) uint8.
        rows: first row of a pattern by its index.
        columns: (LEVELS,) first column of a level.
        index: index of a pattern by its name.
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    index: dict[str, int]

    def sample(self, pattern, u, v, texels_per_pixel) -> np.ndarray:
        """(H, W, 3) uint8 weights of `pattern` (H, W) int at tile coordinates u, v (H, W)."""
        level = np.log2(np.maximum(texels_per_pixel, 1.0)) + 0.3
        level = np.minimum(level, LEVELS - 1).astype(np.int32)
        size = np.take(SIZE / 2.0 ** np.arange(LEVELS, dtype=np.float32), level)
        x = (u - np.floor(u)) * size
        x += np.take(self.columns, level)
        y = (v - np.floor(v)) * size
        y += np.take(self.rows, pattern)
        return cv2.remap(
            self.weights,
            x.astype(np.float32, copy=False),
            y.astype(np.float32, copy=False),
            cv2.INTER_LINEAR,
        )


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The atlas of every pattern, the same in every process."""
    patterns = _all_patterns(np.random.default_rng(20180331))
    height = SIZE + 2 * _BORDER
    sizes = [SIZE >> level for level in range(LEVELS)]
    starts = np.cumsum([0, *(size + 2 * _BORDER for size in sizes)])
    weights = np.zeros((len(patterns) * height, starts[-1], 3), np.uint8)
    for row, pattern in enumerate(patterns.values()):
        for level, size in enumerate(sizes):
            small = cv2.resize(pattern, (size, size), interpolation=cv2.INTER_AREA)
            tile = np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)
            tile = cv2.copyMakeBorder(tile, *([_BORDER] * 4), cv2.BORDER_WRAP)
            top = row * height
            weights[top : top + len(tile), starts[level] : starts[level] + len(tile)] = tile
    # A sample at tile coordinate 0 lies half a texel before the centre of the first texel.
    return Atlas(
        weights=weights,
        rows=(np.arange(len(patterns)) * height + _BORDER - 0.5).astype(np.float32),
        columns=(starts[:-1] + _BORDER - 0.5).astype(np.float32),
        index={name: i for i, name in enumerate(patterns)},
    )


def _all_patterns(rng) -> dict[str, np.ndarray]:
    """Name -> (SIZE, SIZE, 3) float32 weights."""
    patterns = {
        'plain': surfaces.mix(0.12 * surfaces.fractal(rng)),
        'paint': surfaces.mix(0.2 * surfaces.fractal(rng, 128) + 0.1 * surfaces.noise(rng, 1, 1)),
        'plaster': surfaces.mix(0.3 * surfaces.noise(rng, 2, 2) + 0.3 * surfaces.fractal(rng, 16)),
        'wood': surfaces.mix(surfaces.grain(rng)),
        'wood_dark_knots': surfaces.mix(surfaces.grain(rng) ** 2),
        'planks_wide': surfaces.planks(rng, 8),
        'planks_narrow': surfaces.planks(rng, 16),
        'herringbone': surfaces.herringbone(rng),
        'tiles': surfaces.tiles(rng, 4, checker=False),
        'tiles_small': surfaces.tiles(rng, 8, checker=False),
        'tiles_checker': surfaces.tiles(rng, 4, checker=True),
        'bricks': surfaces.tiles(rng, 8, checker=False, offset=True),
        'carpet': surfaces.mix(0.5 * surfaces.noise(rng, 1, 1) + 0.5 * surfaces.fractal(rng)),
        'carpet_motif': surfaces.motifs(rng, 4, 4),
        'flowers': surfaces.motifs(rng, 6, 5),
        'damask': surfaces.motifs(rng, 8, 8),
        'stripes': surfaces.stripes(rng, 8, 0.5),
        'stripes_fine': surfaces.stripes(rng, 16, 0.35),
        'weave': surfaces.weave(rng, 4),
        'weave_fine': surfaces.weave(rng, 2),
        'plaid': surfaces.plaid(rng),
        'marble': surfaces.mix(np.abs(surfaces.fractal(rng, 128) - 0.5) * 2),
        'granite': surfaces.mix(surfaces.noise(rng, 2, 2), 0.5 * surfaces.noise(rng, 4, 4) ** 3),
        'folds': surfaces.folds(rng, 9),
        'folds_loose': surfaces.folds(rng, 5),
        'slats': surfaces.slats(20),
    }
    return {**patterns, **art.all_pictures(rng)}
