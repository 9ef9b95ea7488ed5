# SPDX-License-Identifier: Apache-2.0
"""The noun of every data set: one registered frame with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.types import RgbdFrame


@dataclass(frozen=True)
class Sample:
    """One frame of a data set, of whatever kind.

    Attributes:
        id: unique within the data set.
        frame: colour, depth and camera.
        labels: (H, W) uint8 class ids, 255 = unlabelled; None where the data set has none.
        pose: (4, 4) float64 camera-to-world, metres; None where unknown.

    Raises:
        InputError: shapes or dtypes do not fit.
    """

    id: str
    frame: RgbdFrame
    labels: np.ndarray | None = None
    pose: np.ndarray | None = None

    def __post_init__(self) -> None:
        labels, pose = self.labels, self.pose
        if labels is not None and (labels.shape != self.frame.size or labels.dtype != np.uint8):
            raise InputError(
                f'labels of frame {self.id!r} must be {self.frame.size} uint8, '
                f'got {labels.shape} {labels.dtype}'
            )
        if pose is not None and (pose.shape != (4, 4) or pose.dtype != np.float64):
            raise InputError(
                f'pose of frame {self.id!r} must be (4, 4) float64, got {pose.shape} {pose.dtype}'
            )
