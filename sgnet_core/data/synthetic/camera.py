# SPDX-License-Identifier: Apache-2.0
"""A hand-held camera that moves through a room and looks around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgnet_core.data.synthetic.placement import Plan
from sgnet_core.types import CameraIntrinsics

_HEADROOM_M = 0.3
"""The camera keeps this far above or below pieces that it passes."""
_POSITIONS, _VIEWS = 10, 12
"""Positions drawn for each view, and views to choose from."""
_FOCAL_PX_AT_640 = 518.0
"""About that of a Kinect's colour camera."""


@dataclass(frozen=True)
class Trajectory:
    """A smooth path: one sine in time for each of x, y, z, yaw, pitch and roll.

    Yaw goes from +x towards +y, a negative pitch looks down, a positive roll turns to the right.
    """

    middle: np.ndarray
    amplitude: np.ndarray
    rate: np.ndarray
    phase: np.ndarray

    def pose(self, time_s: float) -> np.ndarray:
        """(4, 4) float64 camera to world (camera: x right, y down, z forward)."""
        return _pose(self.middle + self.amplitude * np.sin(self.rate * time_s + self.phase))


def _pose(placement: np.ndarray) -> np.ndarray:
    yaw, pitch, roll = placement[3:]
    level = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    forward = np.cos(pitch) * level + (0, 0, np.sin(pitch))
    right = np.array([level[1], -level[0], 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    pose[:3, 3] = placement[:3]
    return pose


def plan_trajectory(rng, plan: Plan, score: Callable[[np.ndarray], float]) -> Trajectory:
    """A path that stays clear of the furniture around the view (4, 4) of the highest `score`."""
    views = [_random_view(rng, plan) for _ in range(_VIEWS)]
    middle = max(views, key=lambda view: score(_pose(view)))
    # Horizontal motion stays within the free disc around the middle.
    reach = np.clip(clearance(plan, middle) - 0.25, 0.0, 0.7) / np.sqrt(2)
    amplitude = np.array([reach, reach, 0.1, *(rng.uniform(0.5, 1.2, 3) * (0.55, 0.1, 0.025))])
    phase = rng.uniform(0, 2 * np.pi, 6)
    # The path starts at the chosen view.
    phase[[0, 1, 3]] = np.pi * rng.integers(0, 2, 3)
    return Trajectory(middle, amplitude, rng.uniform(0.3, 0.65, 6), phase)


def _random_view(rng, plan: Plan) -> np.ndarray:
    """(6,) as in `Trajectory`: the position of greatest clearance among a few."""
    high = (*(np.array(plan.size_m[:2]) - 0.5), 1.65)
    positions = rng.uniform((0.5, 0.5, 1.0), high, (_POSITIONS, 3))
    position = max(positions, key=lambda candidate: min(clearance(plan, candidate), 0.7))
    return np.array([*position, rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(-22, -3)), 0.0])


def clearance(plan: Plan, point: np.ndarray) -> float:
    """Horizontal metres from `point` to the nearest wall or piece at its height; 0 inside one."""
    walls = min(*point[:2], *(np.array(plan.size_m[:2]) - point[:2]))
    boxes = np.array(plan.taken).reshape(-1, 6)
    level = (boxes[:, 2] - _HEADROOM_M < point[2]) & (point[2] < boxes[:, 5] + _HEADROOM_M)
    outside = np.maximum(boxes[:, :2] - point[:2], point[:2] - boxes[:, 3:5])
    distance = np.hypot(*np.maximum(outside, 0).T)
    return float(min(walls, distance[level].min(initial=np.inf)))


def room_camera(size: tuple[int, int]) -> CameraIntrinsics:
    """The camera of all rooms at (height, width): its horizontal view is always 63 degrees."""
    height, width = size
    focal = _FOCAL_PX_AT_640 * width / 640
    return CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
