# SPDX-License-Identifier: Apache-2.0
"""A hand-held camera that wanders about a generated room and looks around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgnet_core.data.rooms.plan import Plan
from sgnet_core.types import CameraIntrinsics

_CLEARANCE_M = 0.45
_HEADROOM_M = 0.3
"""The camera keeps this far above or below what it passes."""
_LOOKS = 5
_FOCAL_PX_AT_640 = 518.0
"""About that of a Kinect's colour camera."""


@dataclass(frozen=True)
class Trajectory:
    """A smooth path: sums of sines in time around an anchor and a heading.

    Attributes:
        anchor: (3,) metres.
        heading_rad: middle of the camera's view, from +x towards +y.
        amplitude: (6, 2) of x, y, z (metres), yaw, pitch, roll (radians): slow and fast part.
        rate: (6, 2) angular rates, radians per second.
        phase: (6, 2) radians.
        pitch_rad: mean pitch, negative downwards.
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


def plan_trajectory(rng, plan: Plan, look: Callable[[np.ndarray], float]) -> Trajectory:
    """A path that stays clear of the furniture and looks at most of it.

    `look` tells how much a view from a pose (4, 4) has to show; it is asked a few times only.
    """
    free = np.array(plan.size_m[:2]) - 0.5
    candidates = []
    for _ in range(48):
        anchor = rng.uniform((0.5, 0.5, 1.0), (*free, 1.65))
        heading, pitch = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(-22, -3))
        room = clearance(plan, anchor)
        score = min(room, 1.0) * 2 + _interest(plan, anchor, heading)
        if room < _CLEARANCE_M:
            score = -10 + room
        candidates.append((score, anchor, heading, pitch, room))
    candidates.sort(key=lambda candidate: -candidate[0])
    best = [c for c in candidates[:_LOOKS] if c[0] > 0] or candidates[:1]
    _, anchor, heading, pitch, room = max(best, key=lambda c: look(_pose(*c[1:4], 0.0)))
    # Two sines each way: their sum never leaves the free disc around the anchor.
    reach = np.clip(room - 0.25, 0.0, 0.7)
    slow, fast = 0.8 * reach / np.sqrt(2), 0.2 * reach / np.sqrt(2)
    amplitude = np.array(
        [(slow, fast), (slow, fast), (0.1, 0.02), (0.55, 0.05), (0.1, 0.015), (0.025, 0.008)]
    )
    amplitude[3:, 0] *= rng.uniform(0.5, 1.2, 3)
    rate = np.stack([rng.uniform(0.25, 0.55, 6), rng.uniform(1.2, 2.4, 6)], axis=1)
    phase = rng.uniform(0, 2 * np.pi, (6, 2))
    # The walk starts at the view that was chosen and leaves it either way.
    phase[[0, 1, 3]] = np.pi * rng.integers(0, 2, (3, 2))
    return Trajectory(anchor, heading, pitch, amplitude, rate, phase)


def clearance(plan: Plan, point: np.ndarray) -> float:
    """Horizontal distance from `point` (3,) to the nearest wall or thing at its height, metres."""
    walls = min(*point[:2], *(np.array(plan.size_m[:2]) - point[:2]))
    if not plan.taken:
        return float(walls)
    boxes = np.array(plan.taken)
    level = (boxes[:, 2] - _HEADROOM_M < point[2]) & (point[2] < boxes[:, 5] + _HEADROOM_M)
    outside = np.maximum(boxes[:, :2] - point[:2], point[:2] - boxes[:, 3:5])
    distance = np.hypot(*np.maximum(outside, 0).T)
    # Inside a box both coordinates are negative: how deep, at least.
    distance = np.where(outside.max(axis=1) < 0, outside.max(axis=1), distance)
    return float(min(walls, distance[level].min(initial=np.inf)))


def _interest(plan: Plan, anchor, heading: float) -> float:
    """How much there is to see: the size of what is within the view, and a free sight."""
    boxes = np.array(plan.taken).reshape(-1, 6)
    extent = boxes[:, 3:] - boxes[:, :3]
    dx, dy = ((boxes[:, :2] + boxes[:, 3:5]) / 2 - anchor[:2]).T
    distance = np.hypot(dx, dy)
    off = np.abs((np.arctan2(dy, dx) - heading + np.pi) % (2 * np.pi) - np.pi)
    within = (off < 0.5) & (distance > 0.8) & (distance < 5.0)
    size = (extent[:, 0] + extent[:, 1]) * extent[:, 2] / np.maximum(distance, 1.5)
    score = float(np.minimum(0.25 + 1.2 * size, 1.2)[within].sum())
    ahead = np.array([np.cos(heading), np.sin(heading)])
    with np.errstate(divide='ignore'):
        steps = np.where(ahead > 0, np.array(plan.size_m[:2]) - anchor[:2], anchor[:2]) / np.abs(
            ahead
        )
    return score + 0.6 * min(float(steps.min()), 4.0)


def room_camera(size: tuple[int, int]) -> CameraIntrinsics:
    """The one camera of all rooms at (height, width): its horizontal view is always 63 degrees."""
    height, width = size
    focal = _FOCAL_PX_AT_640 * width / 640
    return CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
