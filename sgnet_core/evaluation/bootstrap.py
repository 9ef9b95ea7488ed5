# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals of the scores.

Percentile bootstrap (Efron and Tibshirani, 1993, chapter 13): frames are drawn with replacement,
and each score is computed over the pixels of the drawn frames. The method assumes independent
frames: for consecutive frames of a sequence the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgnet_core.evaluation.class_counts import SCORES, class_iou, number

RESAMPLES, SEED = 1000, 0
LEVEL = 0.95
BATCH = 100
"""Resamples in memory at a time."""


def bootstrap_intervals(class_counts: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """[low, high] of each score of (frames, 3, C), for JSON; None for fewer than two frames."""
    protocol = {'level': LEVEL, 'resamples': RESAMPLES, 'seed': SEED}
    if len(class_counts) < 2:
        return {**dict.fromkeys(SCORES), 'per_class_iou': None, **protocol}
    sums = resample(class_counts, RESAMPLES, SEED)
    per_class = zip(class_names, _limits(class_iou(sums)).T, strict=True)
    return {
        **{key: _limits(score(sums)).tolist() for key, score in SCORES.items()},
        'per_class_iou': {
            name: None if number(low) is None else [low, high] for name, (low, high) in per_class
        },
        **protocol,
    }


def resample(class_counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, ...) float64: sums over as many frames as given, drawn with replacement."""
    rng = np.random.default_rng(seed)
    flat = class_counts.reshape(len(class_counts), -1).astype(np.float64)
    sums = np.empty((resamples, flat.shape[1]))
    for start in range(0, resamples, BATCH):
        batch = sums[start : start + BATCH]
        # `rng.multinomial` takes ten times as long for many frames.
        draws = rng.integers(0, len(flat), (len(batch), len(flat)))
        weights = [np.bincount(frames, minlength=len(flat)) for frames in draws]
        np.matmul(weights, flat, out=batch)
    return sums.reshape(resamples, *class_counts.shape[1:])


def _limits(values: np.ndarray) -> np.ndarray:
    """(2, ...) quantiles over the resamples in which the value is defined; NaN if in none."""
    tail = (1 - LEVEL) / 2
    limits = np.full((2, *values.shape[1:]), np.nan)
    defined = ~np.isnan(values).all(axis=0)
    limits[:, defined] = np.nanquantile(values[:, defined], [tail, 1 - tail], axis=0)
    return limits
