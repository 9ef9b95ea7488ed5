# SPDX-License-Identifier: Apache-2.0
"""Depth images of planes, and of a room whose gravity is known."""

import numpy as np

from sgnet_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(width=117, height=90, fx=95.5, fy=96.25, cx=57.1, cy=46.9)


def rays(camera=CAMERA):
    """(3, H, W): where z = 1."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)])


def planes_depth(normals, distances):
    """Depth of the nearest of the planes n . P = d, and which one it is, both (H, W)."""
    with np.errstate(divide='ignore'):
        depths = np.array(distances)[:, None, None] / np.einsum('pc,chw->phw', normals, rays())
    depths[depths <= 0] = np.inf
    return depths.min(0), depths.argmin(0)


def rotation(pitch_deg, roll_deg):
    (sp, sr), (cp, cr) = (
        function(np.radians([pitch_deg, roll_deg])) for function in (np.sin, np.cos)
    )
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]) @ pitch


def room(pitch_deg=0.0, roll_deg=0.0, height_m=1.5):
    """Depth and plane of a floor and three walls, and the direction of gravity."""
    turn = rotation(pitch_deg, roll_deg)
    normals = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [-1, 0, 0]], float) @ turn.T
    return *planes_depth(normals, [height_m, 4.0, 1.8, 1.6]), turn[:, 1]
