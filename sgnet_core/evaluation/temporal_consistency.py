# SPDX-License-Identifier: Apache-2.0
"""Temporal consistency: do masks of consecutive frames agree? Needs depth and poses, no labels.

Every second pixel of every second row is projected into the frame before, by its depth and both
poses. If both frames see the same surface there, their classes are compared. A jump of the camera
starts a new sequence.
"""

from __future__ import annotations

import logging

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.inference.temporal_fusion import DEPTH_TOLERANCE, is_near
from sgnet_core.types import UNLABELLED, Sample

_LOG = logging.getLogger(__name__)

STRIDE = 2


class TemporalConsistency:
    """Pixels that two consecutive frames see, and how many of them keep their class.

    Attributes:
        counts: (3,) int64: pairs of frames with common pixels, common pixels, agreeing pixels.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(3, np.int64)
        self._previous: tuple[Sample, np.ndarray] | None = None
        self._warned = False

    def update(self, sample: Sample, labels: np.ndarray) -> bool:
        """Compare with the frame before; return whether both are of one sequence.

        A frame without a valid pose ends a sequence.

        Raises:
            InputError: the pose is not a rotation and translation, and there are no labels.
        """
        previous, self._previous = self._previous, None
        if sample.pose is None or not self._is_rigid(sample):
            return False
        self._previous = sample, labels
        if previous is None or not is_near(previous[0].pose, sample.pose):
            return False
        pixels, agreeing = _compare(*previous, sample, labels)
        self.counts += (pixels > 0, pixels, agreeing)
        return True

    def start(self, sample: Sample, labels: np.ndarray) -> None:
        """Set the frame before the next one, without comparing it."""
        self._previous = None
        self.update(sample, labels)

    def _is_rigid(self, sample: Sample) -> bool:
        rotation = sample.pose[:3, :3]
        if np.allclose(rotation @ rotation.T, np.eye(3), atol=0.01):
            return True
        message = (
            f'the pose of frame {sample.id} is not a rotation and translation: '
            f'{rotation.tolist()}; it must be camera-to-world, in metres'
        )
        if sample.labels is None:
            raise InputError(message)
        if not self._warned:
            _LOG.warning('%s. Temporal consistency leaves out such frames', message)
        self._warned = True
        return False

    def to_json(self) -> dict[str, float] | None:
        """None if no two frames have common pixels."""
        frames, pixels, agreeing = self.counts.tolist()
        if not pixels:
            return None
        return {'frames': frames, 'pixels': pixels, 'agreement': agreeing / pixels}


def _compare(
    before: Sample, labels_before: np.ndarray, sample: Sample, labels: np.ndarray
) -> tuple[int, int]:
    """Number of pixels of `sample` that `before` sees too, and of those with the same class."""
    z, labels = sample.frame.depth_m[::STRIDE, ::STRIDE], labels[::STRIDE, ::STRIDE]
    v, u = np.indices(z.shape, np.float32) * STRIDE
    camera = sample.frame.intrinsics
    points = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], -1)
    valid = (z > 0) & (labels != UNLABELLED)
    points, labels = points[valid], labels[valid]
    move = (np.linalg.inv(before.pose) @ sample.pose).astype(np.float32)
    points = points @ move[:3, :3].T + move[:3, 3]
    ahead = points[:, 2] > 0
    points, labels = points[ahead], labels[ahead]
    camera = before.frame.intrinsics
    u = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx)
    v = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    points, labels = points[inside], labels[inside]
    at = v[inside].astype(np.intp), u[inside].astype(np.intp)
    difference = np.abs(before.frame.depth_m[at] - points[:, 2])
    same = difference <= DEPTH_TOLERANCE * points[:, 2]
    labels_before = labels_before[at]
    same &= labels_before != UNLABELLED
    return int(same.sum()), int((labels_before == labels)[same].sum())
