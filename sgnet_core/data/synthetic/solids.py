# SPDX-License-Identifier: Apache-2.0
"""Convex solids with a class, a material and texture coordinates.

World frame: x, y on the floor, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from sgnet_core.data.synthetic.materials import Material

_CORNERS = np.array(list(product((False, True), repeat=3)))
_AXES = np.vstack([np.eye(3), -np.eye(3)])
_EDGES = [n for n in product((-1.0, 0.0, 1.0), repeat=3) if np.count_nonzero(n) == 2]
_BEVELLED = np.vstack([_AXES, np.array(_EDGES) / np.sqrt(2)])


@dataclass(frozen=True)
class Solid:
    """A convex polyhedron of F faces: the points p with `normals @ p <= offsets`.

    Attributes:
        corners: (8, 3) of a box that contains it.
        uv: (F, 2, 4) texture coordinates in tiles: `uv[..., :3] @ p + uv[..., 3]`.
    """

    normals: np.ndarray
    offsets: np.ndarray
    corners: np.ndarray
    uv: np.ndarray
    label: int
    material: Material

    def placed(self, rotation: np.ndarray, translation) -> Solid:
        """The solid after p -> rotation @ p + translation; its texture moves with it."""
        normals = self.normals @ rotation.T
        uv = self.uv.copy()
        uv[..., :3] = self.uv[..., :3] @ rotation.T
        uv[..., 3] -= uv[..., :3] @ translation
        corners = self.corners @ rotation.T + translation
        offsets = self.offsets + normals @ translation
        return replace(self, normals=normals, offsets=offsets, corners=corners, uv=uv)

    def faces(self, indices: list[int]) -> Solid:
        """Only these faces: a part of a shell."""
        normals, offsets, uv = self.normals[indices], self.offsets[indices], self.uv[indices]
        return replace(self, normals=normals, offsets=offsets, uv=uv)


def rotation(axis: int, angle_rad: float) -> np.ndarray:
    """(3, 3) right-handed rotation about axis 0 (x), 1 (y) or 2 (z)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    matrix, plane = np.eye(3), [(axis + 1) % 3, (axis + 2) % 3]
    matrix[np.ix_(plane, plane)] = [[c, -s], [s, c]]
    return matrix


def box(low, high, label: int, material: Material, bevel_m: float = 0.0) -> Solid:
    """The axis-aligned box from corner `low` to corner `high`, with edges cut by `bevel_m`."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    half = (high - low) / 2
    normals = _BEVELLED if bevel_m > 0 else _AXES
    offsets = np.abs(normals) @ half
    offsets[6:] -= min(bevel_m, 0.9 * half.min()) / np.sqrt(2)
    return _solid(normals, offsets + normals @ (low + half), low, high, label, material)


def cone(centre, radii, heights, label: int, material: Material) -> Solid:
    """An upright truncated cone; radii and heights are (bottom, top), `centre` is (x, y)."""
    (r0, r1), (z0, z1) = radii, heights
    sides = 16
    angle = np.arange(sides) * (2 * np.pi / sides)
    # Normals of the sides before scaling; (r0, z0) is on each side.
    around = np.stack([np.cos(angle), np.sin(angle), np.full(sides, (r0 - r1) / (z1 - z0))], axis=1)
    length = np.linalg.norm(around, axis=1)
    normals = np.vstack([around / length[:, None], [[0, 0, 1], [0, 0, -1]]])
    offsets = np.concatenate([(r0 + around[:, 2] * z0) / length, [z1, -z0]])
    # The facets touch the circle, so their edges stand out by 1 / cos(pi / sides).
    reach, middle = max(r0, r1) / np.cos(np.pi / sides), np.array([*centre, 0.0])
    low, high = middle + (-reach, -reach, z0), middle + (reach, reach, z1)
    return _solid(normals, offsets + normals @ middle, low, high, label, material)


def _solid(normals, offsets, low, high, label: int, material: Material) -> Solid:
    corners, axes = np.where(_CORNERS, high, low), _texture_axes(normals)
    # Wood grain follows the longest side of a board.
    if material.texture == 'wood' and np.argmax(high - low) == 2:
        axes = axes[:, ::-1]
    if (tile_m := material.finish.tile_m) is None:
        reach = axes @ corners.T
        start = reach.min(axis=2, keepdims=True)
        tile_m = np.maximum(reach.max(axis=2, keepdims=True) - start, 1e-3)
        shift = -start / tile_m
    else:
        # Each solid has its own shift, so equal pieces do not show the same knots.
        shift = np.full((len(axes), 2, 1), np.sum(corners[0]) * 7.31 % 1.0)
    uv = np.concatenate([axes / tile_m, shift], axis=2)
    return Solid(normals, offsets, corners, uv, label, material)


def _texture_axes(normals: np.ndarray) -> np.ndarray:
    """(F, 2, 3): right and down for a viewer who faces the face."""
    flat = np.abs(normals[:, 2]) > 0.8
    right = np.stack([-normals[:, 1], normals[:, 0], np.zeros(len(normals))], axis=1)
    right[flat] = (1.0, 0.0, 0.0)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.where(flat[:, None], (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    return np.stack([right, down], axis=1)
