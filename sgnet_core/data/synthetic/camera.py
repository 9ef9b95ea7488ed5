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
    """A smooth path: sums of two sines in time around a position and a heading.

    Attributes:
        anchor: (3,) metres.
        heading_rad: middle of the camera's view, from +x towards +y.
        pitch_rad: mean pitch, negative downwards.
        amplitude: (6, 2) of x, y, z (metres), yaw, pitch, roll (radians): slow and fast part.
        rate: (6, 2) angular rates, radians per second.
        phase: (6, 2) radians.
    """

    anchor: np.ndarray
    heading_rad: float
    pitch_rad: float
    amplitude: np.ndarray
    rate: np.ndarray
    phase: np.ndarray

    def pose(self, time_s: float) -> np.ndarray:
        """(4, 4) float64 camera to world (camera: x right, y down, z forward)."""
        moved = np.sum(self.amplitude * np.sin(self.rate * time_s + self.phase), axis=1)
        yaw, pitch, roll = moved[3:] + (self.heading_rad, self.pitch_rad, 0.0)
        return _pose(self.anchor + moved[:3], yaw, pitch, roll)


def _pose(position, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(4, 4) camera to world; a positive roll turns the right side of the image down."""
    level = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    forward = np.cos(pitch) * level + (0, 0, np.sin(pitch))
    right = np.array([level[1], -level[0], 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    pose[:3, 3] = position
    return pose


def plan_trajectory(rng, plan: Plan, interest: Callable[[np.ndarray], float]) -> Trajectory:
    """A path that stays clear of the furniture around the view (4, 4) of greatest `interest`."""
    views = [_random_view(rng, plan) for _ in range(_VIEWS)]
    anchor, heading, pitch = max(views, key=lambda view: interest(_pose(*view, 0.0)))
    # Two sines each way: their sum does not leave the free disc around the anchor.
    reach = np.clip(clearance(plan, anchor) - 0.25, 0.0, 0.7) / np.sqrt(2)
    slow, fast = 0.8 * reach, 0.2 * reach
    amplitude = np.array(
        [(slow, fast), (slow, fast), (0.1, 0.02), (0.55, 0.05), (0.1, 0.015), (0.025, 0.008)]
    )
    amplitude[3:, 0] *= rng.uniform(0.5, 1.2, 3)
    rate = np.stack([rng.uniform(0.25, 0.55, 6), rng.uniform(1.2, 2.4, 6)], axis=1)
    phase = rng.uniform(0, 2 * np.pi, (6, 2))
    # The path starts at the chosen view.
    phase[[0, 1, 3]] = np.pi * rng.integers(0, 2, (3, 2))
    return Trajectory(anchor, heading, pitch, amplitude, rate, phase)


def _random_view(rng, plan: Plan) -> tuple[np.ndarray, float, float]:
    """Position (3,), heading and pitch; the position of greatest clearance among a few."""
    high = (*(np.array(plan.size_m[:2]) - 0.5), 1.65)
    positions = rng.uniform((0.5, 0.5, 1.0), high, (_POSITIONS, 3))
    anchor = max(positions, key=lambda position: min(clearance(plan, position), 0.7))
    return anchor, rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(-22, -3))


def clearance(plan: Plan, point: np.ndarray) -> float:
    """Horizontal distance from `point` (3,) to the nearest wall or piece at its height, metres."""
    walls = min(*point[:2], *(np.array(plan.size_m[:2]) - point[:2]))
    boxes = np.array(plan.taken).reshape(-1, 6)
    level = (boxes[:, 2] - _HEADROOM_M < point[2]) & (point[2] < boxes[:, 5] + _HEADROOM_M)
    outside = np.maximum(boxes[:, :2] - point[:2], point[:2] - boxes[:, 3:5])
    # Inside a box both coordinates are negative: the distance is minus the depth.
    distance = np.hypot(*np.maximum(outside, 0).T) + np.minimum(outside.max(axis=1), 0)
    return float(min(walls, distance[level].min(initial=np.inf)))


def room_camera(size: tuple[int, int]) -> CameraIntrinsics:
    """The camera of all rooms at (height, width): its horizontal view is always 63 degrees."""
    height, width = size
    focal = _FOCAL_PX_AT_640 * width / 640
    return CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
