# SPDX-License-Identifier: Apache-2.0
"""Convex solids and the exact depth and face that every pixel of a pinhole camera sees.

World frame: x, y on the floor, z up, metres. Camera frame: x right, y down, z forward.
With pixel (u, v) seeing the ray ((u - cx) / fx, (v - cy) / fy, 1), the inverse depth of a plane
is an affine function of (u, v). A convex solid seen from outside therefore is the minimum over
the planes that face the camera, wherever that exceeds the maximum over those that do not.
A little over 300 lines: the solids and the casting of them share these conventions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from sgnet_core.types import CameraIntrinsics

NEAR_M = 0.02


@dataclass(frozen=True)
class Material:
    """What a surface looks like, and how a depth sensor copes with it.

    Attributes:
        pattern: name in `rooms_patterns`; its three weights mix the three colours.
        colours: (3, 3) float32 linear RGB in [0, 1].
        tile_m: (width, height) of one repetition; None stretches one over each face.
        upright: the pattern turned by 90 degrees.
        emission: light given off, as a multiple of the colour.
        dropout: how much of it a depth sensor loses, in [0, 1] (glass, mirrors).
    """

    pattern: str
    colours: np.ndarray
    tile_m: tuple[float, float] | None = (1.0, 1.0)
    upright: bool = False
    emission: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Solid:
    """A convex polyhedron: the points p with `normals @ p <= offsets`.

    Attributes:
        normals: (F, 3) unit, outwards.
        offsets: (F,) metres.
        corners: (8, 3) of a box that contains it.
        uv: (F, 2, 4) texture coordinates in tiles: `uv[..., :3] @ p + uv[..., 3]`.
        label: class id.
        material: of all its faces.
    """

    normals: np.ndarray
    offsets: np.ndarray
    corners: np.ndarray
    uv: np.ndarray
    label: int
    material: Material

    def placed(self, rotation: np.ndarray, translation: np.ndarray) -> Solid:
        """The solid after p -> rotation @ p + translation, its texture fixed to it."""
        normals = self.normals @ rotation.T
        uv = self.uv.copy()
        uv[..., :3] = self.uv[..., :3] @ rotation.T
        uv[..., 3] -= uv[..., :3] @ translation
        return replace(
            self,
            normals=normals,
            offsets=self.offsets + normals @ translation,
            corners=self.corners @ rotation.T + translation,
            uv=uv,
        )


def rotation_about_vertical(yaw_rad: float) -> np.ndarray:
    """(3, 3) counter-clockwise seen from above."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_about_x(angle_rad: float) -> np.ndarray:
    """(3, 3) positive angles tip y towards z."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


_CORNERS = np.array(list(product((False, True), repeat=3)))
_AXES = np.vstack([np.eye(3), -np.eye(3)])
_EDGES = [n for n in product((-1.0, 0.0, 1.0), repeat=3) if np.count_nonzero(n) == 2]
_BEVELLED = np.vstack([_AXES, np.array(_EDGES) / np.sqrt(2.0)])


def box(low, high, label: int, material: Material, bevel_m: float = 0.0) -> Solid:
    """The axis-aligned box from corner `low` to corner `high`, its edges cut by `bevel_m`."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    centre, half = (low + high) / 2, (high - low) / 2
    normals = _AXES
    if bevel_m > 0:
        bevel = min(bevel_m, 0.9 * half.min())
        normals = _BEVELLED
        offsets = np.abs(normals) @ half
        offsets[6:] -= bevel / np.sqrt(2.0)
    else:
        offsets = np.abs(normals) @ half
    return solid(normals, offsets + normals @ centre, (low, high), label, material)


def column(centre, radii, heights, label: int, material: Material, sides: int = 16) -> Solid:
    """An upright round column or cone stump.

    Args:
        centre: (x, y).
        radii: (bottom, top), metres.
        heights: (bottom, top), metres.
    """
    (r0, r1), (z0, z1) = radii, heights
    angle = np.arange(sides) * (2 * np.pi / sides)
    slope = (r0 - r1) / (z1 - z0)
    around = np.stack([np.cos(angle), np.sin(angle), np.full(sides, slope)], axis=1)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    normals = np.vstack([around, [[0, 0, 1], [0, 0, -1]]])
    on_face = np.vstack(
        [
            np.stack([r0 * np.cos(angle), r0 * np.sin(angle), np.full(sides, z0)], axis=1),
            [[0, 0, z1], [0, 0, z0]],
        ]
    )
    on_face[:, :2] += centre
    # The facets touch the circle; their edges stand out by 1 / cos(pi / sides).
    reach = max(r0, r1) / np.cos(np.pi / sides)
    low = np.array([centre[0] - reach, centre[1] - reach, z0])
    high = np.array([centre[0] + reach, centre[1] + reach, z1])
    return solid(normals, np.sum(normals * on_face, axis=1), (low, high), label, material)


def solid(normals, offsets, bounds, label: int, material: Material) -> Solid:
    """A solid from its planes and its bounding box, with texture coordinates."""
    low, high = bounds
    corners = np.where(_CORNERS, high, low)
    uv = texture_coordinates(_texture_axes(normals), corners, material)
    return Solid(normals, offsets, corners, uv, label, material)


def some_faces(whole: Solid, faces: list[int]) -> Solid:
    """Only these planes of a solid: a part of a shell."""
    return replace(
        whole, normals=whole.normals[faces], offsets=whole.offsets[faces], uv=whole.uv[faces]
    )


def _texture_axes(normals: np.ndarray) -> np.ndarray:
    """(F, 2, 3): to the right and downwards for someone who faces the face."""
    if normals is _AXES:
        return _BOX_AXES[:6]
    if normals is _BEVELLED:
        return _BOX_AXES
    flat = np.abs(normals[:, 2]) > 0.8
    right = np.stack([-normals[:, 1], normals[:, 0], np.zeros(len(normals))], axis=1)
    right[flat] = (1.0, 0.0, 0.0)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.where(flat[:, None], (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    return np.stack([right, down], axis=1)


_BOX_AXES = _texture_axes(_BEVELLED.copy())
"""Of the faces that every box has, worked out once."""


def texture_coordinates(axes: np.ndarray, corners: np.ndarray, material: Material) -> np.ndarray:
    """(F, 2, 4) texture coordinates u and v, in tiles, along `axes` (F, 2, 3)."""
    if material.upright:
        axes = axes[:, ::-1]
    uv = np.empty((len(axes), 2, 4))
    if material.tile_m is None:
        reach = axes @ corners.T
        low, high = reach.min(axis=2), reach.max(axis=2)
        extent = np.maximum(high - low, 1e-3)
        uv[..., :3] = axes / extent[..., None]
        uv[..., 3] = -low / extent
    else:
        uv[..., :3] = axes / np.reshape(material.tile_m, (1, 2, 1))
        # A shift of its own, so that equal furniture does not show the same knots.
        uv[..., 3] = np.sum(corners[0]) * 7.31 % 1.0
    return uv


@dataclass(frozen=True)
class Scene:
    """All solids of a room as arrays over faces; the last `shell` faces are the room itself.

    Solid i owns the faces `starts[i]:starts[i + 1]`. The shell is a convex solid seen from inside.
    """

    normals: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    corners: np.ndarray
    shell: int


def assemble(solids: list[Solid], shell: list[Solid]) -> Scene:
    """The scene of `solids` within the planes of `shell`, whose normals point out of the room."""
    everything = [*solids, *shell]
    starts = np.cumsum([0, *(len(s.offsets) for s in solids)])
    return Scene(
        normals=np.concatenate([s.normals for s in everything]),
        offsets=np.concatenate([s.offsets for s in everything]),
        starts=starts,
        corners=np.stack([s.corners for s in solids]) if solids else np.zeros((0, 8, 3)),
        shell=sum(len(s.offsets) for s in shell),
    )


def cast(
    scene: Scene, rotation: np.ndarray, position: np.ndarray, intrinsics: CameraIntrinsics
) -> tuple[np.ndarray, np.ndarray]:
    """What each pixel sees.

    Args:
        rotation: (3, 3) camera to world.
        position: (3,) of the camera, inside the shell and outside every solid.

    Returns:
        (H, W) float32 inverse depth in 1/m along the optical axis, and (H, W) int32 face index.
        Without a shell, 1e-6 and -1 where nothing is.
    """
    k = scene.offsets - scene.normals @ position
    # Shadow cameras may sit exactly on a plane; it is then seen edge on.
    k = np.where(np.abs(k) < 1e-9, 1e-9, k)
    slopes = (scene.normals @ rotation) / k[:, None]
    slopes[:, 0] /= intrinsics.fx
    slopes[:, 1] /= intrinsics.fy
    planes = _Planes(slopes.astype(np.float32), intrinsics)
    inverse = np.empty(intrinsics.size, np.float32)
    face = np.empty(intrinsics.size, np.int32)
    _cast_shell(planes, len(k) - scene.shell, inverse, face)
    rectangles = projected_rectangles(scene.corners, rotation, position, intrinsics)
    facing = k < 0
    for index in np.flatnonzero(np.all(rectangles[:, 2:] > rectangles[:, :2], axis=1)):
        left, top, right, bottom = rectangles[index].tolist()
        faces = np.arange(scene.starts[index], scene.starts[index + 1])
        front = facing[faces]
        ordered = np.concatenate([faces[front], faces[~front]])
        rows = max(1, _BLOCK // (len(faces) * (right - left)))
        for start in range(top, bottom if front.any() else top, rows):
            window = np.s_[start : min(start + rows, bottom), left:right]
            _cast_solid(planes, ordered, int(front.sum()), window, (inverse, face))
    return inverse, face


_BLOCK = 60_000
"""Values worked on at once: what stays in a processor's second cache."""


class _Planes:
    """Inverse depths of planes over windows of the image.

    A plane is u slope_u + (v slope_v + constant). As a product of (h, 2) and (2, w) matrices with
    ones in them it takes a third of the time of the broadcast sum and rounds the same.
    """

    def __init__(self, slopes: np.ndarray, intrinsics: CameraIntrinsics) -> None:
        self._slopes = slopes
        self._u = (np.arange(intrinsics.width) - intrinsics.cx).astype(np.float32)
        self._v = (np.arange(intrinsics.height) - intrinsics.cy).astype(np.float32)

    def __len__(self) -> int:
        return len(self._slopes)

    def over(self, faces, window) -> np.ndarray:
        """(len(faces), h, w) float32 inverse depths."""
        slopes, (rows, columns) = self._slopes[faces], window
        u, v = self._u[columns], self._v[rows]
        down = np.ones((len(faces), len(v), 2), np.float32)
        np.multiply(slopes[:, 1, None], v, out=down[..., 0])
        down[..., 0] += slopes[:, 2, None]
        across = np.ones((len(faces), 2, len(u)), np.float32)
        np.multiply(slopes[:, 0, None], u, out=across[:, 1])
        return down @ across


def _cast_shell(planes: _Planes, first: int, inverse, face) -> None:
    """The room from inside: the nearest plane is the one of greatest inverse depth."""
    faces = np.arange(first, len(planes))
    if not len(faces):
        inverse[:], face[:] = 1e-6, -1
        return
    height, width = inverse.shape
    rows = max(1, _BLOCK // (len(faces) * width))
    for top in range(0, height, rows):
        window = np.s_[top : min(top + rows, height), 0:width]
        values = planes.over(faces, window)
        nearest = values.max(axis=0)
        inverse[window] = nearest
        for index, value in zip(faces, values, strict=True):
            np.copyto(face[window], np.int32(index), where=value == nearest)


def _cast_solid(planes: _Planes, faces, front: int, window, buffers) -> None:
    """Draw one solid into a window of `buffers` = (inverse depth, face), nearest wins.

    The first `front` of its `faces` face the camera.
    """
    inverse, face = (buffer[window] for buffer in buffers)
    values = planes.over(faces, window)
    near = values[:front].min(axis=0)
    seen = near > inverse
    seen &= near < 1 / NEAR_M
    if front < len(faces):
        seen &= near >= values[front:].max(axis=0)
    if not seen.any():
        return
    np.copyto(inverse, near, where=seen)
    for index, value in zip(faces[:front], values, strict=False):
        np.copyto(face, np.int32(index), where=seen & (value == near))


def projected_rectangles(corners, rotation, position, intrinsics: CameraIntrinsics) -> np.ndarray:
    """(S, 4) int: left, top, right, bottom (exclusive) of pixels that can see each box of corners.

    A box that reaches behind the camera gets the whole image.
    """
    width, height = intrinsics.width, intrinsics.height
    points = (corners - position) @ rotation
    depth = points[..., 2]
    safe = np.maximum(depth, NEAR_M)
    u = points[..., 0] / safe * intrinsics.fx + intrinsics.cx
    v = points[..., 1] / safe * intrinsics.fy + intrinsics.cy
    low = np.stack([u.min(axis=1), v.min(axis=1)], axis=1)
    high = np.stack([u.max(axis=1), v.max(axis=1)], axis=1)
    crossing = depth.min(axis=1) < NEAR_M
    low[crossing], high[crossing] = 0, (width, height)
    low = np.clip(np.floor(low), 0, (width, height))
    high = np.clip(np.ceil(high) + 1, 0, (width, height))
    behind = depth.max(axis=1) < NEAR_M
    high[behind] = low[behind]
    return np.concatenate([low, high], axis=1).astype(int)
