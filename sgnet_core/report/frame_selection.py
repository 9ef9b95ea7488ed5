# SPDX-License-Identifier: Apache-2.0
"""Selects the best, median and worst frames of a stream without keeping the stream."""

from __future__ import annotations

import random
from dataclasses import dataclass
from operator import itemgetter
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


class _Smallest:
    """The `size` frames of the smallest ranks, as (rank, frame) in order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.frames: list[tuple[float, SelectedFrame]] = []

    def accepts(self, rank: float) -> bool:
        return len(self.frames) < self.size or rank < self.frames[-1][0]

    def add(self, frames: list[tuple[float, SelectedFrame]]) -> None:
        self.frames = sorted([*self.frames, *frames], key=itemgetter(0))[: self.size]


class FrameSelector:
    """Selects frames by mIoU; holds at most `2 * per_group + POOL` reduced frames."""

    POOL = 24

    def __init__(self, per_group: int = 2, seed: int = 0) -> None:
        self._per_group = per_group
        self._random = random.Random(seed)
        self._scores: list[float] = []
        # The median is known only at the end: it is selected from a random sample of all frames.
        self._best, self._worst, self._pool = self._groups = [
            _Smallest(size) for size in (per_group, per_group, self.POOL)
        ]

    def update(self, sample: Sample, result: SegmentationResult, scores: FrameScores) -> None:
        """Add one frame; a frame without labels is ignored."""
        score = scores.miou
        if score is None:
            return
        self._scores.append(score)
        ranks = (-score, score, self._random.random())
        accepted = [(g, r) for g, r in zip(self._groups, ranks, strict=True) if g.accepts(r)]
        if accepted:
            selected = _small(sample, result, score)
            for group, rank in accepted:
                group.add([(rank, selected)])

    def add(self, other: FrameSelector) -> None:
        """Add the frames of another selector, for example of another process."""
        for group, other_group in zip(self._groups, other._groups, strict=True):
            group.add(other_group.frames)
        self._scores += other._scores

    def selected(self) -> dict[str, list[SelectedFrame]]:
        """`best`, `median`, `worst`, without duplicates; lists may be short."""
        if not self._scores:
            return {}
        middle = median(self._scores)
        # The median has priority if there are few frames.
        groups = {'median': self._pool, 'worst': self._worst, 'best': self._best}
        candidates = {name: [f for _, f in group.frames] for name, group in groups.items()}
        candidates['median'].sort(key=lambda f: abs(f.score - middle))
        chosen, seen = {}, set()
        for name, frames in candidates.items():
            chosen[name] = [f for f in frames if f.id not in seen][: self._per_group]
            seen |= {f.id for f in chosen[name]}
        return {name: chosen[name] for name in ('best', 'median', 'worst') if chosen[name]}


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
