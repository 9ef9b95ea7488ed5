# SPDX-License-Identifier: Apache-2.0
"""Whether masks of a sequence agree about the same points: needs depth and poses, and no truth.

Every second pixel of every second row is carried by its depth and the two poses into the frame
before. Where that frame saw the same surface, both have said what it is. Where the camera jumps,
another sequence begins: poses of two sequence share no world.
"""

from __future__ import annotations

import logging

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.types import UNLABELLED, Sample

_LOG = logging.getLogger(__name__)

STRIDE = 2
DEPTH_TOLERANCE = 0.05
"""Of the depth: farther apart it is another surface, which hid the one or was hidden by it."""

MAX_TRANSLATION_M, MAX_ROTATION_RAD = 0.5, np.deg2rad(30)
"""Of a camera from one frame of a sequence to the next: beyond, it is a cut."""


class TemporalConsistency:
    """Pixels that both of two neighbouring frames saw, and how many got the same class.

    Attributes:
        frames: pairs of neighbours that saw something in common.
        pixels, agreeing: of all those.
    """

    def __init__(self) -> None:
        self.frames, self.pixels, self.agreeing = 0, 0, 0
        self._previous: tuple[Sample, np.ndarray] | None = None
        self._warned = False

    def update(self, sample: Sample, labels: np.ndarray) -> bool:
        """Compare with the frame before; return whether both are of one sequence.

        A frame without a pose ends a sequence, and so does one with labels whose pose is none.

        Raises:
            InputError: the pose does not turn and move, but scale or shear, and there are no labels
                to compare with instead.
        """
        previous, self._previous = self._previous, None
        if sample.pose is None or not self._has_true_pose(sample):
            return False
        self._previous = sample, labels
        if previous is None or not _is_near(previous[0].pose, sample.pose):
            return False
        pixels, agreeing = _compare(*previous, sample, labels)
        self.frames += pixels > 0
        self.pixels += pixels
        self.agreeing += agreeing
        return True

    def start(self, sample: Sample, labels: np.ndarray) -> None:
        """Let this be the frame before the next, without comparing it."""
        self._previous = None
        self.update(sample, labels)

    def add(self, other: TemporalConsistency) -> None:
        """Add the counts of another part of the sequence."""
        self.frames += other.frames
        self.pixels += other.pixels
        self.agreeing += other.agreeing

    def _has_true_pose(self, sample: Sample) -> bool:
        rotation = sample.pose[:3, :3]
        if np.allclose(rotation @ rotation.T, np.eye(3), atol=0.01):
            return True
        wrong = (
            f'the pose of frame {sample.id} is no rotation and translation: {rotation.tolist()}; '
            'it must be camera-to-world, in metres'
        )
        if sample.labels is None:
            raise InputError(wrong)
        if not self._warned:
            _LOG.warning('%s. Temporal consistency leaves out such frames', wrong)
        self._warned = True
        return False

    def to_json(self) -> dict[str, float] | None:
        """For JSON; None where no two frames saw anything in common."""
        if not self.pixels:
            return None
        agreement = self.agreeing / self.pixels
        return {'frames': self.frames, 'pixels': self.pixels, 'agreement': agreement}


def _compare(
    before: Sample, labels_before: np.ndarray, sample: Sample, labels: np.ndarray
) -> tuple[int, int]:
    """Pixels of `sample` that `before` saw as well, and how many of them have one class."""
    every = (slice(None, None, STRIDE), slice(None, None, STRIDE))
    z, labels = sample.frame.depth_m[every], labels[every]
    v, u = np.indices(z.shape, np.float32) * STRIDE
    camera = sample.frame.intrinsics
    points = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], -1)
    known = (z > 0) & (labels != UNLABELLED)
    points, labels = points[known], labels[known]
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


def _is_near(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a camera with these poses (4, 4) may have taken two neighbouring frames."""
    move = np.linalg.inv(before) @ after
    turned_rad = np.arccos(np.clip((np.trace(move[:3, :3]) - 1) / 2, -1, 1))
    return bool(np.linalg.norm(move[:3, 3]) <= MAX_TRANSLATION_M and turned_rad <= MAX_ROTATION_RAD)
