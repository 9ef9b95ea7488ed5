# SPDX-License-Identifier: Apache-2.0
"""Everything that is counted of an evaluation, frame by frame, in whole numbers.

    update (sample, result, seconds) ─► counts ─► to_json (metrics)
    add (counts of another process)  ─┘

One frame adds some hundred bytes, whatever its size, and a sequence's last frame is kept.
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
"""Where the ranges of depth begin; the last one has no end."""

MISSING_SHARES = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Borders of the ranges of the share of pixels without depth."""

DIGEST_ROWS = 8
"""Of colour and depth every so many rows are hashed: a frame takes 0.6 ms, not 2.5."""


@dataclass(frozen=True)
class FrameScores:
    """What is kept of one frame.

    Attributes:
        id, camera: as of the sample.
        seconds: that the mask took; None where nobody measured.
        missing_depth: share of pixels without a measurement.
        is_continuation: the frame before is of the same sequence, a step away.
        class_counts: (3, C) uint32, see `class_counts.py`; None of a frame without labels.
        digest: SHA-256 of all labels and of every eighth row of colour and depth, as the network
            saw them: tells data sets apart, and other versions of one.
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
        """Over the classes of this frame; None where nothing is labelled."""
        return None if self.class_counts is None else number(mean_iou(self.class_counts))

    def to_json(self) -> dict[str, Any]:
        """An entry of `frame_scores`."""
        scored = self.class_counts is not None
        return {
            'id': self.id,
            'miou': self.miou,
            'pixel_accuracy': number(pixel_accuracy(self.class_counts)) if scored else None,
            'ms': None if self.seconds is None else 1000 * self.seconds,
            'classes': _sparse(self.class_counts) if scored else [],
        }


class Evaluation:
    """Counts of truth against prediction, and the metrics made of them.

    Attributes:
        confusion: over all pixels with labels.
        frames: what is kept of each, in their order.
        protocol: what was compared with what, in words.
    """

    def __init__(self, class_names: Sequence[str], protocol: str = PROTOCOL) -> None:
        """Start at zero.

        Raises:
            InputError: no class, or more than a uint8 mask can hold.
        """
        self.protocol = protocol
        self.confusion = ConfusionMatrix(class_names)
        self.frames: list[FrameScores] = []
        size = len(self.confusion.class_names)
        self._by_distance = np.zeros((len(DISTANCES_M) + 1, 3, size), np.int64)
        self._boundary = np.zeros((3, size), np.int64)
        self._confidence = np.zeros((2, LEVELS), np.int64)
        self._consistency = TemporalConsistency()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.confusion.class_names

    def update(
        self, sample: Sample, result: SegmentationResult, seconds: float | None = None
    ) -> FrameScores:
        """Count one frame.

        Args:
            sample: with labels, or with a pose, for temporal consistency, or with both.
            result: of its frame.
            seconds: that the result took.

        Raises:
            InputError: it has neither, sizes differ, or an id is no class. Nothing is counted.
        """
        if sample.labels is None and sample.pose is None:
            raise InputError(
                f'frame {sample.id} has no labels and no pose: there is nothing to compare with'
            )
        if sample.labels is not None:
            check_labels(sample.labels, result.labels, len(self.class_names))
        is_continuation = self._consistency.update(sample, result.labels)
        counts = None if sample.labels is None else self._count(sample, result)
        depth_m = sample.frame.depth_m
        missing = np.count_nonzero(np.isnan(depth_m)) / depth_m.size
        frame = FrameScores(
            sample.id, _camera(sample), seconds, missing, is_continuation, counts, _digest(sample)
        )
        self.frames.append(frame)
        return frame

    def start_after(self, sample: Sample, result: SegmentationResult) -> None:
        """Let this be the frame before the first one, which another process counts."""
        self._consistency.start(sample, result.labels)

    def add(self, other: Evaluation) -> None:
        """Add the counts of the frames that come next, for example of another process.

        Raises:
            InputError: they are of other classes.
        """
        self.confusion.add(other.confusion)
        self._by_distance += other._by_distance
        self._boundary += other._boundary
        self._confidence += other._confidence
        self._consistency.add(other._consistency)
        self.frames += other.frames

    def to_json(self) -> dict[str, Any]:
        """All metrics, ready for JSON: fractions of 1, ms, pixels; None where undefined."""
        return {
            **self.confusion.scores(),
            'frames': len(self.frames),
            'protocol': self.protocol,
            'per_class': self._per_class(),
            'boundary_iou': number(mean_iou(self._boundary)),
            'by_distance': self._distances(),
            'without_depth': summary(self._by_distance[-1]),
            'by_missing_depth': self._by_missing_depth(),
            'per_camera': self._per_camera(),
            'calibration': calibration(self._confidence),
            'temporal_consistency': self._consistency.to_json(),
            'intervals': bootstrap_intervals(self._class_counts(self._scored), self.class_names),
            'frame_scores': [frame.to_json() for frame in self.frames],
            'latency_ms': self._latency_ms(),
            'data_sha256': hashlib.sha256(b''.join(f.digest for f in self.frames)).hexdigest(),
        }

    def _count(self, sample: Sample, result: SegmentationResult) -> np.ndarray:
        """Count labelled pixels, and return the frame's class_counts."""
        truth, labels = sample.labels, result.labels
        labelled = truth != UNLABELLED
        # What is predicted where nobody knows the truth makes no boundary.
        known = np.maximum(labels, ~labelled * np.uint8(UNLABELLED))
        part = _distance_range(sample.frame.depth_m) * np.uint8(4)
        part += boundary_region(truth) * np.uint8(2) + boundary_region(known)
        parts = 4 * len(self._by_distance)
        pixels = pixel_counts(truth, labels, len(self.class_names), part, parts)
        pixels = pixels.reshape(-1, 2, 2, *pixels.shape[1:])
        by_distance = pixels.sum((1, 2))
        class_counts = count_classes(by_distance)
        self.confusion.pixels += by_distance.sum(0)
        self._by_distance += class_counts
        self._boundary[0] += count_classes(pixels[:, 1, 1].sum(0))[0]
        self._boundary[1] += count_classes(pixels[:, 1].sum((0, 1)))[1]
        self._boundary[2] += count_classes(pixels[:, :, 1].sum((0, 1)))[2]
        counted = labelled & (labels != UNLABELLED)
        self._confidence += confidence_counts(result.confidence, truth == labels, counted)
        return class_counts.sum(0).astype(np.uint32)

    @property
    def _scored(self) -> list[FrameScores]:
        """Frames with a labelled pixel."""
        return [f for f in self.frames if f.class_counts is not None and f.class_counts[1].any()]

    def _class_counts(self, frames: Sequence[FrameScores]) -> np.ndarray:
        """(frames, 3, C)."""
        empty = np.zeros((0, *self._boundary.shape), np.uint32)
        return np.stack([frame.class_counts for frame in frames]) if frames else empty

    def _per_class(self) -> dict[str, dict[str, Any]]:
        class_counts = self.confusion.class_counts
        columns = (
            class_iou(class_counts),
            class_accuracy(class_counts),
            class_iou(self._boundary),
            class_counts[1],
        )
        return {
            name: {
                'iou': number(iou),
                'accuracy': number(accuracy),
                'boundary_iou': number(boundary_iou),
                'pixels': int(pixels),
            }
            for name, iou, accuracy, boundary_iou, pixels in zip(
                self.class_names, *columns, strict=True
            )
        }

    def _distances(self) -> list[dict[str, Any]]:
        ends = (*DISTANCES_M[1:], None)
        return [
            {'from_m': start, 'to_m': end, **summary(class_counts)}
            for start, end, class_counts in zip(
                DISTANCES_M, ends, self._by_distance[:-1], strict=True
            )
        ]

    def _by_missing_depth(self) -> list[dict[str, Any]]:
        scored = self._scored
        # The last range includes its end: a frame without any depth.
        ranges = np.digitize([f.missing_depth for f in scored], MISSING_SHARES[1:-1])
        return [
            {
                'from_share': MISSING_SHARES[index],
                'to_share': MISSING_SHARES[index + 1],
                **self._part([f for f, of in zip(scored, ranges, strict=True) if of == index]),
            }
            for index in range(len(MISSING_SHARES) - 1)
        ]

    def _per_camera(self) -> dict[str, dict[str, Any]] | None:
        """None where all frames are of one camera."""
        cameras: dict[str, list[FrameScores]] = {}
        for frame in self._scored:
            cameras.setdefault(frame.camera, []).append(frame)
        if len(cameras) < 2:
            return None
        return {name: self._part(cameras[name]) for name in sorted(cameras)}

    def _part(self, frames: Sequence[FrameScores]) -> dict[str, Any]:
        return {'frames': len(frames), **summary(self._class_counts(frames).sum(0, dtype=np.int64))}

    def _latency_ms(self) -> dict[str, float] | None:
        times = [1000 * frame.seconds for frame in self.frames if frame.seconds is not None]
        if not times:
            return None
        p50, p95, p99 = np.percentile(times, [50, 95, 99]).tolist()
        return {'p50': p50, 'p95': p95, 'p99': p99}


def _sparse(class_counts: np.ndarray) -> list[list[int]]:
    """[class, true positives, truth, predicted] of each class that occurs."""
    return [
        [index, *class_counts[:, index].tolist()]
        for index in np.flatnonzero(class_counts.any(0)).tolist()
    ]


def _digest(sample: Sample) -> bytes:
    digest = hashlib.sha256()
    # There are many NaNs, and one "no measurement".
    depth_m = cv2.patchNaNs(sample.frame.depth_m[::DIGEST_ROWS].copy(), 0)
    for image in (sample.frame.rgb[::DIGEST_ROWS], depth_m, sample.labels):
        if image is not None:
            digest.update(np.ascontiguousarray(image))
    return digest.digest()


def _distance_range(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) uint8: number of the range in DISTANCES_M; without a measurement the one after."""
    ranges = np.isnan(depth_m).view(np.uint8) * np.uint8(len(DISTANCES_M))
    for start in DISTANCES_M[1:]:
        ranges += (depth_m >= start).view(np.uint8)
    return ranges


def _camera(sample: Sample) -> str:
    """A name for what made the frame: frames of one camera share size and focal length."""
    intrinsics = sample.frame.intrinsics
    size = f'{intrinsics.width}x{intrinsics.height}'
    return sample.camera or f'{size}, focal length {intrinsics.fx:.0f}'
