# SPDX-License-Identifier: Apache-2.0
"""How far the metrics would move with other frames of the same kind: bootstrap intervals.

Percentile bootstrap (Efron and Tibshirani, 1993, chapter 13): frames are drawn with replacement,
as many as there are, and each figure is taken over the pixels of those drawn. Neighbouring frames
of a sequence are alike: for one the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgnet_core.evaluation.class_counts import SCORES, class_iou, number

RESAMPLES, SEED = 1000, 0
LEVEL = 0.95

BATCH = 100
"""Resamples that are in memory at a time."""


def bootstrap_intervals(class_counts: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """[low, high] of the scores of design section 7, for JSON; None of fewer than 2 frames.

    Args:
        class_counts: (frames, 3, C) of frames with labels, see `class_counts.py`.
    """
    protocol = {'level': LEVEL, 'resamples': RESAMPLES, 'seed': SEED}
    if len(class_counts) < 2:
        return {**dict.fromkeys(SCORES), 'per_class_iou': None, **protocol}
    drawn = resample(class_counts, RESAMPLES, SEED)
    per_class = zip(class_names, _limits(class_iou(drawn)).T, strict=True)
    return {
        **{key: _limits(score(drawn)).tolist() for key, score in SCORES.items()},
        'per_class_iou': {
            name: None if number(low) is None else [low, high] for name, (low, high) in per_class
        },
        **protocol,
    }


def resample(class_counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, ...) float64: sums over as many frames as there are, drawn with replacement.

    Args:
        class_counts: (frames, ...), of one frame or more.
    """
    rng = np.random.default_rng(seed)
    flat = class_counts.reshape(len(class_counts), -1).astype(np.float64)
    drawn = np.empty((resamples, flat.shape[1]))
    for start in range(0, resamples, BATCH):
        part = drawn[start : start + BATCH]
        # How often each frame was drawn; of many frames `rng.multinomial` takes ten times as long.
        draws = rng.integers(0, len(flat), (len(part), len(flat)))
        times = [np.bincount(drawn_frames, minlength=len(flat)) for drawn_frames in draws]
        np.matmul(times, flat, out=part)
    return drawn.reshape(resamples, *class_counts.shape[1:])


def _limits(values: np.ndarray) -> np.ndarray:
    """(2, ...) of (RESAMPLES, ...): of the draws that have the class, NaN where none has."""
    tail = (1 - LEVEL) / 2
    limits = np.full((2, *values.shape[1:]), np.nan)
    defined = ~np.isnan(values).all(axis=0)
    limits[:, defined] = np.nanquantile(values[:, defined], [tail, 1 - tail], axis=0)
    return limits
