# SPDX-License-Identifier: Apache-2.0
"""HHA: horizontal disparity, height above the ground, angle with gravity.

Gupta, Girshick, Arbelaez, Malik, "Learning Rich Features from RGB-D Images for Object Detection and
Segmentation" (ECCV 2014), and their MATLAB program, which decides every constant; in float64 this
gives the same image as that program.

Surfaces are planes n . P = const. Over a window, n . (X/Z, Y/Z, 1) = 1/Z is linear in the pixel:
fitted in pixel offsets from the middle of the window, the moments are small whole numbers, and
float32 suffices. (In the textbook's moments of X/Z and Y/Z the interesting digits cancel.)

One definition in PyTorch, for CPU and GPU; it waits for no result on the way.
"""

from __future__ import annotations

import math

import torch
import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.geometry import depth_to_xyz
from sgnet_core.types import CameraIntrinsics, Gravity

ANGLE_RADIUS_PX, GRAVITY_RADIUS_PX = 3, 10
"""Normals come from square windows: small where they are shown, large where gravity needs them."""

GRAVITY_PASSES_DEG = (45.0,) * 5 + (15.0,) * 5
"""How far from horizontal or vertical a surface may be to count as floor or wall, pass by pass."""

_NEAREST_M, _DISPARITY_M = 1.0, 310.0
_LOWEST_M, _GROUND_BELOW_M = -0.9, -1.3
_LEVEL_ANGLE = 128.0 - 90.0


def encode_hha(
    depth_m: np.ndarray,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None = None,
) -> np.ndarray:
    """The HHA image of a depth image, in float64.

    Args:
        depth_m: (H, W) floating point, metres along the optical axis; NaN, infinite or not above 0
            where there is no measurement.
        intrinsics: of this very resolution.
        gravity: None estimates it from the surfaces, see `estimate_down`. Without the height of
            the camera, the lowest point is the ground, or 1.3 m below the camera where nothing
            lies 0.9 m below it.

    Returns:
        (H, W, 3) uint8: disparity 310 / max(Z, 1 m); height in cm; 38 + the angle in degrees
        between gravity and the normal away from the camera, so 38 is a floor and 128 a wall. What
        is too large is 255. Where there is no measurement all three are 0, and where fewer than
        three pixels in general position support a normal the angle is 0.

    Raises:
        InputError: the intrinsics are of another size.
    """
    depth = torch.from_numpy(np.asarray(depth_m, np.float64))
    hha = depth_to_hha(depth, intrinsics, gravity, gravity_step=1)
    # MATLAB rounds halves up.
    return hha.nan_to_num(0.0).add(0.5).byte().permute(1, 2, 0).contiguous().numpy()


def depth_to_hha(
    depth_m: Tensor,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None = None,
    gravity_step: int = 4,
) -> Tensor:
    """What `encode_hha` rounds.

    Args:
        depth_m: (H, W) float32 or float64; the precision of everything but gravity's, which is
            estimated in float64.
        gravity: None estimates it.
        gravity_step: from every n-th pixel along each axis.

    Returns:
        (3, H, W) in 0..255, dtype and device of `depth_m`; NaN where there is no value.
    """
    points = depth_to_xyz(depth_m, intrinsics)  # checks the size
    valid = torch.isfinite(depth_m) & (depth_m > 0)
    if gravity is None:
        normals = surface_normals(depth_m, intrinsics, GRAVITY_RADIUS_PX, gravity_step)
        down = estimate_down(normals).to(depth_m.dtype)
    else:
        down = torch.from_numpy(gravity.down).to(depth_m)

    height = -torch.einsum('chw,c->hw', points, down)
    if gravity is None or gravity.camera_height_m is None:
        lowest = torch.where(valid, height, math.inf).amin()
        ground = torch.where(lowest > _LOWEST_M, _GROUND_BELOW_M, lowest)
    else:
        ground = -gravity.camera_height_m
    normals = surface_normals(depth_m, intrinsics, ANGLE_RADIUS_PX)
    cosine = torch.einsum('chw,c->hw', normals, down).clamp(-1.0, 1.0)
    hha = torch.stack(
        [
            _DISPARITY_M / depth_m.clamp(min=_NEAREST_M),
            (height - ground) * 100.0,
            torch.rad2deg(torch.acos(cosine)) + _LEVEL_ANGLE,
        ]
    )
    return torch.where(valid, hha.clamp(0.0, 255.0), math.nan)


def surface_normals(
    depth_m: Tensor, intrinsics: CameraIntrinsics, radius_px: int, step: int = 1
) -> Tensor:
    """Unit normals of the planes that fit best to 1/Z in square windows, away from the camera.

    Args:
        depth_m: (H, W); what is not finite and above 0 does not take part.
        intrinsics: of this resolution.
        radius_px: windows have 2 * radius_px + 1 pixels a side, fewer at the border.
        step: every n-th pixel along each axis has a normal.

    Returns:
        (3, ceil(H / step), ceil(W / step)) in the optical frame; NaN where fewer than three pixels,
        or only those of a line, have a measurement.
    """
    valid = torch.isfinite(depth_m) & (depth_m > 0)
    inverse = torch.where(valid, depth_m, 1.0).reciprocal() * valid
    s, sx, sxx, sy, sxy, syy = _window_sums(valid.to(depth_m.dtype), 2, radius_px, step)
    q, qx, qy = _window_sums(inverse, 1, radius_px, step)
    # The adjugate of the normal equations: their solution times the determinant, which is positive.
    c00, c01, c02 = sxx * syy - sxy * sxy, sy * sxy - sx * syy, sx * sxy - sy * sxx
    c11, c12, c22 = s * syy - sy * sy, sx * sy - s * sxy, s * sxx - sx * sx
    middle = c00 * q + c01 * qx + c02 * qy
    per_column = c01 * q + c11 * qx + c12 * qy
    per_row = c02 * q + c12 * qx + c22 * qy

    columns, rows = (
        torch.arange(0, n, step, dtype=depth_m.dtype, device=depth_m.device)
        for n in (intrinsics.width, intrinsics.height)
    )
    from_columns = per_column * (columns - intrinsics.cx)
    from_rows = per_row * (rows - intrinsics.cy)[:, None]
    normals = torch.stack(
        [
            per_column * intrinsics.fx,
            per_row * intrinsics.fy,
            middle - from_columns - from_rows,
        ]
    )
    # n . P > 0: where the fitted 1/Z is positive, it points away already.
    length = normals.square().sum(0).sqrt().copysign(middle)
    determinant = s * c00 + sx * c01 + sy * c02  # a whole number
    return normals / torch.where(determinant > 0.5, length, math.nan)


def _window_sums(image: Tensor, order: int, radius_px: int, step: int) -> list[Tensor]:
    """Sums of image (H, W) * dx^i * dy^j over windows, by j and then i, with i + j <= order."""
    exponents = [(i, j) for j in range(order + 1) for i in range(order + 1 - j)]
    if step == 1 and not image.is_cuda:
        # OpenCV filters a single channel in a tenth of PyTorch's time.
        offsets = np.arange(-radius_px, radius_px + 1, dtype=image.numpy().dtype)
        filtered = (
            cv2.sepFilter2D(
                image.numpy(), -1, offsets**i, offsets**j, borderType=cv2.BORDER_CONSTANT
            )
            for i, j in exponents
        )
        return [torch.from_numpy(sums) for sums in filtered]
    # TF32, which cuDNN takes for float32, has too few digits; for float64 there is no such thing.
    work = image.double() if image.is_cuda else image
    offsets = torch.arange(-radius_px, radius_px + 1, dtype=work.dtype, device=work.device)
    powers = torch.stack([offsets**n for n in range(order + 1)])[
        :, None, None
    ]  # (order+1, 1, 1, w)
    by_row = F.conv2d(
        work[None, None], powers.mT, stride=(step, 1), padding=(radius_px, 0)
    )  # (1, order+1, ceil(H/step), W)
    sums = (
        F.conv2d(by_row[:, j : j + 1], powers[i : i + 1], stride=(1, step), padding=(0, radius_px))
        for i, j in exponents
    )
    return [of_offsets[0, 0].to(image.dtype) for of_offsets in sums]


def estimate_down(normals: Tensor) -> Tensor:
    """The direction of gravity: along the normals of floors and across those of walls.

    Gupta, Arbelaez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D
    Images" (CVPR 2013), section 3.1; starts from the image's own downward axis.

    Args:
        normals: (3, ...), NaN where there is none.

    Returns:
        (3,) float64 unit vector; the start where no normal says anything.
    """
    normals = normals.flatten(1).double().t()
    normals = torch.where(normals.isnan(), 0.0, normals)  # (P, 3)
    down = torch.eye(3, dtype=normals.dtype, device=normals.device)[1]
    for tolerance_deg in GRAVITY_PASSES_DEG:
        tolerance = math.radians(tolerance_deg)
        cosine = (normals @ down).abs()
        walls = (cosine < math.sin(tolerance)).double()
        floors = (cosine > math.cos(tolerance)).double()
        scatter = normals.t() @ (normals * (walls - floors)[:, None])
        down = _smallest_eigenvector(scatter, down)
    return down


def _smallest_eigenvector(matrix: Tensor, start: Tensor) -> Tensor:
    """The unit eigenvector of a symmetric (3, 3) nearest to `start`, which also breaks ties.

    By squaring: on a GPU an eigenvalue routine would wait for the CPU.
    """
    bound = torch.linalg.matrix_norm(matrix) + torch.finfo(matrix.dtype).tiny
    power = torch.eye(3, dtype=matrix.dtype, device=matrix.device) - matrix / bound
    for _ in range(16):
        power = power @ power
        power = power / torch.linalg.matrix_norm(power)
    return F.normalize(power @ start, dim=0)
