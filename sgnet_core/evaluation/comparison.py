# SPDX-License-Identifier: Apache-2.0
"""Statistical comparison of two runs over the same frames.

p is from the paired randomization test (Noreen 1989; Yeh 2000). If both runs were equally good,
the two results of a frame could be exchanged. The test exchanges them at random, frame by frame,
counts the pixels again, and p is the share of exchanges that differ as much as the runs do. It is
exact for any number of frames, so a class in few frames is never significant. Intervals are from
the paired bootstrap: frames are drawn with replacement, the same ones for both runs.

Both methods assume independent frames. Neighbouring frames of a video are not; their p is too
small. Testing every class is many tests: p of classes is adjusted by Holm's method, which keeps
the probability of any false positive below the level.
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
    class_counts = np.stack(
        [_class_counts([f[i] for i in common], len(names)) for f in (frames_a, frames_b)], axis=1
    )
    other = np.flatnonzero((class_counts[:, 0, 1] != class_counts[:, 1, 1]).any(1))
    if other.size:
        raise InputError(
            f'the runs used different data: the labelled pixels differ in {other.size} of '
            f'{len(common)} frames with the same id, first {common[other[0]]!r}; evaluate both on '
            'the same data'
        )
    _check_resamples(class_counts, resamples)
    scores, per_class = _differences(
        class_counts,
        resample(class_counts, resamples, seed),
        _swapped(class_counts, resamples, seed),
        names,
    )
    significant = {n: d['difference'] for n, d in per_class.items() if _is_significant(d)}
    ranked = sorted(significant, key=significant.get)
    return {
        'frames': len(common),
        'test': {'name': TEST, 'resamples': resamples, 'seed': seed, 'level': LEVEL},
        'scores': scores,
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


def _check_resamples(class_counts: np.ndarray, resamples: int) -> None:
    """Raise InputError if p, times the number of classes, cannot fall below `LEVEL`."""
    tested = np.count_nonzero(~np.isnan(class_iou(class_counts.sum(0))).any(0))
    needed = int(tested / LEVEL)
    if resamples < needed:
        raise InputError(
            f'{resamples} resamples are too few for {tested} classes: no p can fall below '
            f'{LEVEL:g} after Holm; give {needed} or more'
        )


def _differences(
    class_counts: np.ndarray, drawn: np.ndarray, swapped: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Differences of the averages and of the IoU of each class.

    Args:
        class_counts: (N, 2, 3, C), the counts of N frames in both runs.
        drawn, swapped: (resamples, 2, 3, C), the resamples of bootstrap and randomization.
    """
    parts = (class_counts.sum(0), drawn, swapped)
    scores = {key: _difference(*map(score, parts)) for key, score in SCORES.items()}
    ious = [class_iou(part) for part in parts]
    showing = (class_counts[:, 0, 1] > 0).sum(0)
    per_class = {
        name: {**_difference(*(iou[..., c] for iou in ious)), 'frames': int(showing[c])}
        for c, name in enumerate(names)
    }
    tested = [entry for entry in per_class.values() if entry['p'] is not None]
    for entry, p in zip(tested, holm([entry['p'] for entry in tested]), strict=True):
        entry['p'] = p
    return scores, per_class


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


def _swapped(class_counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, 2, 3, C): sums after the results of random frames were exchanged."""
    whole, change = (
        class_counts.sum(0),
        (class_counts[:, 1] - class_counts[:, 0]).reshape(len(class_counts), -1),
    )
    rng = np.random.default_rng(seed)
    swapped = np.empty((resamples, *whole.shape))
    for row in range(0, resamples, BATCH):
        part = swapped[row : row + BATCH]
        moved = rng.integers(0, 2, (len(part), len(change))) @ change
        moved = moved.reshape(len(part), *whole.shape[1:])
        part[:, 0], part[:, 1] = whole[0] + moved, whole[1] - moved
    return swapped


def _class_counts(frames: Sequence[Mapping[str, Any]], classes: int) -> np.ndarray:
    """(N, 3, C) float64, the counts of N frames."""
    class_counts = np.zeros((len(frames), 3, classes))
    for row, frame in zip(class_counts, frames, strict=True):
        for index, *counts in frame['classes']:
            row[:, index] = counts
    return class_counts


def _is_significant(entry: Mapping[str, Any]) -> bool:
    return entry['p'] is not None and entry['p'] < LEVEL


def _some(names: Sequence[str]) -> str:
    return ', '.join(map(repr, names[:3])) + (', ...' if len(names) > 3 else '')
