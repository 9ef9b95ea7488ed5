# SPDX-License-Identifier: Apache-2.0
"""Steady masks: class probabilities averaged over consecutive frames of one camera.

Each pixel of the score maps is projected into the frame before by its depth and the motion of the
camera. Its past counts if both frames see the same surface there and agree about its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.geometry.depth_registration import checked_transform
from sgnet_core.types import CameraIntrinsics, RgbdFrame

PAST_WEIGHT = 0.75
"""Largest weight of the past: all frames before the last n weigh at most 0.75^n together."""

FULL_OVERLAP = 0.7
"""Overlap of two distributions (sum of minima) from which the past has its full weight; below, its
weight falls in proportion, to 0 for certain but different classes: moving things do not smear."""

DEPTH_TOLERANCE = 0.05
"""Fraction of the depth: beyond, it is another surface that hides or is hidden."""

MAX_GAP_S = 1.0
MAX_TRANSLATION_M, MAX_ROTATION_RAD = 0.5, np.deg2rad(30)
"""Between consecutive frames of a sequence."""

MIN_PROBABILITY = 1e-6
"""Its logarithm is finite."""

Fuse = Callable[[Tensor, RgbdFrame], Tensor]
"""Scores (1, C, h, w) and their frame -> scores of the same shape."""


@dataclass(frozen=True)
class _Past:
    """The last frame, without its image, and its averaged probabilities (1, C, h, w)."""

    probabilities: Tensor
    depth_m: np.ndarray
    intrinsics: CameraIntrinsics
    pose: np.ndarray | None
    stamp_ns: int | None


class TemporalFusion:
    """Averages the class probabilities of consecutive frames; for one network and one thread.

    The past is forgotten if time jumps back or by more than `MAX_GAP_S`, if the camera jumps, or if
    its intrinsics or the shape of the scores change. It also is, pixel by pixel, where a depth is
    missing or differs by more than `DEPTH_TOLERANCE` (another surface).
    """

    def __init__(self) -> None:
        self._past: _Past | None = None

    def reset(self) -> None:
        """Forget the past."""
        self._past = None

    def fuse(
        self,
        scores: Tensor,
        frame: RgbdFrame,
        pose: np.ndarray | None = None,
        stamp_ns: int | None = None,
    ) -> Tensor:
        """The scores of `frame`, averaged with its past.

        Args:
            scores: (1, C, h, w), before softmax, of any size.
            pose: (4, 4) camera to a fixed frame, metres; if it or that of the frame before is None,
                the camera is taken to stand still.
            stamp_ns: None = directly after the frame before.

        Returns:
            (1, C, h, w) on the device of `scores`: logarithms of probabilities in float32, or
            `scores` if there is no past.

        Raises:
            InputError: `pose` is not a rotation and a translation.
        """
        pose = None if pose is None else checked_transform(pose)
        past, self._past = self._past, None
        now = _Past(scores.float().softmax(1), frame.depth_m, frame.intrinsics, pose, stamp_ns)
        if past is not None and _is_continuation(past, now):
            mean = _average(past, now)
            now = _Past(mean, frame.depth_m, frame.intrinsics, pose, stamp_ns)
            scores = mean.clamp_min(MIN_PROBABILITY).log()
        self._past = now
        return scores


def is_near(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two poses (4, 4) may be of consecutive frames."""
    move = np.linalg.inv(before) @ after
    turned_rad = np.arccos(np.clip((np.trace(move[:3, :3]) - 1) / 2, -1, 1))
    return bool(np.linalg.norm(move[:3, 3]) <= MAX_TRANSLATION_M and turned_rad <= MAX_ROTATION_RAD)


def _is_continuation(past: _Past, now: _Past) -> bool:
    if now.probabilities.shape != past.probabilities.shape or now.intrinsics != past.intrinsics:
        return False
    stamps_ns = past.stamp_ns, now.stamp_ns
    if None not in stamps_ns and not 0 < stamps_ns[1] - stamps_ns[0] <= MAX_GAP_S * 1e9:
        return False
    return past.pose is None or now.pose is None or is_near(past.pose, now.pose)


def _average(past: _Past, now: _Past) -> Tensor:
    """(1, C, h, w): the probabilities of `now`, averaged with those of the same surfaces before."""
    u, v, same_surface = _pixels_before(past, now)
    height, width = now.intrinsics.size
    # Scores are resized with aligned corners, see `resize_scores`.
    grid = np.stack([u * (2 / max(width - 1, 1)) - 1, v * (2 / max(height - 1, 1)) - 1], -1)
    current = now.probabilities
    device = current.device
    grid = torch.from_numpy(grid.astype(np.float32)).to(device)[None]
    before = F.grid_sample(past.probabilities, grid, align_corners=True).nan_to_num_(0.0)
    overlap = torch.minimum(current, before).sum(1, keepdim=True)
    weight = overlap.mul_(PAST_WEIGHT / FULL_OVERLAP).clamp_(max=PAST_WEIGHT)
    return current.lerp(before, weight * torch.from_numpy(same_surface).to(device))


def _pixels_before(past: _Past, now: _Past) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column and row in the frame before of each pixel of the score maps (h, w), 0 if unknown, and
    whether both frames see the same surface there, float32.
    """
    (height, width), camera = now.intrinsics.size, now.intrinsics
    rows, columns = (
        np.linspace(0, side - 1, count, dtype=np.float32)
        for side, count in zip((height, width), now.probabilities.shape[2:], strict=True)
    )
    z = now.depth_m[np.ix_(np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp))]
    u, v = np.broadcast_to(columns, z.shape), np.broadcast_to(rows[:, None], z.shape)
    if past.pose is not None and now.pose is not None:
        move = (np.linalg.inv(past.pose) @ now.pose).astype(np.float32)
        x, y = (u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z
        x, y, z = (a * x + b * y + c * z + d for a, b, c, d in move[:3])
        with np.errstate(divide='ignore', invalid='ignore'):
            u, v = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    # False for NaN. Pixels reach half a pixel beyond their centres.
    inside = (z > 0) & (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
    u = np.where(inside, u, 0).clip(0, width - 1)
    v = np.where(inside, v, 0).clip(0, height - 1)
    z_before = past.depth_m[np.rint(v).astype(np.intp), np.rint(u).astype(np.intp)]
    same = inside & (np.abs(z_before - z) <= DEPTH_TOLERANCE * z)
    return u, v, same.astype(np.float32)
