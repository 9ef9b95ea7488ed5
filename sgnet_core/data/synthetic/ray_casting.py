# SPDX-License-Identifier: Apache-2.0
"""Depth and face seen by each pixel of a pinhole camera in a scene of convex solids.

Camera frame: x right, y down, z forward. Pixel (u, v) sees along ((u - cx) / fx, (v - cy) / fy, 1),
so the inverse depth of a plane is an affine function of (u, v). A convex solid seen from outside
has the minimum over the planes that face the camera, if that exceeds the maximum over the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.synthetic.solids import Solid
from sgnet_core.types import CameraIntrinsics

NEAR_M = 0.02
_ROWS = 32
"""Rows computed at once: larger blocks miss the cache."""


@dataclass(frozen=True)
class Scene:
    """All faces: `starts[i]:starts[i + 1]` of solid i, then `shell` faces of the room itself."""

    normals: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    corners: np.ndarray
    shell: int


def assemble(solids: list[Solid], shell: list[Solid]) -> Scene:
    """The scene of `solids` within the planes of `shell`, whose normals point out of the room."""
    everything = [*solids, *shell]
    return Scene(
        normals=np.concatenate([s.normals for s in everything]),
        offsets=np.concatenate([s.offsets for s in everything]),
        starts=np.cumsum([0, *(len(s.offsets) for s in solids)]),
        corners=np.stack([s.corners for s in solids]) if solids else np.zeros((0, 8, 3)),
        shell=sum(len(s.offsets) for s in shell),
    )


def ray_slopes(intrinsics: CameraIntrinsics) -> tuple[np.ndarray, np.ndarray]:
    """(W,) x and (H,) y float32 of the rays through the pixels, at a depth of 1."""
    u = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
    v = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
    return u.astype(np.float32), v.astype(np.float32)


def cast(
    scene: Scene, rotation: np.ndarray, position: np.ndarray, intrinsics: CameraIntrinsics
) -> tuple[np.ndarray, np.ndarray]:
    """What each pixel sees, from a (3,) `position` outside every solid.

    Returns:
        (H, W) float32 inverse depth in 1/m along the optical axis, and (H, W) int32 face index.
        1e-6 and -1 if the pixel sees nothing.
    """
    gap = scene.offsets - scene.normals @ position
    # A camera exactly on a plane sees it edge on.
    gap = np.where(np.abs(gap) < 1e-9, 1e-9, gap)
    slopes = ((scene.normals @ rotation) / gap[:, None]).astype(np.float32)
    u, v = ray_slopes(intrinsics)
    inverse = np.full(intrinsics.size, 1e-6, np.float32)
    face = np.full(intrinsics.size, -1, np.int32)
    # From inside the shell, the nearest plane has the greatest inverse depth.
    for index in range(len(gap) - scene.shell, len(gap)):
        plane = _inverse_depths(slopes[[index]], u, v)[0]
        np.copyto(face, index, where=plane >= inverse)
        np.maximum(inverse, plane, out=inverse)
    rectangles = _projected_rectangles(scene.corners, rotation, position, intrinsics)
    for index in np.flatnonzero(np.all(rectangles[:, 2:] > rectangles[:, :2], axis=1)):
        left, top, right, bottom = rectangles[index].tolist()
        faces = np.arange(scene.starts[index], scene.starts[index + 1])
        front, back = faces[gap[faces] < 0], faces[gap[faces] >= 0]
        for start in range(top, bottom, _ROWS) if len(front) else ():
            window = np.s_[start : min(start + _ROWS, bottom), left:right]
            planes = _inverse_depths(slopes[[*front, *back]], u[window[1]], v[window[0]])
            near = planes[: len(front)].min(axis=0)
            visible = (near > inverse[window]) & (near < 1 / NEAR_M)
            visible &= near >= planes[len(front) :].max(axis=0, initial=-np.inf)
            np.copyto(inverse[window], near, where=visible)
            for number, plane in zip(front, planes, strict=False):
                where = visible & (plane == near)
                np.copyto(face[window], number, where=where, casting='same_kind')
    return inverse, face


def _inverse_depths(slopes: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(F, h, w) float32 inverse depths of planes, as a matrix product: faster than broadcasting."""
    down = np.ones((len(slopes), len(v), 2), np.float32)
    down[..., 0] = slopes[:, 1, None] * v + slopes[:, 2, None]
    across = np.ones((len(slopes), 2, len(u)), np.float32)
    np.multiply(slopes[:, 0, None], u, out=across[:, 1])
    return down @ across


def _projected_rectangles(corners, rotation, position, intrinsics: CameraIntrinsics) -> np.ndarray:
    """(S, 4) int: left, top, right, bottom (exclusive) of pixels that can see each box of corners.

    A box that reaches behind the camera gets the whole image.
    """
    size = intrinsics.width, intrinsics.height
    points = (corners - position) @ rotation
    depth = points[..., 2]
    focal, centre = (intrinsics.fx, intrinsics.fy), (intrinsics.cx, intrinsics.cy)
    pixels = points[..., :2] / np.maximum(depth, NEAR_M)[..., None] * focal + centre
    low, high = pixels.min(axis=1), pixels.max(axis=1) + 1
    low[depth.min(axis=1) < NEAR_M], high[depth.min(axis=1) < NEAR_M] = 0, size
    high[depth.max(axis=1) < NEAR_M] = 0
    clipped = np.clip(np.floor(low), 0, size), np.clip(np.ceil(high), 0, size)
    return np.concatenate(clipped, axis=1).astype(int)
