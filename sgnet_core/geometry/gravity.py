# SPDX-License-Identifier: Apache-2.0
"""The direction of gravity, estimated from the surfaces in a depth image."""

from __future__ import annotations

import math

import torch
import numpy as np
from torch import Tensor

from sgnet_core.geometry.normals import surface_normals
from sgnet_core.types import CameraIntrinsics, Gravity

GRAVITY_RADIUS_PX = 10
"""Radius of the windows of the normals."""

GRAVITY_STEP = 4
"""Every n-th pixel along each axis is used: 0.03 degrees from the estimate of all pixels."""

_WIDE_DEG, _NARROW_DEG = (45.0,) * 5, (15.0,) * 5
"""Tolerance from horizontal or vertical for a surface to be a floor or wall, pass by pass."""

_MIN_FIT = 0.9
"""A start is kept if it explains this share of the surfaces that a full search explains."""


def estimate_gravity(depth_m: np.ndarray, intrinsics: CameraIntrinsics) -> Gravity:
    """The direction of gravity in one depth image, estimated from floors and walls.

    Gupta, Arbelaez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D
    Images" (CVPR 2013), section 3.1. `GravityTracker` is more accurate in a video.

    Args:
        depth_m: (H, W) float32 or float64, metres along the optical axis; NaN = no measurement.
        intrinsics: camera of this image size.

    Returns:
        Unit vector in the optical frame (x right, y down, z forward), without a camera height;
        (0, 1, 0) if no surface is measured.

    Raises:
        InputError: `intrinsics` are for another image size.
    """
    return GravityTracker().update(depth_m, intrinsics)


class GravityTracker:
    """Estimates gravity frame by frame; each estimate starts from the previous one.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._down: Tensor | None = None

    def update(self, depth_m: np.ndarray, intrinsics: CameraIntrinsics) -> Gravity:
        """Gravity in the next frame of a video; see `estimate_gravity`."""
        depth = torch.from_numpy(depth_m)
        normals = surface_normals(depth, intrinsics, GRAVITY_RADIUS_PX, GRAVITY_STEP)
        self._down = estimate_down(normals, self._down)
        return Gravity(self._down.numpy())

    def reset(self) -> None:
        """Forget the previous estimate: the next frame belongs to another video."""
        self._down = None


def estimate_down(normals: Tensor, start: Tensor | None = None) -> Tensor:
    """The direction of gravity: along the normals of floors and across those of walls.

    The search starts at the downward axis of the image, first coarse, then fine.

    Args:
        normals: (..., 3, h, w), NaN without a normal.
        start: (..., 3) the previous estimate. A fine search from there is kept unless it explains
            clearly fewer surfaces than the full search.

    Returns:
        (..., 3) float64 unit vector; the start if there are no normals.
    """
    normals = normals.flatten(-2).double().nan_to_num(0.0)  # (..., 3, P)
    level = torch.zeros_like(normals[..., 0])
    level[..., 1] = 1.0
    down = _refine(normals, level, _WIDE_DEG + _NARROW_DEG)
    if start is None:
        return down
    warm = _refine(normals, start.expand_as(down), _NARROW_DEG)
    fits = _support(normals, warm) >= _MIN_FIT * _support(normals, down)
    return torch.where(fits, warm, down)


def _refine(normals: Tensor, down: Tensor, tolerances_deg: tuple[float, ...]) -> Tensor:
    """One pass for each tolerance; normals (..., 3, P), down (..., 3)."""
    for tolerance_deg in tolerances_deg:
        scatter = (normals * _classify(normals, down, tolerance_deg)) @ normals.mT  # (..., 3, 3)
        down = _smallest_eigenvector(scatter, down)
    return down


def _support(normals: Tensor, down: Tensor) -> Tensor:
    """Twice the number of normals of floors and walls, (..., 1)."""
    classes = _classify(normals, down, _NARROW_DEG[-1])
    # A missing normal has length 0.
    return (classes.abs() * normals.square().sum(-2, keepdim=True)).sum(-1)


def _classify(normals: Tensor, down: Tensor, tolerance_deg: float) -> Tensor:
    """2 for the normal of a wall, -2 of a floor or ceiling, 0 of neither; (..., 1, P)."""
    tolerance = math.radians(tolerance_deg)
    cosine = (down[..., None, :] @ normals).abs_()
    # A comparison in PyTorch takes five times as long.
    wall, no_floor = (limit(tolerance) - cosine for limit in (math.sin, math.cos))
    return wall.sign_().add_(no_floor.sign_())


def _smallest_eigenvector(matrix: Tensor, start: Tensor) -> Tensor:
    """Unit eigenvector of the smallest eigenvalue of symmetric (..., 3, 3), on the side of `start`.

    Computed by squaring: an eigenvalue routine would synchronise a GPU. A `start` orthogonal to the
    eigenvector is returned unchanged.
    """
    bound = torch.linalg.matrix_norm(matrix, keepdim=True) + torch.finfo(matrix.dtype).tiny
    power = torch.eye(3, dtype=matrix.dtype, device=matrix.device) - matrix / bound
    for _ in range(2):
        power = torch.linalg.matrix_power(power, 256)  # more leaves the range of float64
        power = power / torch.linalg.matrix_norm(power, keepdim=True)
    nearest = (power @ start[..., None])[..., 0]
    length = torch.linalg.vector_norm(nearest, dim=-1, keepdim=True)
    return torch.where(length > 1e-12, nearest / length, start)
