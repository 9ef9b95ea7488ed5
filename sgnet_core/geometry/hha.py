# SPDX-License-Identifier: Apache-2.0
"""HHA: horizontal disparity, height above the ground, angle with gravity.

Gupta, Girshick, Arbelaez, Malik, "Learning Rich Features from RGB-D Images for Object Detection and
Segmentation" (ECCV 2014), and their MATLAB program, which decides every constant; in float64 this
gives the same image as that program.

One definition in PyTorch, for CPU and GPU; it waits for no result on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import numpy as np
from torch import Tensor

from sgnet_core.errors import InputError
from sgnet_core.geometry.gravity import GRAVITY_RADIUS_PX, GRAVITY_STEP, estimate_down
from sgnet_core.geometry.normals import inverse_depth, map_planes, missing_as_zero, normalized
from sgnet_core.geometry.point_map import check_size
from sgnet_core.types import CameraIntrinsics, Gravity

ANGLE_RADIUS_PX = 3
"""Of the windows that the normals of the angle come from."""

_NEAREST_M, _DISPARITY_M = 1.0, 310.0
_LOWEST_M, _GROUND_BELOW_M = -0.9, -1.3
_LEVEL_ANGLE = 128.0 - 90.0


def encode_hha(
    depth_m: np.ndarray,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None = None,
    raw_depth_m: np.ndarray | None = None,
    compat: str | None = None,
) -> np.ndarray:
    """The HHA image of a depth image, in float64.

    Args:
        depth_m: (H, W) floating point, metres along the optical axis; NaN, infinite or not above 0
            where there is no measurement.
        intrinsics: of this very resolution.
        gravity: None estimates it from the surfaces, see `estimate_down`. Without the height of
            the camera, the lowest point is the ground, or 1.3 m below the camera where nothing
            lies 0.9 m below it.
        raw_depth_m: (H, W) as the sensor gave it, where `depth_m` is in-painted: surfaces are
            fitted where this has a measurement. None = `depth_m`.
        compat: None, or 'matlab': what the first program makes of holes. See below.

    Returns:
        (H, W, 3) uint8: disparity 310 / max(Z, 1 m); height in cm; 38 + the angle in degrees
        between gravity and the normal away from the camera, so 38 is a floor and 128 a wall. What
        is too large is 255. Where there is no measurement all three are 0, and where fewer than
        three pixels in general position support a normal the angle is 0.

        With 'matlab', a pixel of `depth_m` without measurement has Z = 0: disparity 255, the
        height of the camera, and the angle of the surface around it. An angle without support is
        218. (On one or two pixels, or a line of them, that program gives what rounding leaves.)

    Raises:
        InputError: the intrinsics are of another size, or the two depths; or `compat` is neither.
    """
    if compat not in (None, 'matlab'):
        raise InputError(f"compat must be None or 'matlab', got {compat!r}")
    depth = missing_as_zero(torch.from_numpy(np.asarray(depth_m, np.float64)))
    inverse = inverse_depth(depth)
    if raw_depth_m is not None:
        raw = torch.from_numpy(np.asarray(raw_depth_m, np.float64))
        check_size(raw, intrinsics)
        inverse *= inverse_depth(raw) > 0
    hha = _channels(depth, inverse, intrinsics, gravity, gravity_step=1)
    if compat == 'matlab':
        # Of a point at Z = 0, a normal away from the camera is one with positive z.
        towards = (depth == 0) & (
            map_planes(normalized, inverse, intrinsics, ANGLE_RADIUS_PX)[2] < 0
        )
        hha[2].sub_(2 * (hha[2] - 90.0 - _LEVEL_ANGLE) * towards).nan_to_num_(180.0 + _LEVEL_ANGLE)
    else:
        hha *= depth / depth
    return hha_image(hha)


def depth_to_hha(
    depth_m: Tensor,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None = None,
    gravity_step: int = GRAVITY_STEP,
) -> Tensor:
    """What `encode_hha` rounds.

    Args:
        depth_m: (..., H, W) float32 or float64; the precision of everything but gravity's, which is
            estimated in float64.
        intrinsics: of this resolution.
        gravity: of all; None estimates it for each.
        gravity_step: from every n-th pixel along each axis.

    Returns:
        (..., 3, H, W) in 0..255, dtype and device of `depth_m`; NaN where there is no value.

    Raises:
        InputError: the intrinsics are of another size.
    """
    depth = missing_as_zero(depth_m)
    hha = _channels(depth, inverse_depth(depth), intrinsics, gravity, gravity_step)
    return hha.mul_((depth / depth)[..., None, :, :])  # 1, and NaN in holes


def hha_image(hha: Tensor) -> np.ndarray:
    """(3, H, W) in 0..255, NaN where there is no value, as (H, W, 3) uint8, 0 there.

    Halves are rounded up, as MATLAB does.
    """
    return hha.nan_to_num(0.0).add(0.5).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def _channels(
    depth: Tensor,
    inverse: Tensor,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None,
    gravity_step: int,
) -> Tensor:
    """(..., 3, H, W) in 0..255 of a depth whose holes are 0, and of planes fitted to 1/Z."""
    if gravity is None:
        coarse = torch.stack(
            map_planes(normalized, inverse, intrinsics, GRAVITY_RADIUS_PX, gravity_step), -3
        )
        down = estimate_down(coarse).to(depth.dtype)[..., None, None].unbind(-3)
    else:
        # So small an upload to a GPU does not wait for it.
        down = torch.from_numpy(gravity.down).to(depth, non_blocking=True).unbind()
    height = _height_above_camera(depth, intrinsics, down)
    if gravity is None or gravity.camera_height_m is None:
        # Holes are as high as the camera, which leaves the rule as it is.
        lowest = height.amin((-2, -1), keepdim=True)
        ground = torch.where(lowest > _LOWEST_M, _GROUND_BELOW_M, lowest)
    else:
        ground = -gravity.camera_height_m
    hha = torch.stack(
        [
            _DISPARITY_M / depth.clamp(min=_NEAREST_M),
            (height - ground).mul_(100.0),
            _angle_deg(inverse, intrinsics, down).add_(_LEVEL_ANGLE),
        ],
        -3,
    )
    return hha.clamp_(0.0, 255.0)


def _angle_deg(inverse: Tensor, intrinsics: CameraIntrinsics, down: Sequence[Tensor]) -> Tensor:
    """Between gravity and the normals of planes fitted to 1/Z."""

    def angle(direction: list[Tensor], length: Tensor) -> list[Tensor]:
        x, y, z = direction
        cosine = (x * down[0]).addcmul_(y, down[1]).addcmul_(z, down[2]).div_(length)
        return [cosine.clamp_(-1.0, 1.0).acos_().rad2deg_()]

    return map_planes(angle, inverse, intrinsics, ANGLE_RADIUS_PX)[0]


def _height_above_camera(
    depth: Tensor, intrinsics: CameraIntrinsics, down: Sequence[Tensor]
) -> Tensor:
    """-P . down of every pixel."""
    u, v = (
        torch.arange(n, dtype=depth.dtype, device=depth.device)
        for n in (intrinsics.width, intrinsics.height)
    )
    by_column = (intrinsics.cx - u) / intrinsics.fx * down[0]
    by_row = ((intrinsics.cy - v) / intrinsics.fy)[:, None] * down[1] - down[2]
    return (by_column + by_row) * depth
