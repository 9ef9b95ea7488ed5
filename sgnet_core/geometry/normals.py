# SPDX-License-Identifier: Apache-2.0
"""Surface normals from a depth image.

A plane n . P = const. is linear in the pixel: n . (X/Z, Y/Z, 1) = 1/Z. In pixel offsets from the
centre of the window the moments of the fit are small integers, and float32 suffices; the usual
moments of X/Z and Y/Z lose their significant digits by cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.geometry.point_map import check_size
from sgnet_core.types import CameraIntrinsics

_STRIP_PIXELS = 1 << 15
"""Pixels whose moments and results fit in the cache of a CPU core."""


def missing_as_zero(depth_m: Tensor) -> Tensor:
    """Depth with 0 wherever it is not finite and above 0."""
    # `where` costs a CPU ten times as much if missing pixels are scattered.
    return depth_m.nan_to_num(0.0, 0.0, 0.0).clamp_(min=0.0)


def surface_normals(
    depth_m: Tensor, intrinsics: CameraIntrinsics, radius_px: int, step: int = 1
) -> Tensor:
    """Unit normals of the planes that fit best to 1/Z in square windows, away from the camera.

    Args:
        depth_m: (..., H, W) float32 or float64, metres along the optical axis; NaN, infinite or not
            above 0 means no measurement.
        intrinsics: camera of this image size.
        radius_px: windows have 2 * radius_px + 1 pixels a side, fewer at the border.
        step: return the normal of every n-th pixel along each axis.

    Returns:
        (..., 3, ceil(H / step), ceil(W / step)) in the optical frame (x right, y down, z forward),
        of the dtype and device of `depth_m`; NaN if fewer than three measured pixels of the window
        are in general position.

    Raises:
        InputError: `intrinsics` are for another image size.
    """
    parts = map_planes(normalized, inverse_depth(depth_m), intrinsics, radius_px, step)
    return torch.stack(parts, -3)


def normalized(direction: list[Tensor], length: Tensor) -> list[Tensor]:
    """Normals of unit length; a `compute` for `map_planes`."""
    return [part.div_(length) for part in direction]


def inverse_depth(depth_m: Tensor) -> Tensor:
    """1/Z, and 0 where depth is not finite and above 0."""
    return missing_as_zero(depth_m).reciprocal_().nan_to_num_(0.0, 0.0, 0.0)


def map_planes(
    compute: Callable[[list[Tensor], Tensor], list[Tensor]],
    inverse: Tensor,
    intrinsics: CameraIntrinsics,
    radius_px: int,
    step: int = 1,
) -> list[Tensor]:
    """Apply `compute` to the planes of `surface_normals`, on a CPU strip by strip.

    Args:
        compute: takes x, y and z of the normals and their length, each (..., h, w), NaN without a
            plane; it may overwrite them and returns C images.
        inverse: (..., H, W), see `inverse_depth`.

    Returns:
        The C images, (..., ceil(H / step), ceil(W / step)).
    """
    check_size(inverse, intrinsics)
    sums = _moments(inverse, radius_px, step)
    columns, rows = (
        torch.arange(0, n, step, dtype=inverse.dtype, device=inverse.device) - middle
        for n, middle in zip(intrinsics.size[::-1], (intrinsics.cx, intrinsics.cy), strict=True)
    )
    rows, focal = rows[:, None], (intrinsics.fx, intrinsics.fy)
    if not _in_opencv(inverse):
        return compute(*_normals(sums, columns, rows, focal))
    *batch, height, width = sums[0].shape
    strip_rows = max(1, _STRIP_PIXELS * height // max(1, sums[0].numel()))
    found = []
    for top in range(0, height, strip_rows):
        strip = np.s_[..., top : top + strip_rows, :]
        images = compute(*_normals([moment[strip] for moment in sums], columns, rows[strip], focal))
        found = found or [torch.empty_like(sums[0]) for _ in images]
        for whole, image in zip(found, images, strict=True):
            whole[strip] = image
    return found


def _normals(
    sums: list[Tensor], columns: Tensor, rows: Tensor, focal: tuple[float, float]
) -> tuple[list[Tensor], Tensor]:
    """Solve the normal equations of every window: x, y and z of the normals, and their length.

    `sums` are those of `_moments`; `columns` (w,) and `rows` (h, 1) count pixels from the principal
    point; `focal` are the focal lengths along x and y in pixels.
    """
    s, sx, sxx, sy, sxy, syy, q, qx, qy = sums
    # The adjugate gives the solution times the determinant, which is positive.
    c00 = (sxx * syy).addcmul_(sxy, sxy, value=-1)
    c01 = (sy * sxy).addcmul_(sx, syy, value=-1)
    c02 = (sx * sxy).addcmul_(sy, sxx, value=-1)
    c11 = (s * syy).addcmul_(sy, sy, value=-1)
    c12 = (sx * sy).addcmul_(s, sxy, value=-1)
    c22 = (s * sxx).addcmul_(sx, sx, value=-1)
    middle = (c00 * q).addcmul_(c01, qx).addcmul_(c02, qy)
    per_column = (c01 * q).addcmul_(c11, qx).addcmul_(c12, qy)
    per_row = (c02 * q).addcmul_(c12, qx).addcmul_(c22, qy)

    z = middle.addcmul(per_column, columns, value=-1).addcmul_(per_row, rows, value=-1)
    x, y = per_column.mul_(focal[0]), per_row.mul_(focal[1])
    # n . P > 0: a normal points away from the camera if the fitted 1/Z is positive.
    length = (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_().copysign_(middle)
    determinant = c00.mul_(s).addcmul_(sx, c01).addcmul_(sy, c02)  # an integer, 0 on a line
    return [x, y, z], length.mul_(determinant.div_(determinant))


def _in_opencv(image: Tensor) -> bool:
    """Whether OpenCV filters: ten times as fast as PyTorch, but opaque to torch.compile."""
    return image.device.type == 'cpu' and not torch.compiler.is_compiling()


def _moments(inverse: Tensor, radius_px: int, step: int) -> list[Tensor]:
    """Sums of dx^i * dy^j over the measured pixels of windows, and of dx^i * dy^j / Z.

    By j and then i: six with i + j <= 2, three with i + j <= 1; each (..., h, w).
    """
    if step == 1 and _in_opencv(inverse):
        # A comparison in PyTorch takes ten times as long.
        mask = np.greater(inverse.numpy(), 0).view(np.uint8)
        filters = [(mask, *n) for n in _exponents(2)]
        filters += [(inverse.numpy(), *n) for n in _exponents(1)]
        # OpenCV runs each filter on one core.
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            return list(threads.map(lambda f: _filtered(*f, radius_px, inverse.dtype), filters))
    sums = ((inverse.sign(), 2), (inverse, 1))
    return [s for image, order in sums for s in _multiplied(image, order, radius_px, step)]


def _filtered(images: np.ndarray, i: int, j: int, radius_px: int, dtype: torch.dtype) -> Tensor:
    """Sums of images (..., H, W) * dx^i * dy^j over the window of every pixel, by OpenCV."""
    offsets = np.arange(-radius_px, radius_px + 1, dtype=np.float64)
    sums = torch.empty(images.shape, dtype=dtype)
    depth, border = cv2.CV_32F if dtype == torch.float32 else cv2.CV_64F, cv2.BORDER_CONSTANT
    for index in np.ndindex(images.shape[:-2]):
        found = sums[index].numpy()
        cv2.sepFilter2D(images[index], depth, offsets**i, offsets**j, found, borderType=border)
    return sums


def _multiplied(image: Tensor, order: int, radius_px: int, step: int) -> Iterator[Tensor]:
    """Window sums at every n-th pixel, as matrix products with the powers of the offsets."""
    # TF32, which a GPU may use for float32, has too few digits; float64 has no such mode.
    work = F.pad(image.double() if image.is_cuda else image, (radius_px,) * 4)
    offsets = torch.arange(-radius_px, radius_px + 1, dtype=work.dtype, device=work.device)
    powers = torch.stack([offsets**n for n in range(order + 1)])  # (J, window)
    by_row = powers @ work.unfold(-2, len(offsets), step).mT  # (..., h, J, W)
    # Windows along the first axis overlap in memory; along the last they would be copied out.
    by_row = by_row.movedim(-1, -3).flatten(-2)  # (..., W, h * J)
    sums = powers @ by_row.unfold(-2, len(offsets), step).mT  # (..., w, J, h * J)
    sums = sums.unflatten(-1, (-1, order + 1)).to(image.dtype)  # (..., w, i, h, j)
    for i, j in _exponents(order):
        yield sums[..., i, :, j].mT.contiguous()


def _exponents(order: int) -> list[tuple[int, int]]:
    """(i, j) with i + j <= order, by j and then i."""
    return [(i, j) for j in range(order + 1) for i in range(order + 1 - j)]
