# SPDX-License-Identifier: Apache-2.0
"""One camera as a text file: its 3x3 matrix, row by row. The size is that of its image."""

from __future__ import annotations

import numpy as np

from sgnet_core.errors import DataError
from sgnet_core.types import CameraIntrinsics


def intrinsics_from_text(text: str, size: tuple[int, int]) -> CameraIntrinsics:
    """Read nine numbers, `fx 0 cx  0 fy cy  0 0 1`, as the camera of an image of (height, width).

    Raises:
        DataError: they are no matrix of a pinhole camera without skew.
        InputError: a focal length is not positive.
    """
    try:
        matrix = np.array(text.split(), np.float64).reshape(3, 3)
    except ValueError as error:
        raise DataError(
            f'no 3x3 matrix ({len(text.split())} words); write `fx 0 cx`, `0 fy cy`, `0 0 1`'
        ) from error
    (fx, skew, cx), (zero, fy, cy), last = matrix.tolist()
    if skew or zero or last != [0, 0, 1]:
        raise DataError(
            f'{matrix.tolist()} is no pinhole camera; write `fx 0 cx`, `0 fy cy`, `0 0 1`'
        )
    return CameraIntrinsics(size[1], size[0], fx, fy, cx, cy)


def intrinsics_to_text(camera: CameraIntrinsics) -> str:
    """The matrix in three lines, which `intrinsics_from_text` reads back exactly."""
    return f'{camera.fx!r} 0 {camera.cx!r}\n0 {camera.fy!r} {camera.cy!r}\n0 0 1\n'
