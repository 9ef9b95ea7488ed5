# SPDX-License-Identifier: Apache-2.0
"""What differs between two runs over the same frames, and whether that can be chance.

The test is the paired bootstrap (Efron and Tibshirani 1993, chapter 16; Koehn 2004): frames are
drawn with replacement, the same for both runs, and pixels counted anew. The interval holds 95 % of
the differences so found; p is twice the share of them on the other side of zero. Frames count as
independent, which neighbours in a video are not: there p is too small.

Classes are many tests at once: their p are adjusted by Holm's method, so that the chance of even
one false alarm among all classes is the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.intervals import resampled
from sgnet_core.evaluation.tally import SCORES, class_iou, number

LEVEL = 0.05
RESAMPLES = 10_000
TEST = 'paired bootstrap over the frames of both runs'


def compare(
    a: Mapping[str, Any], b: Mapping[str, Any], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Compare two runs by the frames that both have seen, ready for JSON.

    Args:
        a, b: of `Evaluation.to_json`; differences are b - a.

    Returns:
        `frames`, `test`, `scores` (name -> a, b, difference, interval, p), `per_class` (the same
        of IoU, with p adjusted, and `frames` that show the class), `better` and `worse` (classes
        whose p is below `LEVEL`, the largest difference first), `frame_scores` (id, a, b: mIoU).

    Raises:
        InputError: they are of other classes, or have no frame in common.
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
    tallies = [_tallies([frames[i] for i in common], len(names)) for frames in (frames_a, frames_b)]
    # Frames are drawn once for both runs.
    drawn = np.moveaxis(resampled(np.stack(tallies, 1), resamples, seed), 1, 0)
    shown = (np.stack(tallies)[:, :, 1:].sum((0, 2)) > 0).sum(0)
    scores, per_class = _differences(tallies, drawn, names, shown)
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


def _differences(
    tallies: Sequence[np.ndarray],
    drawn: Sequence[np.ndarray],
    names: Sequence[str],
    shown: np.ndarray,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the averages, and of the IoU of each class."""
    whole = [tally.sum(0) for tally in tallies]
    scores = {
        name: _difference(*map(score, whole), *map(score, drawn)) for name, score in SCORES.items()
    }
    ious, drawn_ious = [class_iou(t) for t in whole], [class_iou(t) for t in drawn]
    per_class = {
        name: {
            **_difference(*(iou[c] for iou in ious), *(iou[:, c] for iou in drawn_ious)),
            'frames': int(shown[c]),
        }
        for c, name in enumerate(names)
    }
    tested = [entry for entry in per_class.values() if entry['p'] is not None]
    for entry, p in zip(tested, holm([entry['p'] for entry in tested]), strict=True):
        entry['p'] = p
    return scores, per_class


def _difference(a: float, b: float, drawn_a: np.ndarray, drawn_b: np.ndarray) -> dict[str, Any]:
    """One figure of both runs, and how the difference scatters over the resamples."""
    values = {'a': number(a), 'b': number(b), 'difference': number(b - a)}
    scatter = drawn_b - drawn_a
    scatter = scatter[~np.isnan(scatter)]
    if np.isnan(b - a) or not scatter.size:
        return {**values, 'interval': None, 'p': None}
    tail = min((scatter <= 0).sum(), (scatter >= 0).sum())
    # Never 0: of so many resamples none on the other side says no more than that.
    p = min(1.0, 2 * (tail + 1) / (scatter.size + 1))
    interval = np.quantile(scatter, (LEVEL / 2, 1 - LEVEL / 2)).tolist()
    return {**values, 'interval': interval, 'p': float(p)}


def _tallies(frames: Sequence[Mapping[str, Any]], classes: int) -> np.ndarray:
    """(N, 3, C) float64 of N frames."""
    tallies = np.zeros((len(frames), 3, classes))
    for tally, frame in zip(tallies, frames, strict=True):
        for index, *counts in frame['classes']:
            tally[:, index] = counts
    return tallies


def _is_significant(entry: Mapping[str, Any]) -> bool:
    return entry['p'] is not None and entry['p'] < LEVEL and entry['difference'] != 0


def _some(names: Sequence[str]) -> str:
    return ', '.join(map(repr, names[:3])) + (', ...' if len(names) > 3 else '')
