# SPDX-License-Identifier: Apache-2.0
"""The picture of what S-Conv can see of one frame. Pictures are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math

import torch
import numpy as np

from sgnet_core.geometry import depth_to_xyz
from sgnet_core.gravity import GravityTracker
from sgnet_core.hha import ANGLE_RADIUS_PX, encode_hha
from sgnet_core.holes import fill_holes
from sgnet_core.lettering import PAPER
from sgnet_core.normals import surface_normals
from sgnet_core.types import CameraIntrinsics, Gravity
from sgnet_core.visualize import NO_DEPTH, contact_sheet, depth_to_rgb

CELL_WIDTH = 360


def encodings_picture(
    rgb: np.ndarray | None,
    depth_m: np.ndarray,
    intrinsics: CameraIntrinsics,
    gravity: Gravity | None,
    title: str,
) -> np.ndarray:
    """Colour, depth and depth without holes; XYZ, normals and HHA; the three channels of HHA.

    Args:
        rgb: (H, W, 3) uint8, or None for depth alone.
        depth_m: (H, W) float32 or float64 metres, NaN = no measurement.
        gravity: None estimates it.
    """
    used = gravity or GravityTracker().update(depth_m, intrinsics)
    depth = torch.from_numpy(depth_m)
    normals = surface_normals(depth, intrinsics, ANGLE_RADIUS_PX).numpy()
    hha = encode_hha(depth_m, intrinsics, used)
    near_m, far_m = _range(depth_m)
    range_text = f'{near_m:.2g} to {far_m:.2g} m'
    rows = [
        {
            'colour': np.full((*depth_m.shape, 3), PAPER, np.uint8) if rgb is None else rgb,
            f'depth, {range_text}': depth_to_rgb(depth_m, near_m, far_m),
            'depth, holes: smooth': depth_to_rgb(fill_holes(depth).numpy(), near_m, far_m),
        },
        {
            'X, Y, Z as red, green, blue': xyz_to_rgb(depth_to_xyz(depth_m, intrinsics)),
            'normals: right, down, forward': normals_to_rgb(
                np.where(np.isfinite(depth_m), normals, np.nan)
            ),
            'HHA: the three below': hha,
        },
        {
            name: np.repeat(hha[..., channel, None], 3, axis=2)
            for channel, name in enumerate(
                ('disparity, 310 / m', 'height, cm', 'angle: 38 floor, 128 wall')
            )
        },
    ]
    caption = _caption(depth_m, used, 'estimated' if gravity is None else 'given')
    return np.vstack(
        [
            contact_sheet(
                [list(row.values())],
                ['' if rgb is None and name == 'colour' else name for name in row],
                [caption] if row is rows[-1] else (),
                title if row is rows[0] else '',
                CELL_WIDTH,
            )
            for row in rows
        ]
    )


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
        low, high = _range(axis)
        grey = np.clip((axis[measured] - low) / max(high - low, 1e-6), 0, 1)
        rgb[measured, channel] = np.rint(255 * grey)
    return rgb


def _range(values: np.ndarray) -> tuple[float, float]:
    """The 2nd and the 98th percentile of what is finite; a few flying pixels do not count."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (2, 98)) if finite.size else (0.0, 0.0)
    return float(low), float(high)


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
