# SPDX-License-Identifier: Apache-2.0
"""Registers depth to the colour camera, for cameras that do not align it themselves.

Every measurement is projected into the colour image as a small square patch; the nearest patch wins
a pixel. One PyTorch implementation serves CPU and GPU; it never synchronises with the GPU. Cameras
are pinholes: undistort both images first if distortion matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.errors import InputError
from sgnet_core.geometry.point_map import Array, check_size, pixel_coordinates
from sgnet_core.types import CameraIntrinsics

CRACK_PX = 1
"""Width of gaps that are closed: neighbours on a slanted surface move apart by that much."""

MAX_FOCAL_RATIO = 128
"""Largest plausible ratio of two focal lengths: 8x8 depth pixels and a colour camera of 4K."""

_NEGLIGIBLE_PX = 0.1
"""Patches may be too small by this: every tenth row or column is then a crack, and closed."""

_LARGEST_PX = 2**24
"""float32 counts pixels exactly up to here."""

_RIGID_TOLERANCE = 1e-3
"""Tolerance on R R^T: a calibration printed with four digits passes, a scaled one does not."""


def register_depth(
    depth_m: Array,
    depth_intrinsics: CameraIntrinsics,
    rgb_intrinsics: CameraIntrinsics,
    rgb_from_depth: np.ndarray,
) -> Array:
    """Depth at the pixels of the colour camera.

    Patches are as large as the ratio of the focal lengths, rounded up, so that a far surface does
    not show between the samples of a near one. Gaps up to `CRACK_PX` wide take the depth of their
    farther side, including gaps of missing depth.

    Args:
        depth_m: (..., H, W) floating point, metres along the optical axis of the depth camera;
            NaN, infinite or not above 0 means no measurement.
        depth_intrinsics: camera of this image size.
        rgb_intrinsics: camera of the colour image (h, w).
        rgb_from_depth: (4, 4) rigid transform between the optical frames, metres:
            point_rgb = rgb_from_depth @ point_depth.

    Returns:
        (..., h, w) metres along the optical axis of the colour camera, of the type, dtype and
        device of `depth_m`; NaN without a measurement. The result is deterministic.

    Raises:
        InputError: `depth_m` is not floating point or does not have the size of its intrinsics, the
            colour image has more than 16 million pixels, the focal lengths cannot be those of a
            pair, or the transform is not rigid.
    """
    if isinstance(depth_m, np.ndarray):
        depth = torch.from_numpy(np.ascontiguousarray(depth_m))
        return register_depth(depth, depth_intrinsics, rgb_intrinsics, rgb_from_depth).numpy()
    if not depth_m.is_floating_point():
        raise InputError(f'depth must be metres in floating point, got {depth_m.dtype}')
    check_size(depth_m, depth_intrinsics)
    if math.prod(rgb_intrinsics.size) > _LARGEST_PX:
        raise InputError(
            f'the colour image is {rgb_intrinsics.width}x{rgb_intrinsics.height}, more than '
            f'{_LARGEST_PX} pixels; register to a smaller one (CameraIntrinsics.resized)'
        )
    projection = _camera_matrix(rgb_intrinsics) @ checked_transform(rgb_from_depth)[:3]
    columns, rows, nearness = _project(depth_m, projection, depth_intrinsics)
    ratios = rgb_intrinsics.fx / depth_intrinsics.fx, rgb_intrinsics.fy / depth_intrinsics.fy
    if not 1 / MAX_FOCAL_RATIO <= min(ratios) <= max(ratios) <= MAX_FOCAL_RATIO:
        raise InputError(
            f'the focal lengths of colour and depth differ by more than a factor of '
            f'{MAX_FOCAL_RATIO}: {rgb_intrinsics} and {depth_intrinsics}; correct the camera_info '
            'that is wrong'
        )
    patch = [max(1, math.ceil(ratio - _NEGLIGIBLE_PX)) for ratio in ratios]
    nearest = _nearest_patches(columns, rows, nearness, patch, rgb_intrinsics.size)
    crack = (CRACK_PX + 1,) * 2
    closed = _window(F.pad(nearest, (CRACK_PX,) * 4), crack, torch.maximum)
    closed = _window(closed, crack, torch.minimum)
    registered = torch.addcmul(nearest, closed, 1 - nearest.sign())
    return registered.reciprocal_().nan_to_num_(posinf=math.nan)


def checked_transform(matrix: np.ndarray) -> np.ndarray:
    """A rigid transform as (4, 4) float64; InputError unless it is a rotation and a translation."""
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InputError(f'a transform must be 4x4 finite numbers, got {matrix.tolist()}')
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > _RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise InputError(
            f'the transform must be rigid: its rotation is off by {error:.3g} (at most '
            f'{_RIGID_TOLERANCE:g}), determinant {np.linalg.det(rotation):.3g} (must be 1); '
            'give a rotation and a translation in metres'
        )
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise InputError(f'the last row of a transform must be 0 0 0 1, got {matrix[3].tolist()}')
    return matrix


def _camera_matrix(camera: CameraIntrinsics) -> np.ndarray:
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])


def _project(
    depth_m: Tensor, projection: np.ndarray, camera: CameraIntrinsics
) -> tuple[Tensor, Tensor, Tensor]:
    """Column, row and 1/Z of every measurement in the image of `projection` (3, 4).

    1/Z is 0 without a measurement, and not above 0 behind the camera.
    """
    u, v = pixel_coordinates(depth_m, camera)
    nearness = depth_m.reciprocal().nan_to_num_(0.0, 0.0, 0.0).clamp_(min=0.0)
    # Numbers, not tensors: an upload of constants would synchronise a GPU.
    per_pixel = (projection[:, :3] @ np.linalg.inv(_camera_matrix(camera))).tolist()
    x, y, z = (
        (u * a + (v * b + c)[:, None]).add(nearness, alpha=offset)
        for (a, b, c), offset in zip(per_pixel, projection[:, 3].tolist(), strict=True)
    )
    scale = z.reciprocal_()
    return x.mul_(scale), y.mul_(scale), nearness.mul_(scale).nan_to_num_(0.0, 0.0, 0.0)


def _nearest_patches(
    columns: Tensor, rows: Tensor, nearness: Tensor, patch: Sequence[int], size: tuple[int, int]
) -> Tensor:
    """(..., h, w): the largest 1/Z of the patches (width, height) that cover a pixel; 0 for none.

    No masks: on a CPU they cost PyTorch more than everything else here.
    """
    # Each patch is written as its first pixel and spread by a maximum over the pixels to the left
    # and above. The canvas begins one patch earlier; a ring around it takes everything outside.
    height, width = size[0] + patch[1] + 1, size[1] + patch[0] + 1
    column = columns.add_(patch[0] / 2).nan_to_num_(0.0).ceil_().clamp_(0, width - 1)
    row = rows.add_(patch[1] / 2).nan_to_num_(0.0).ceil_().clamp_(0, height - 1)
    index = row.mul_(width).add_(column).long()
    canvas = nearness.new_zeros((*nearness.shape[:-2], height * width))
    canvas.scatter_reduce_(-1, index.flatten(-2), nearness.flatten(-2), 'amax')
    canvas = canvas.unflatten(-1, (height, width))[..., 1:-1, 1:-1]
    return _window(canvas, patch, torch.maximum)


def _window(
    image: Tensor, size: Sequence[int], choose: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Minimum or maximum over windows (width, height) that lie inside the image."""
    for dim, extent in zip((-1, -2), size, strict=True):
        covered = 1
        while covered < extent:
            step = min(covered, extent - covered)
            length = image.shape[dim] - step
            image = choose(image.narrow(dim, 0, length), image.narrow(dim, step, length))
            covered += step
    return image
