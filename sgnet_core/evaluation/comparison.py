# SPDX-License-Identifier: Apache-2.0
"""Statistical comparison of two runs over the same frames.

p is from the paired randomization test (Noreen 1989; Yeh 2000): the two results of each frame are
exchanged at random, and p is the share of exchanges that differ as much as the runs do. Intervals
are from the paired bootstrap: frames are drawn with replacement, the same ones for both runs. Both
methods assume independent frames; p of consecutive frames of a video is too small. p of classes is
adjusted for their number by Holm's method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.bootstrap import BATCH, resample
from sgnet_core.evaluation.class_counts import SCORES, class_iou, number

LEVEL = 0.05
"""Level of significance; intervals cover the rest."""
RESAMPLES = 5000
TEST = 'paired randomization of frames'


def compare(
    a: Mapping[str, Any], b: Mapping[str, Any], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Compare two runs over their common frames; the result is ready for JSON.

    Args:
        a, b: from `Evaluation.to_json`; differences are b - a.

    Returns:
        `frames`, `test`, `scores` (name -> a, b, difference, interval, p), `per_class` (the same
        for IoU, with adjusted p and the number of `frames` with the class), `better` and `worse`
        (classes with p below `LEVEL`, the largest difference first), `frame_scores` (id, a, b:
        mIoU).

    Raises:
        InputError: classes or frames differ, or resamples are too few for any class to become
            significant.
    """
    names = list(a['per_class'])
    if names != list(b['per_class']):
        raise InputError(
            f'the runs have different classes: {_some(names)} and {_some(list(b["per_class"]))}; '
            'evaluate both with the same --remap, or checkpoints of the same classes'
        )
    frames_a, frames_b = ({f['id']: f for f in run['frame_scores']} for run in (a, b))
    common = [sample_id for sample_id in frames_a if sample_id in frames_b]
    if not common:
        raise InputError(
            f'the runs have no frame in common: {_some(list(frames_a))} and '
            f'{_some(list(frames_b))}; evaluate both on the same data'
        )
    counts = np.stack(
        [_frame_counts([f[i] for i in common], len(names)) for f in (frames_a, frames_b)], axis=1
    )
    other = np.flatnonzero((counts[:, 0, 1] != counts[:, 1, 1]).any(1))
    if other.size:
        raise InputError(
            f'the runs used different data: the labelled pixels differ in {other.size} of '
            f'{len(common)} frames with the same id, first {common[other[0]]!r}; evaluate both on '
            'the same data'
        )
    # A class is tested if it occurs. Its p, times their number, must be able to fall below LEVEL.
    tested = np.count_nonzero(~np.isnan(class_iou(counts.sum(0))).any(0))
    needed = int(tested / LEVEL)
    if resamples < needed:
        raise InputError(
            f'{resamples} resamples are too few for {tested} classes: no p can fall below '
            f'{LEVEL:g} after Holm; give {needed} or more'
        )
    runs = counts.sum(0), resample(counts, resamples, seed), _swap(counts, resamples, seed)
    ious, frames_with_class = [class_iou(run) for run in runs], (counts[:, 0, 1] > 0).sum(0)
    per_class = {
        name: {**_difference(*(iou[..., c] for iou in ious)), 'frames': int(frames_with_class[c])}
        for c, name in enumerate(names)
    }
    entries = [entry for entry in per_class.values() if entry['p'] is not None]
    for entry, p in zip(entries, holm([entry['p'] for entry in entries]), strict=True):
        entry['p'] = p
    significant = {
        name: entry['difference']
        for name, entry in per_class.items()
        if entry['p'] is not None and entry['p'] < LEVEL
    }
    ranked = sorted(significant, key=significant.get)
    return {
        'frames': len(common),
        'test': {'name': TEST, 'resamples': resamples, 'seed': seed, 'level': LEVEL},
        'scores': {key: _difference(*map(score, runs)) for key, score in SCORES.items()},
        'per_class': per_class,
        'better': [n for n in reversed(ranked) if significant[n] > 0],
        'worse': [n for n in ranked if significant[n] < 0],
        'frame_scores': [
            {'id': i, 'a': frames_a[i]['miou'], 'b': frames_b[i]['miou']} for i in common
        ],
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """p adjusted for the number of tests (Holm 1979)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return adjusted.tolist()


def _difference(runs: np.ndarray, drawn: np.ndarray, swapped: np.ndarray) -> dict[str, Any]:
    """A metric (2,) of both runs with interval and p, from (resamples, 2) of the resamples."""
    a, b = runs
    values = {'a': number(a), 'b': number(b), 'difference': number(b - a)}
    if np.isnan(b - a):
        return {**values, 'interval': None, 'p': None}
    scatter = drawn[:, 1] - drawn[:, 0]
    interval = np.nanquantile(scatter, (LEVEL / 2, 1 - LEVEL / 2)).tolist()
    # Sums in another order differ in the last digits. Undefined resamples are no evidence.
    as_much = ~(np.abs(swapped[:, 1] - swapped[:, 0]) < abs(b - a) - 1e-12)
    # The observed runs count as one resample.
    return {**values, 'interval': interval, 'p': float((as_much.sum() + 1) / (len(swapped) + 1))}


def _swap(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, 2, 3, C): sums after the results of random frames were exchanged."""
    total, change = counts.sum(0), (counts[:, 1] - counts[:, 0]).reshape(len(counts), -1)
    rng = np.random.default_rng(seed)
    swapped = np.empty((resamples, *total.shape))
    for row in range(0, resamples, BATCH):
        batch = swapped[row : row + BATCH]
        moved = rng.integers(0, 2, (len(batch), len(change))) @ change
        moved = moved.reshape(len(batch), *total.shape[1:])
        batch[:, 0], batch[:, 1] = total[0] + moved, total[1] - moved
    return swapped


def _frame_counts(frames: Sequence[Mapping[str, Any]], classes: int) -> np.ndarray:
    """(N, 3, C) float64, the class counts of `frame_scores`."""
    counts = np.zeros((len(frames), 3, classes))
    for frame_counts, frame in zip(counts, frames, strict=True):
        for index, *values in frame['classes']:
            frame_counts[:, index] = values
    return counts


def _some(names: Sequence[str]) -> str:
    return ', '.join(map(repr, names[:3])) + (', ...' if len(names) > 3 else '')
