# SPDX-License-Identifier: Apache-2.0
"""Which way is down, from the surfaces that a depth image shows."""

from __future__ import annotations

import math

import torch
import numpy as np
from torch import Tensor

from sgnet_core.geometry.normals import surface_normals
from sgnet_core.types import CameraIntrinsics, Gravity

GRAVITY_RADIUS_PX = 10
"""Of the windows that gravity's normals come from."""

GRAVITY_STEP = 4
"""Every n-th pixel along each axis says enough: 0.03 degrees from what all of them say."""

_WIDE_DEG, _NARROW_DEG = (45.0,) * 5, (15.0,) * 5
"""How far from horizontal or vertical a surface may be to count as floor or wall, pass by pass."""

_MIN_FIT = 0.9
"""A direction fits if it explains this share of the surfaces that the best one known explains."""


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

    Gupta, Arbelaez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D
    Images" (CVPR 2013), section 3.1; from the image's own downward axis, first coarsely, then
    finely.

    Args:
        normals: (..., 3, h, w), NaN where there is none.
        start: (..., 3) where gravity was a moment ago; from there finely only, unless the result
            explains clearly fewer surfaces than that of the whole search.

    Returns:
        (..., 3) float64 unit vector; where no normal says anything, the start.
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
    """Twice the number of normals that are of floors or walls, (..., 1)."""
    classes = _classify(normals, down, _NARROW_DEG[-1])
    # A normal that is none has length 0.
    return (classes.abs() * normals.square().sum(-2, keepdim=True)).sum(-1)


def _classify(normals: Tensor, down: Tensor, tolerance_deg: float) -> Tensor:
    """2 for the normal of a wall, -2 of a floor or ceiling, 0 of neither; (..., 1, P)."""
    tolerance = math.radians(tolerance_deg)
    cosine = (down[..., None, :] @ normals).abs_()
    # PyTorch takes five times as long to compare.
    wall, no_floor = (limit(tolerance) - cosine for limit in (math.sin, math.cos))
    return wall.sign_().add_(no_floor.sign_())


def _smallest_eigenvector(matrix: Tensor, start: Tensor) -> Tensor:
    """The unit eigenvector of symmetric (..., 3, 3) nearest to `start`, which also breaks ties.

    By squaring: on a GPU an eigenvalue routine would wait for the CPU. The start where it says
    nothing of the eigenvector, being at a right angle to it.
    """
    bound = torch.linalg.matrix_norm(matrix, keepdim=True) + torch.finfo(matrix.dtype).tiny
    power = torch.eye(3, dtype=matrix.dtype, device=matrix.device) - matrix / bound
    for _ in range(2):
        power = torch.linalg.matrix_power(power, 256)  # more would leave the range of float64
        power = power / torch.linalg.matrix_norm(power, keepdim=True)
    nearest = (power @ start[..., None])[..., 0]
    length = torch.linalg.vector_norm(nearest, dim=-1, keepdim=True)
    return torch.where(length > 1e-12, nearest / length, start)
