# SPDX-License-Identifier: Apache-2.0
"""A hand-held camera that wanders about a generated room and looks around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.rooms_plan import Plan

_CLEARANCE_M = 0.45
_HEADROOM_M = 0.3
"""The camera keeps this far above or below what it passes."""


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
        forward = np.array(
            [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
        )
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
        pose[:3, 3] = self.anchor + moved[:3]
        return pose


def plan_trajectory(rng, plan: Plan) -> Trajectory:
    """A path that stays clear of the furniture and looks at most of it."""
    best, best_score = None, -np.inf
    for _ in range(48):
        anchor = rng.uniform((0.5, 0.5, 1.0), (plan.size_m[0] - 0.5, plan.size_m[1] - 0.5, 1.65))
        heading = rng.uniform(0, 2 * np.pi)
        room = clearance(plan, anchor)
        score = min(room, 1.0) * 2 + _interest(plan, anchor, heading) + 0.5 * rng.random()
        if room < _CLEARANCE_M:
            score = -10 + room
        if score > best_score:
            best, best_score = (anchor, heading, room), score
    anchor, heading, room = best
    # Two sines each way: their sum never leaves the free disc around the anchor.
    reach = np.clip(room - 0.25, 0.0, 0.7)
    slow, fast = 0.8 * reach / np.sqrt(2), 0.2 * reach / np.sqrt(2)
    amplitude = np.array(
        [(slow, fast), (slow, fast), (0.1, 0.02), (0.55, 0.05), (0.1, 0.015), (0.025, 0.008)]
    )
    amplitude[3:, 0] *= rng.uniform(0.5, 1.2, 3)
    rate = np.stack([rng.uniform(0.25, 0.55, 6), rng.uniform(1.2, 2.4, 6)], axis=1)
    return Trajectory(
        anchor,
        heading,
        np.deg2rad(rng.uniform(-20, -8)),
        amplitude,
        rate,
        rng.uniform(0, 2 * np.pi, (6, 2)),
    )


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
