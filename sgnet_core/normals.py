# SPDX-License-Identifier: Apache-2.0
"""Surface normals from a depth image.

A plane n . P = const. is linear in the pixel: n . (X/Z, Y/Z, 1) = 1/Z. Fitted in pixel offsets from
the middle of the window, its moments are small whole numbers, and float32 suffices. (In the
textbook's moments of X/Z and Y/Z the interesting digits cancel.)
"""

from __future__ import annotations

import math

import torch
import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.geometry import check_size
from sgnet_core.types import CameraIntrinsics

_STRIP_PIXELS = 1 << 15
"""So many pixels of all moments and what comes of them stay in the cache of a CPU's core."""


def holes_as_zero(depth_m: Tensor) -> Tensor:
    """Depth with 0 wherever it is not finite and above 0."""
    # `where` on scattered holes costs a CPU ten times as much.
    return depth_m.nan_to_num(0.0, 0.0, 0.0).clamp(min=0.0)


def surface_normals(
    depth_m: Tensor, intrinsics: CameraIntrinsics, radius_px: int, step: int = 1
) -> Tensor:
    """Unit normals of the planes that fit best to 1/Z in square windows, away from the camera.

    Args:
        depth_m: (..., H, W) float32 or float64; what is not finite and above 0 does not take part.
        intrinsics: of this resolution.
        radius_px: windows have 2 * radius_px + 1 pixels a side, fewer at the border.
        step: every n-th pixel along each axis has a normal.

    Returns:
        (..., 3, ceil(H / step), ceil(W / step)) in the optical frame; NaN where fewer than three
        pixels, or only those of a line, have a measurement.

    Raises:
        InputError: the intrinsics are of another size.
    """
    check_size(depth_m, intrinsics)
    inverse = holes_as_zero(depth_m).reciprocal().nan_to_num(0.0, 0.0, 0.0)
    sums = [
        *_window_sums(inverse > 0, 2, radius_px, step, inverse.dtype),
        *_window_sums(inverse, 1, radius_px, step, inverse.dtype),
    ]
    columns, rows = (
        torch.arange(0, n, step, dtype=inverse.dtype, device=inverse.device) - middle
        for n, middle in zip(intrinsics.size[::-1], (intrinsics.cx, intrinsics.cy), strict=True)
    )
    focal = intrinsics.fx, intrinsics.fy
    if not _in_opencv(inverse):
        return torch.stack(_normals_of_sums(sums, columns, rows[:, None], focal), -3)
    *batch, height, width = sums[0].shape
    normals = inverse.new_empty(*batch, 3, height, width)
    strip_rows = max(1, _STRIP_PIXELS // max(1, width * math.prod(batch)))
    for top in range(0, height, strip_rows):
        strip = slice(top, top + strip_rows)
        of_strip = [moment[..., strip, :] for moment in sums]
        parts = _normals_of_sums(of_strip, columns, rows[strip, None], focal)
        for axis, part in enumerate(parts):
            normals[..., axis, strip, :] = part
    return normals


def _normals_of_sums(
    sums: list[Tensor], columns: Tensor, rows: Tensor, focal: tuple[float, float]
) -> list[Tensor]:
    """Solve the normal equations of every window: x, y and z of the normals, each (..., h, w).

    Args:
        sums: of the mask and of 1/Z, as `_window_sums` orders them.
        columns, rows: (w,) and (h, 1) from the principal point, pixels.
        focal: lengths along x and y, pixels.
    """
    s, sx, sxx, sy, sxy, syy, q, qx, qy = sums
    # The adjugate: the solution times the determinant, which is positive.
    c00 = torch.addcmul(sxx * syy, sxy, sxy, value=-1)
    c01 = torch.addcmul(sy * sxy, sx, syy, value=-1)
    c02 = torch.addcmul(sx * sxy, sy, sxx, value=-1)
    c11 = torch.addcmul(s * syy, sy, sy, value=-1)
    c12 = torch.addcmul(sx * sy, s, sxy, value=-1)
    c22 = torch.addcmul(s * sxx, sx, sx, value=-1)
    middle = (c00 * q).addcmul_(c01, qx).addcmul_(c02, qy)
    per_column = (c01 * q).addcmul_(c11, qx).addcmul_(c12, qy)
    per_row = (c02 * q).addcmul_(c12, qx).addcmul_(c22, qy)

    z = middle.addcmul(per_column, columns, value=-1).addcmul_(per_row, rows, value=-1)
    x, y = per_column.mul_(focal[0]), per_row.mul_(focal[1])
    # n . P > 0: where the fitted 1/Z is positive, it points away already.
    length = (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_().copysign_(middle)
    determinant = (s * c00).addcmul_(sx, c01).addcmul_(sy, c02)  # a whole number
    length.masked_fill_(determinant < 0.5, math.nan)
    return [part.div_(length) for part in (x, y, z)]


def _in_opencv(image: Tensor) -> bool:
    """OpenCV filters a single channel in a tenth of PyTorch's time; compilers cannot follow."""
    return image.device.type == 'cpu' and not torch.compiler.is_compiling()


def _window_sums(
    image: Tensor, order: int, radius_px: int, step: int, dtype: torch.dtype
) -> list[Tensor]:
    """Sums of image (..., H, W) * dx^i * dy^j over windows, by j and then i, with i + j <= order.

    Args:
        image: bool, or of `dtype`.
    """
    exponents = [(i, j) for j in range(order + 1) for i in range(order + 1 - j)]
    if step == 1 and _in_opencv(image):
        return _filtered(image, exponents, radius_px, dtype)
    # TF32, which a GPU may take for float32, has too few digits; float64 has no such thing.
    work = image.double() if image.is_cuda else image.to(dtype)
    offsets = torch.arange(-radius_px, radius_px + 1, dtype=work.dtype, device=work.device)
    powers = torch.stack([offsets**n for n in range(order + 1)])  # (order+1, w)
    padded = F.pad(work, (radius_px,) * 4)
    window_px = 2 * radius_px + 1
    by_row = powers @ padded.unfold(-2, window_px, step).mT  # (..., h, order+1, W + 2r)
    both = by_row.unfold(-1, window_px, step) @ powers.mT  # (..., h, order+1, w, order+1)
    return [both[..., j, :, i].to(dtype) for i, j in exponents]


def _filtered(
    image: Tensor, exponents: list[tuple[int, int]], radius_px: int, dtype: torch.dtype
) -> list[Tensor]:
    """`_window_sums` at every pixel, by OpenCV."""
    offsets = np.arange(-radius_px, radius_px + 1, dtype=np.float64)
    images = image.flatten(0, -3) if image.ndim > 2 else image[None]
    images = images.contiguous().view(torch.uint8 if image.dtype == torch.bool else dtype).numpy()
    depth = cv2.CV_32F if dtype == torch.float32 else cv2.CV_64F
    sums = []
    for i, j in exponents:
        of_all = torch.empty(images.shape, dtype=dtype)
        for source, target in zip(images, of_all.numpy(), strict=True):
            kernels = offsets**i, offsets**j
            cv2.sepFilter2D(source, depth, *kernels, dst=target, borderType=cv2.BORDER_CONSTANT)
        sums.append(of_all.view(image.shape))
    return sums
