# SPDX-License-Identifier: Apache-2.0
"""Convex solids, their materials and texture coordinates.

World frame: x, y on the floor, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Material:
    """What a surface looks like, and how a depth sensor copes with it.

    Attributes:
        pattern: name in `patterns`; its three weights mix the three colours.
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
