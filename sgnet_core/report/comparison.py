# SPDX-License-Identifier: Apache-2.0
"""What differs between two runs over the same frames, and whether that can be chance.

p is of the paired randomization test (Noreen 1989; Yeh 2000): were the runs equally good, either
result of a frame might as well be of the other run, so results are swapped at random, frame by
frame, pixels are counted anew, and p is the share of such swaps that differ as much as the runs do.
It is exact for any number of frames: a class in few of them is never called significant. Intervals
are of the paired bootstrap: frames are drawn with replacement, the same for both runs.

Both take frames for independent, which neighbours in a video are not: there p is too small.
Classes are many tests at once: their p are adjusted by Holm's method, so that the chance of even
one false alarm among all classes is the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.intervals import TOGETHER, resampled
from sgnet_core.evaluation.tally import SCORES, class_iou, number

LEVEL = 0.05
"""Of significance; intervals hold the rest."""
RESAMPLES = 5000
TEST = 'paired randomization of frames'


def compare(
    a: Mapping[str, Any], b: Mapping[str, Any], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Compare two runs by the frames that both have seen, ready for JSON.

    Args:
        a, b: of `Evaluation.to_json`; differences are b - a.

    Returns:
        `frames`, `test`, `scores` (name -> a, b, difference, interval, p), `per_class` (the same
        of IoU, with p adjusted, and in how many `frames` the class is), `better` and `worse`
        (classes whose p is below `LEVEL`, the largest difference first), `frame_scores` (id, a, b:
        mIoU).

    Raises:
        InputError: they are of other classes or other frames, or resamples are too few for any
            class to be found different.
    """
    names = list(a['per_class'])
    if names != list(b['per_class']):
        raise InputError(
            f'the runs are of other classes: {_some(names)} and {_some(list(b["per_class"]))}; '
            'evaluate both with the same --remap, or checkpoints of the same classes'
        )
    frames_a, frames_b = ({f['id']: f for f in run['frame_scores']} for run in (a, b))
    common = [sample_id for sample_id in frames_a if sample_id in frames_b]
    if not common:
        raise InputError(
            f'the runs have no frame in common: {_some(list(frames_a))} and '
            f'{_some(list(frames_b))}; evaluate both on the same data'
        )
    tallies = np.stack(
        [_tallies([f[i] for i in common], len(names)) for f in (frames_a, frames_b)], axis=1
    )
    other = np.flatnonzero((tallies[:, 0, 1] != tallies[:, 1, 1]).any(1))
    if other.size:
        raise InputError(
            f'the runs are of other data: in {other.size} of {len(common)} frames of the same id, '
            f'the first {common[other[0]]!r}, other pixels are labelled; evaluate both on the same '
            'data'
        )
    _check_resamples(tallies, resamples)
    scores, per_class = _differences(
        tallies, resampled(tallies, resamples, seed), _swapped(tallies, resamples, seed), names
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
    """p adjusted for as many tests as there are (Holm 1979)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return adjusted.tolist()


def _check_resamples(tallies: np.ndarray, resamples: int) -> None:
    """Raise InputError where p, times the number of classes, could not fall below `LEVEL`."""
    tested = np.count_nonzero(~np.isnan(class_iou(tallies.sum(0))).any(0))
    needed = int(tested / LEVEL)
    if resamples < needed:
        raise InputError(
            f'{resamples} resamples are too few for {tested} classes: no p could fall below '
            f'{LEVEL:g} after Holm; give {needed} or more'
        )


def _differences(
    tallies: np.ndarray, drawn: np.ndarray, swapped: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the averages, and of the IoU of each class.

    Args:
        tallies: (N, 2, 3, C) of N frames in both runs.
        drawn, swapped: (resamples, 2, 3, C), what bootstrap and randomization make of them.
    """
    parts = (tallies.sum(0), drawn, swapped)
    scores = {key: _difference(*map(score, parts)) for key, score in SCORES.items()}
    ious = [class_iou(part) for part in parts]
    showing = (tallies[:, 0, 1] > 0).sum(0)
    per_class = {
        name: {**_difference(*(iou[..., c] for iou in ious)), 'frames': int(showing[c])}
        for c, name in enumerate(names)
    }
    tested = [entry for entry in per_class.values() if entry['p'] is not None]
    for entry, p in zip(tested, holm([entry['p'] for entry in tested]), strict=True):
        entry['p'] = p
    return scores, per_class


def _difference(runs: np.ndarray, drawn: np.ndarray, swapped: np.ndarray) -> dict[str, Any]:
    """One figure (2,) of both runs, its interval and p; (resamples, 2) of the resamples."""
    a, b = runs
    values = {'a': number(a), 'b': number(b), 'difference': number(b - a)}
    if np.isnan(b - a):
        return {**values, 'interval': None, 'p': None}
    scatter = drawn[:, 1] - drawn[:, 0]
    interval = np.nanquantile(scatter, (LEVEL / 2, 1 - LEVEL / 2)).tolist()
    # Sums of another order differ in the last digits; what is undefined is no evidence.
    as_much = ~(np.abs(swapped[:, 1] - swapped[:, 0]) < abs(b - a) - 1e-12)
    # The runs as they are count as one more.
    return {**values, 'interval': interval, 'p': float((as_much.sum() + 1) / (len(swapped) + 1))}


def _swapped(tallies: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, 2, 3, C): sums after results of random frames changed the run."""
    whole, change = tallies.sum(0), (tallies[:, 1] - tallies[:, 0]).reshape(len(tallies), -1)
    rng = np.random.default_rng(seed)
    swapped = np.empty((resamples, *whole.shape))
    for row in range(0, resamples, TOGETHER):
        part = swapped[row : row + TOGETHER]
        moved = rng.integers(0, 2, (len(part), len(change))) @ change
        moved = moved.reshape(len(part), *whole.shape[1:])
        part[:, 0], part[:, 1] = whole[0] + moved, whole[1] - moved
    return swapped


def _tallies(frames: Sequence[Mapping[str, Any]], classes: int) -> np.ndarray:
    """(N, 3, C) float64 of N frames."""
    tallies = np.zeros((len(frames), 3, classes))
    for tally, frame in zip(tallies, frames, strict=True):
        for index, *counts in frame['classes']:
            tally[:, index] = counts
    return tallies


def _is_significant(entry: Mapping[str, Any]) -> bool:
    return entry['p'] is not None and entry['p'] < LEVEL


def _some(names: Sequence[str]) -> str:
    return ', '.join(map(repr, names[:3])) + (', ...' if len(names) > 3 else '')
