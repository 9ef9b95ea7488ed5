# SPDX-License-Identifier: Apache-2.0
"""Selects the best, median and worst frames of a stream without keeping the stream."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np

from sgnet_core.evaluation import FrameScores
from sgnet_core.types import Sample, SegmentationResult

WIDTH = 400
"""Largest width of the stored pictures, pixels."""


@dataclass(frozen=True)
class SelectedFrame:
    """One frame, reduced to the size of the report; `truth` and `prediction` are class ids."""

    id: str
    score: float
    rgb: np.ndarray
    depth_m: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


class FrameSelector:
    """Selects frames by mIoU; holds at most `2 * per_group + POOL` reduced frames."""

    POOL = 24

    def __init__(self, per_group: int = 2, seed: int = 0) -> None:
        self._per_group = per_group
        self._random = random.Random(seed)
        self._scores: list[float] = []
        self._best: list[SelectedFrame] = []
        self._worst: list[SelectedFrame] = []
        # The median is known only at the end: it is selected from a random sample of all frames.
        self._pool: list[SelectedFrame] = []

    def update(self, sample: Sample, result: SegmentationResult, scores: FrameScores) -> None:
        """Add one frame; a frame without labels is ignored."""
        score = scores.miou
        if score is None:
            return
        self._scores.append(score)
        slot = self._random.randrange(len(self._scores))
        best = len(self._best) < self._per_group or score > self._best[-1].score
        worst = len(self._worst) < self._per_group or score < self._worst[-1].score
        if not (best or worst or slot < self.POOL):
            return
        selected = _small(sample, result, score)
        if best:
            self._best = self._ranked([*self._best, selected], best=True)
        if worst:
            self._worst = self._ranked([*self._worst, selected], best=False)
        if len(self._pool) < self.POOL:
            self._pool.append(selected)
        elif slot < self.POOL:
            self._pool[slot] = selected

    def add(self, other: FrameSelector) -> None:
        """Add the frames of another selector, for example of another process."""
        self._best = self._ranked([*self._best, *other._best], best=True)
        self._worst = self._ranked([*self._worst, *other._worst], best=False)
        # Drawn in proportion to the frames of both; each pool is a random sample.
        left = [len(self._scores), len(other._scores)]
        pools, pool = [[*self._pool], [*other._pool]], []
        while sum(left) and len(pool) < self.POOL:
            which = int(self._random.randrange(sum(left)) >= left[0])
            left[which] -= 1
            pool.append(pools[which].pop(self._random.randrange(len(pools[which]))))
        self._pool = pool
        self._scores += other._scores

    def selected(self) -> dict[str, list[SelectedFrame]]:
        """`best`, `median`, `worst`, without duplicates; lists may be short."""
        if not self._scores:
            return {}
        middle = median(self._scores)
        near = sorted(self._pool, key=lambda p: abs(p.score - middle))
        # The median has priority if there are few frames.
        chosen, seen = {}, set()
        for name, candidates in (('median', near), ('worst', self._worst), ('best', self._best)):
            fresh = [p for p in candidates if p.id not in seen][: self._per_group]
            seen |= {p.id for p in fresh}
            chosen[name] = fresh
        return {name: chosen[name] for name in ('best', 'median', 'worst') if chosen[name]}

    def _ranked(self, frames: list[SelectedFrame], best: bool) -> list[SelectedFrame]:
        return sorted(frames, key=lambda p: p.score, reverse=best)[: self._per_group]


def _small(sample: Sample, result: SegmentationResult, score: float) -> SelectedFrame:
    height, width = sample.frame.size
    size = (min(width, WIDTH), max(1, round(height * min(1, WIDTH / width))))

    def shrink(image: np.ndarray, how: int = cv2.INTER_NEAREST) -> np.ndarray:
        # Always a copy, so that the sample is not kept alive.
        return cv2.resize(image, size, interpolation=how)

    return SelectedFrame(
        sample.id,
        score,
        shrink(sample.frame.rgb, cv2.INTER_AREA),
        shrink(sample.frame.depth_m),
        shrink(sample.labels),
        shrink(result.labels),
    )
