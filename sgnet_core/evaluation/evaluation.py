# SPDX-License-Identifier: Apache-2.0
"""All counts of an evaluation, frame by frame, in whole numbers.

    update (sample, result, seconds) ─► counts ─► to_json (metrics)
    add (counts of another process)  ─┘

One frame adds a few hundred bytes, whatever its size; only the last frame of a sequence is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.bootstrap import bootstrap_intervals
from sgnet_core.evaluation.boundary_iou import boundary_region
from sgnet_core.evaluation.calibration import LEVELS, calibration, confidence_counts
from sgnet_core.evaluation.class_counts import (
    class_accuracy,
    class_iou,
    count_classes,
    mean_iou,
    number,
    pixel_accuracy,
    summary,
)
from sgnet_core.evaluation.confusion_matrix import ConfusionMatrix, check_labels, pixel_counts
from sgnet_core.evaluation.temporal_consistency import TemporalConsistency
from sgnet_core.types import UNLABELLED, Sample, SegmentationResult

PROTOCOL = 'single scale, full image, labels at the resolution of the colour image, 255 ignored'

DISTANCES_M = (0.0, 2.0, 4.0)
"""Starts of the ranges of depth; the last one has no end."""

MISSING_SHARES = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Borders of the ranges of the share of pixels without depth."""

DIGEST_ROWS = 8
"""Every eighth row of colour and depth is hashed: 0.6 ms per frame instead of 2.5."""


@dataclass(frozen=True)
class FrameScores:
    """The result of one frame.

    Attributes:
        id, camera: of the sample.
        seconds: time of the mask; None if it was not measured.
        missing_depth: share of pixels without a measurement.
        is_continuation: the frame before belongs to the same sequence.
        class_counts: (3, C) uint32, see `class_counts.py`; None without labels.
        digest: of the data; SHA-256 of all labels and of every eighth row of colour and depth.
    """

    id: str
    camera: str
    seconds: float | None
    missing_depth: float
    is_continuation: bool
    class_counts: np.ndarray | None
    digest: bytes

    @property
    def miou(self) -> float | None:
        """Over the classes of this frame; None if no pixel is labelled."""
        return None if self.class_counts is None else number(mean_iou(self.class_counts))

    def to_json(self) -> dict[str, Any]:
        """An entry of `frame_scores`; `classes` has (id, TP, truth, predicted)."""
        counts = np.zeros((3, 0)) if self.class_counts is None else self.class_counts
        return {
            'id': self.id,
            'miou': self.miou,
            'pixel_accuracy': number(pixel_accuracy(counts)),
            'ms': None if self.seconds is None else 1000 * self.seconds,
            'classes': [
                [index, *counts[:, index].tolist()]
                for index in np.flatnonzero(counts.any(0)).tolist()
            ],
        }


class Evaluation:
    """Counts of truth against prediction, and the metrics computed from them.

    Attributes:
        confusion: over all labelled pixels.
        frames: the result of each frame, in order.
        protocol: what was compared, in words.
    """

    def __init__(self, class_names: Sequence[str], protocol: str = PROTOCOL) -> None:
        self.protocol = protocol
        self.confusion = ConfusionMatrix(class_names)
        self.frames: list[FrameScores] = []
        self.class_names = self.confusion.class_names
        size = len(self.class_names)
        self._by_distance = np.zeros((len(DISTANCES_M) + 1, 3, size), np.int64)
        self._boundary = np.zeros((3, size), np.int64)
        self._confidence = np.zeros((2, LEVELS), np.int64)
        self._consistency = TemporalConsistency()

    def update(
        self, sample: Sample, result: SegmentationResult, seconds: float | None = None
    ) -> FrameScores:
        """Count a frame with labels, with a pose (for temporal consistency), or with both.

        Raises:
            InputError: it has neither, sizes differ, or an id is not a class. Nothing is counted.
        """
        if sample.labels is None and sample.pose is None:
            raise InputError(
                f'frame {sample.id} has no labels and no pose: there is nothing to compare with'
            )
        if sample.labels is not None:
            check_labels(sample.labels, result.labels, len(self.class_names))
        is_continuation = self._consistency.update(sample, result.labels)
        counts = None if sample.labels is None else self._count(sample, result)
        depth_m, camera = sample.frame.depth_m, sample.frame.intrinsics
        size = f'{camera.width}x{camera.height}'
        frame = FrameScores(
            sample.id,
            sample.camera or f'{size}, focal length {camera.fx:.0f}',
            seconds,
            np.count_nonzero(np.isnan(depth_m)) / depth_m.size,
            is_continuation,
            counts,
            _digest(sample),
        )
        self.frames.append(frame)
        return frame

    def start_after(self, sample: Sample, result: SegmentationResult) -> None:
        """Set the frame before the first one, which another process counts."""
        self._consistency.start(sample, result.labels)

    def add(self, other: Evaluation) -> None:
        """Add the counts of the frames that come next, for example of another process.

        Raises:
            InputError: the classes differ.
        """
        self.confusion.add(other.confusion)
        self._by_distance += other._by_distance
        self._boundary += other._boundary
        self._confidence += other._confidence
        self._consistency.counts += other._consistency.counts
        self.frames += other.frames

    def to_json(self) -> dict[str, Any]:
        """All metrics, ready for JSON: fractions of 1, ms, pixels; None where undefined."""
        times = [1000 * frame.seconds for frame in self.frames if frame.seconds is not None]
        percentiles = (50, 95, 99) if times else ()
        return {
            **self.confusion.scores(),
            'frames': len(self.frames),
            'protocol': self.protocol,
            'per_class': self._per_class(),
            'boundary_iou': number(mean_iou(self._boundary)),
            'by_distance': [
                {'from_m': start, 'to_m': end, **summary(counts)}
                for start, end, counts in zip(
                    DISTANCES_M, (*DISTANCES_M[1:], None), self._by_distance[:-1], strict=True
                )
            ],
            'without_depth': summary(self._by_distance[-1]),
            'by_missing_depth': self._by_missing_depth(),
            'per_camera': self._per_camera(),
            'calibration': calibration(self._confidence),
            'temporal_consistency': self._consistency.to_json(),
            'intervals': bootstrap_intervals(self._stack(self._scored), self.class_names),
            'frame_scores': [frame.to_json() for frame in self.frames],
            'latency_ms': {f'p{n}': float(np.percentile(times, n)) for n in percentiles} or None,
            'data_sha256': hashlib.sha256(b''.join(f.digest for f in self.frames)).hexdigest(),
        }

    def _count(self, sample: Sample, result: SegmentationResult) -> np.ndarray:
        """Count labelled pixels, and return the class counts of the frame."""
        truth, labels = sample.labels, result.labels
        labelled = truth != UNLABELLED
        # Predictions at unlabelled pixels make no boundary.
        masked = np.maximum(labels, ~labelled * np.uint8(UNLABELLED))
        part = _distance_range(sample.frame.depth_m) * np.uint8(4)
        part += boundary_region(truth) * np.uint8(2) + boundary_region(masked)
        parts = 4 * len(self._by_distance)
        pixels = pixel_counts(truth, labels, len(self.class_names), part, parts)
        pixels = pixels.reshape(-1, 2, 2, *pixels.shape[1:])
        by_distance = pixels.sum((1, 2))
        counts = count_classes(by_distance)
        self.confusion.pixels += by_distance.sum(0)
        self._by_distance += counts
        # True positives are near both boundaries, true pixels near that of the truth, and so on.
        self._boundary[0] += count_classes(pixels[:, 1, 1].sum(0))[0]
        self._boundary[1] += count_classes(pixels[:, 1].sum((0, 1)))[1]
        self._boundary[2] += count_classes(pixels[:, :, 1].sum((0, 1)))[2]
        counted = labelled & (labels != UNLABELLED)
        self._confidence += confidence_counts(result.confidence, truth == labels, counted)
        return counts.sum(0).astype(np.uint32)

    @property
    def _scored(self) -> list[FrameScores]:
        """Frames with a labelled pixel."""
        return [f for f in self.frames if f.class_counts is not None and f.class_counts[1].any()]

    def _stack(self, frames: Sequence[FrameScores]) -> np.ndarray:
        """(frames, 3, C), the class counts of the frames."""
        counts = [frame.class_counts for frame in frames]
        return np.array(counts, np.uint32).reshape(-1, *self._boundary.shape)

    def _per_class(self) -> dict[str, dict[str, Any]]:
        counts = self.confusion.class_counts
        columns = class_iou(counts), class_accuracy(counts), class_iou(self._boundary)
        keys = 'iou', 'accuracy', 'boundary_iou'
        return {
            name: {**dict(zip(keys, map(number, row), strict=True)), 'pixels': int(pixels)}
            for name, row, pixels in zip(
                self.class_names, np.transpose(columns), counts[1], strict=True
            )
        }

    def _by_missing_depth(self) -> list[dict[str, Any]]:
        # The last range includes its end: a frame without any depth.
        ranges = np.digitize([f.missing_depth for f in self._scored], MISSING_SHARES[1:-1])
        return [
            {
                'from_share': MISSING_SHARES[index],
                'to_share': MISSING_SHARES[index + 1],
                **self._group([f for f, i in zip(self._scored, ranges, strict=True) if i == index]),
            }
            for index in range(len(MISSING_SHARES) - 1)
        ]

    def _per_camera(self) -> dict[str, dict[str, Any]] | None:
        """None if all frames are from one camera."""
        names = sorted({frame.camera for frame in self._scored})
        groups = {n: self._group([f for f in self._scored if f.camera == n]) for n in names}
        return groups if len(groups) > 1 else None

    def _group(self, frames: Sequence[FrameScores]) -> dict[str, Any]:
        return {'frames': len(frames), **summary(self._stack(frames).sum(0, dtype=np.int64))}


def _digest(sample: Sample) -> bytes:
    # NaN has many bit patterns, but only one meaning.
    depth_m = cv2.patchNaNs(sample.frame.depth_m[::DIGEST_ROWS].copy(), 0)
    images = sample.frame.rgb[::DIGEST_ROWS], depth_m, sample.labels
    return hashlib.sha256(b''.join(i.tobytes() for i in images if i is not None)).digest()


def _distance_range(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) uint8: index of the range in DISTANCES_M; its length without a measurement."""
    ranges = np.isnan(depth_m).view(np.uint8) * np.uint8(len(DISTANCES_M))
    for start in DISTANCES_M[1:]:
        ranges += (depth_m >= start).view(np.uint8)
    return ranges
