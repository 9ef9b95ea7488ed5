# SPDX-License-Identifier: Apache-2.0
"""Depth to camera-frame coordinates, in the optical frame: x right, y down, z forward (REP 103)."""

from __future__ import annotations

from typing import TypeVar

import torch
import numpy as np
from torch import Tensor

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics

Array = TypeVar('Array', np.ndarray, Tensor)


def depth_to_xyz(depth_m: Array, intrinsics: CameraIntrinsics) -> Array:
    """Camera-frame coordinates of every pixel.

    Args:
        depth_m: (..., H, W) floating point, metres along the optical axis; NaN = no measurement.
        intrinsics: camera of this image size.

    Returns:
        (..., 3, H, W) metres, type, dtype and device of `depth_m`; NaN without a measurement.

    Raises:
        InputError: `intrinsics` are for another image size.
    """
    check_size(depth_m, intrinsics)
    if isinstance(depth_m, np.ndarray):
        u, v = (np.arange(n, dtype=depth_m.dtype) for n in (intrinsics.width, intrinsics.height))
        stack, axis = np.stack, {'axis': -3}
    else:
        u, v = pixel_coordinates(depth_m, intrinsics)
        stack, axis = torch.stack, {'dim': -3}
    x = depth_m * ((u - intrinsics.cx) / intrinsics.fx)
    y = depth_m * ((v - intrinsics.cy) / intrinsics.fy)[:, None]
    return stack([x, y, depth_m], **axis)


def pixel_coordinates(like: Tensor, camera: CameraIntrinsics) -> list[Tensor]:
    """Columns (W,) and rows (H,) of all pixels, with the dtype and device of `like`."""
    return [torch.arange(n, dtype=like.dtype, device=like.device) for n in camera.size[::-1]]


def check_size(depth_m: Array, intrinsics: CameraIntrinsics) -> None:
    """Raise InputError unless depth (..., H, W) has the size that the intrinsics are for."""
    if tuple(depth_m.shape[-2:]) != intrinsics.size:
        raise InputError(
            f'depth is {depth_m.shape[-1]}x{depth_m.shape[-2]}, the intrinsics are for '
            f'{intrinsics.width}x{intrinsics.height}; give those of the depth image'
        )
