# SPDX-License-Identifier: Apache-2.0
"""Writes encodings of depth as files: HHA, XYZ, normals, and a figure of all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import numpy as np

from sgnet_core.geometry.hha import ANGLE_RADIUS_PX, encode_hha
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.io.files import write_file
from sgnet_core.io.images import write_rgb
from sgnet_core.types import CameraIntrinsics, Gravity
from sgnet_core.visualization.encodings_figure import encodings_figure, normals_to_rgb


@dataclass(frozen=True)
class DepthImage:
    """A depth image, with colour if available."""

    depth_m: np.ndarray  # (H, W) float32 or float64 metres; NaN = no measurement
    intrinsics: CameraIntrinsics
    rgb: np.ndarray | None = None  # (H, W, 3) uint8


def write_hha(path: Path, image: DepthImage, gravity: Gravity | None) -> None:
    """8-bit PNG, (red, green, blue) = (disparity, height, angle); OpenCV reads them reversed."""
    write_rgb(path, encode_hha(image.depth_m, image.intrinsics, gravity))


def write_xyz(path: Path, image: DepthImage, gravity: Gravity | None) -> None:
    """NumPy file, (H, W, 3) float32 metres in the optical frame; NaN = no measurement."""
    xyz = depth_to_xyz(image.depth_m, image.intrinsics)
    content = io.BytesIO()
    np.save(content, np.moveaxis(xyz, 0, -1).astype(np.float32, order='C'))
    write_file(path, content.getvalue())


def write_normals(path: Path, image: DepthImage, gravity: Gravity | None) -> None:
    """8-bit PNG of the normals of the HHA angle, see `normals_to_rgb`."""
    depth_m = torch.from_numpy(image.depth_m)
    normals = surface_normals(depth_m, image.intrinsics, ANGLE_RADIUS_PX).numpy()
    write_rgb(path, normals_to_rgb(np.where(np.isfinite(image.depth_m), normals, np.nan)))


def write_sheet(path: Path, image: DepthImage, gravity: Gravity | None) -> None:
    """PNG of colour, depth and all encodings side by side."""
    title = path.name.removesuffix(ENCODINGS['sheet'][0])
    picture = encodings_figure(image.rgb, image.depth_m, image.intrinsics, gravity, title)
    write_rgb(path, picture)


ENCODINGS: dict[str, tuple[str, Callable[[Path, DepthImage, Gravity | None], None]]] = {
    'hha': ('_hha.png', write_hha),
    'xyz': ('_xyz.npy', write_xyz),
    'normals': ('_normals.png', write_normals),
    'sheet': ('_sheet.png', write_sheet),
}
"""Name -> suffix of the files, and the function that writes one."""
