# SPDX-License-Identifier: Apache-2.0
"""HHA: horizontal disparity, height above the ground, angle with gravity.

Gupta, Girshick, Arbelaez, Malik, "Learning Rich Features from RGB-D Images for Object Detection and
Segmentation" (ECCV 2014). Their MATLAB program defines every constant; in float64 the image is
equal to its output wherever depth is measured.

One PyTorch implementation serves CPU and GPU; it never synchronises with the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import numpy as np
from torch import Tensor

from sgnet_core.geometry.gravity import GRAVITY_RADIUS_PX, GRAVITY_STEP, estimate_down
from sgnet_core.geometry.normals import inverse_depth, map_planes, missing_as_zero, normalized
from sgnet_core.geometry.point_map import pixel_coordinates
from sgnet_core.types import CameraIntrinsics, Gravity

ANGLE_RADIUS_PX = 3
"""Radius of the windows whose normals give the angle."""

_NEAREST_M, _DISPARITY_M = 1.0, 310.0
_LOWEST_M, _GROUND_BELOW_M = -0.9, -1.3
_LEVEL_ANGLE = 128.0 - 90.0


def encode_hha(
    depth_m: np.ndarray, intrinsics: CameraIntrinsics, gravity: Gravity | None = None
) -> np.ndarray:
    """HHA image of a depth image, computed in float64.

    Args:
        depth_m: (H, W) floating point, metres along the optical axis; NaN, infinite or not above 0
            means no measurement.
        intrinsics: camera of this image size.
        gravity: None estimates it, see `estimate_gravity`. Without a camera height, the lowest
            point is the ground, or 1.3 m below the camera if no point lies 0.9 m below it.

    Returns:
        (H, W, 3) uint8: disparity 310 / max(Z, 1 m); height in cm; 38 + the angle in degrees
        between gravity and the normal away from the camera, so a floor is 38 and a wall 128.
        Values saturate at 255. Without a measurement all three are 0; the angle is 0 if fewer than
        three measured pixels in general position support a normal.

    Raises:
        InputError: `intrinsics` are for another image size.
    """
    depth = torch.from_numpy(np.asarray(depth_m, np.float64))
    return hha_image(depth_to_hha(depth, intrinsics, gravity, gravity_step=1))


def depth_to_hha(
    depth_m: Tensor,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None = None,
    gravity_step: int = GRAVITY_STEP,
) -> Tensor:
    """HHA before rounding; see `encode_hha`.

    Args:
        depth_m: (..., H, W) float32 or float64. Gravity is estimated in float64, the rest in this
            precision.
        gravity: of all images; None estimates it for each.
        gravity_step: estimate gravity from every n-th pixel along each axis.

    Returns:
        (..., 3, H, W) in 0..255, dtype and device of `depth_m`; NaN without a value.
    """
    depth = missing_as_zero(depth_m)
    inverse = inverse_depth(depth)
    if gravity is None:
        coarse = map_planes(normalized, inverse, intrinsics, GRAVITY_RADIUS_PX, gravity_step)
        down = estimate_down(torch.stack(coarse, -3)).to(depth.dtype)[..., None, None].unbind(-3)
    else:
        # So small an upload to a GPU does not synchronise.
        down = torch.from_numpy(gravity.down).to(depth, non_blocking=True).unbind()
    height = _height_above_camera(depth, intrinsics, down)
    if gravity is None or gravity.camera_height_m is None:
        # Missing depth is at camera height, which does not change the rule.
        lowest = height.amin((-2, -1), keepdim=True)
        ground = torch.where(lowest > _LOWEST_M, _GROUND_BELOW_M, lowest)
    else:
        ground = -gravity.camera_height_m
    channels = [
        _DISPARITY_M / depth.clamp(min=_NEAREST_M),
        (height - ground).mul_(100.0),
        _angle_deg(inverse, intrinsics, down).add_(_LEVEL_ANGLE),
    ]
    measured = depth / depth  # 1, or NaN
    return torch.stack(channels, -3).clamp_(0.0, 255.0).mul_(measured[..., None, :, :])


def hha_image(hha: Tensor) -> np.ndarray:
    """(3, H, W) in 0..255 to (H, W, 3) uint8; NaN becomes 0. Halves round up, as in MATLAB."""
    return hha.nan_to_num(0.0).add(0.5).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def _angle_deg(inverse: Tensor, intrinsics: CameraIntrinsics, down: Sequence[Tensor]) -> Tensor:
    """Angle between gravity and the normals of planes fitted to 1/Z."""

    def angle(direction: list[Tensor], length: Tensor) -> list[Tensor]:
        x, y, z = direction
        cosine = (x * down[0]).addcmul_(y, down[1]).addcmul_(z, down[2]).div_(length)
        return [cosine.clamp_(-1.0, 1.0).acos_().rad2deg_()]

    return map_planes(angle, inverse, intrinsics, ANGLE_RADIUS_PX)[0]


def _height_above_camera(
    depth: Tensor, intrinsics: CameraIntrinsics, down: Sequence[Tensor]
) -> Tensor:
    """-P . down of every pixel."""
    u, v = pixel_coordinates(depth, intrinsics)
    by_column = (intrinsics.cx - u) / intrinsics.fx * down[0]
    by_row = ((intrinsics.cy - v) / intrinsics.fy)[:, None] * down[1] - down[2]
    return (by_column + by_row) * depth
