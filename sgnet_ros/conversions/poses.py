# SPDX-License-Identifier: Apache-2.0
"""Poses in the order of ROS, x y z qx qy qz qw, to matrices and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sgnet_core.errors import ConfigError

QUATERNION_TOLERANCE = 0.01
"""Allowed deviation from 1 of the length of a typed quaternion."""


def rigid_transform(pose: Sequence[float]) -> np.ndarray:
    """The (4, 4) float64 matrix of x, y, z and the rotation qx, qy, qz, qw, of any length but 0."""
    translation, quaternion = np.array(pose[:3], np.float64), np.array(pose[3:], np.float64)
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += 2 * (w * across + across @ across)
    matrix[:3, 3] = translation
    return matrix


def pose_of(matrix: np.ndarray) -> list[float]:
    """x, y, z, qx, qy, qz, qw of a rigid transform (4, 4)."""
    (a, b, c), (d, e, f), (g, h, i) = matrix[:3, :3]
    # The quaternion is the eigenvector of the largest eigenvalue (Bar-Itzhack, 2000).
    symmetric = np.diag([a - e - i, e - a - i, i - a - e, a + e + i])
    symmetric[[1, 2, 2, 3, 3, 3], [0, 0, 1, 0, 1, 2]] = b + d, c + g, f + h, h - f, c - g, d - b
    return [*matrix[:3, 3].tolist(), *np.linalg.eigh(symmetric)[1][:, -1].tolist()]


def extrinsics(pose: Sequence[float], name: str) -> np.ndarray:
    """rgb_from_depth, (4, 4), of the pose of the depth camera in the colour camera, metres.

    Raises:
        ConfigError: not a valid pose; `name` is its parameter or option.
    """
    length = float(np.linalg.norm(pose[3:]))
    if len(pose) != 7 or not abs(length - 1.0) <= QUATERNION_TOLERANCE:
        raise ConfigError(
            f'{name} must be x y z qx qy qz qw with a quaternion of length 1, got '
            f'{[float(number) for number in pose]}, a quaternion of length {length:.3g}'
        )
    return rigid_transform(pose)
