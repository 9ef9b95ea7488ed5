# SPDX-License-Identifier: Apache-2.0
"""The figure of all encodings of depth for S-Conv."""

from __future__ import annotations

import math

import torch
import numpy as np

from sgnet_core.geometry.gravity import estimate_gravity
from sgnet_core.geometry.hha import ANGLE_RADIUS_PX, encode_hha
from sgnet_core.geometry.hole_filling import fill_missing_depth
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import CameraIntrinsics, Gravity
from sgnet_core.visualization.depth_colors import NO_DEPTH
from sgnet_core.visualization.figures import (
    image_grid,
    percentile_range,
    render,
    show_depth,
    show_image,
)

HHA = (
    ('disparity', '310 / m'),
    ('height above the ground', 'cm'),
    ('angle to gravity: 38 floor, 128 wall', '38 + degrees'),
)
"""Name and unit of each channel of HHA."""


def encodings_figure(
    rgb: np.ndarray | None,
    depth_m: np.ndarray,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None,
    title: str,
) -> np.ndarray:
    """Colour, depth and filled depth; XYZ, normals and HHA; the three channels of HHA.

    Args:
        rgb: (H, W, 3) uint8, or None for depth alone.
        depth_m: (H, W) float32 or float64 metres, NaN = no measurement.
        gravity: None estimates it.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    used = gravity or estimate_gravity(depth_m, intrinsics)
    depth = torch.from_numpy(depth_m)
    normals = surface_normals(depth, intrinsics, ANGLE_RADIUS_PX).numpy()
    normals = np.where(np.isfinite(depth_m), normals, np.nan)
    hha = encode_hha(depth_m, intrinsics, used)
    caption = _caption(depth_m, used, 'estimated' if gravity is None else 'given')
    figure, axes = image_grid(3, 3, depth_m.shape, title, caption)
    if rgb is not None:
        show_image(axes[0, 0], rgb, 'colour')
    range_m = percentile_range(depth_m)
    filled = fill_missing_depth(depth).numpy()
    for ax, image, name in ((axes[0, 1], depth_m, 'depth'), (axes[0, 2], filled, 'filled depth')):
        figure.colorbar(show_depth(ax, image, name, range_m), ax=ax, label='m')
    xyz = xyz_to_rgb(depth_to_xyz(depth_m, intrinsics))
    show_image(axes[1, 0], xyz, 'X, Y, Z as red, green, blue')
    show_image(axes[1, 1], normals_to_rgb(normals), 'normals: right, down, forward')
    show_image(axes[1, 2], hha, 'HHA: the three channels below')
    for ax, channel, (name, unit) in zip(axes[2], np.moveaxis(hha, -1, 0), HHA, strict=True):
        image = show_image(ax, channel, name, cmap='gray', vmin=0, vmax=255)
        figure.colorbar(image, ax=ax, label=unit)
    return render(figure)


def normals_to_rgb(normals: np.ndarray) -> np.ndarray:
    """(3, H, W) unit vectors, NaN = none, to (H, W, 3) uint8 = 128 + 127 n, and 0 for none.

    (red, green, blue) are (right, down, forward): a wall that faces the camera is blue, a floor
    green. n = (value - 128) / 127 is right to 0.4 degrees.
    """
    return np.rint(np.nan_to_num(128.0 + 127.0 * np.moveaxis(normals, 0, -1))).astype(np.uint8)


def xyz_to_rgb(xyz: np.ndarray) -> np.ndarray:
    """(3, H, W) metres, each axis from its 2nd to its 98th percentile in this image."""
    measured = np.isfinite(xyz).all(axis=0)
    rgb = np.full((*xyz.shape[1:], 3), NO_DEPTH, np.uint8)
    for channel, axis in enumerate(xyz):
        low, high = percentile_range(axis)
        grey = np.clip((axis[measured] - low) / max(high - low, 1e-6), 0, 1)
        rgb[measured, channel] = np.rint(255 * grey)
    return rgb


def _caption(depth_m: np.ndarray, gravity: Gravity, how: str) -> str:
    x, y, z = gravity.down.tolist()
    pitch, roll = (round(math.degrees(angle)) for angle in (math.asin(z), math.atan2(x, y)))
    height = gravity.camera_height_m
    return (
        f'{depth_m.shape[1]}x{depth_m.shape[0]}, {np.isnan(depth_m).mean():.0%} without depth. '
        f'Gravity {how}: the camera looks {abs(pitch)} degrees '
        f'{"down" if pitch >= 0 else "up"}, rolled by {roll}'
        + ('' if height is None else f', {height:g} m above the ground')
    )
