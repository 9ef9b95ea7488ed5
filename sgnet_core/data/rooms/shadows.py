# SPDX-License-Identifier: Apache-2.0
"""What stands in the light of a generated room: nearby matter, and casters of soft shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.data.rooms.cast import Scene, cast
from sgnet_core.types import CameraIntrinsics

_CELL_M = 0.1
_SHADOW_SIZE = 176


@dataclass(frozen=True)
class Occlusion:
    """How closed in each point of a room is, on a grid of `_CELL_M`.

    `slices` holds the levels one above the other: (levels * rows, columns) float32 in [0, 1].
    """

    slices: np.ndarray
    rows: int

    def at(self, x, y, z) -> np.ndarray:
        """(H, W) float32 share of solid matter around the points, trilinear."""
        levels = len(self.slices) // self.rows
        column = x * (1 / _CELL_M) + 0.5
        row = np.clip(y * (1 / _CELL_M) + 0.5, 0.0, self.rows - 1.01)
        level = np.clip(z * (1 / _CELL_M) + 0.5, 0.0, levels - 1.01)
        floor = np.floor(level)
        low = row + floor * self.rows
        below = cv2.remap(
            self.slices, column, low, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        low += self.rows
        above = cv2.remap(
            self.slices, column, low, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        above -= below
        above *= level - floor
        above += below
        return above


def occlusion(scene: Scene, size_m) -> Occlusion:
    """The share of solid matter within about 20 cm, everywhere in the room."""
    # Cell 0 is the layer just outside the room, which is solid wall.
    shape = [int(np.ceil(extent / _CELL_M)) + 2 for extent in reversed(size_m)]
    filled = np.ones(shape, np.float32)
    filled[1:-1, 1:-1, 1:-1] = 0
    centres = [((np.arange(n) - 0.5) * _CELL_M).astype(np.float32) for n in shape]
    low, high = scene.corners.min(axis=1), scene.corners.max(axis=1)
    first = np.clip(np.floor(low / _CELL_M + 1), 0, shape[::-1]).astype(int).tolist()
    last = np.clip(np.ceil(high / _CELL_M + 1), 0, shape[::-1]).astype(int).tolist()
    for index, ((x0, y0, z0), (x1, y1, z1)) in enumerate(zip(first, last, strict=True)):
        cells = centres[2][x0:x1], centres[1][y0:y1], centres[0][z0:z1]
        ends = zip(cells, low[index], high[index], strict=True)
        x, y, z = (_overlap(*axis) for axis in ends)
        share = z[:, None, None] * (y[:, None] * x)
        faces = np.s_[scene.starts[index] : scene.starts[index + 1]]
        if share.size > 8 and np.abs(scene.normals[faces][:, :2]).max() < 0.999:
            # Not along the axes: only the cells whose centre lies inside (or nearly).
            grid = np.stack(np.meshgrid(*cells[::-1], indexing='ij')[::-1], -1)
            away = grid @ scene.normals[faces].T.astype(np.float32)
            share *= (away <= scene.offsets[faces] + _CELL_M / 2).all(axis=-1)
        window = filled[z0:z1, y0:y1, x0:x1]
        np.minimum(window + share, 1.0, out=window)
    for axis in range(3):
        filled = _blurred(filled, axis)
    rows = shape[1]
    return Occlusion(np.ascontiguousarray(filled.reshape(-1, shape[2])), rows)


def _overlap(cells: np.ndarray, low: float, high: float) -> np.ndarray:
    """The share of each of the cells with these centres that [low, high] covers."""
    half = np.float32(_CELL_M / 2)
    share = np.minimum(cells + half, np.float32(high)) - np.maximum(cells - half, np.float32(low))
    return np.maximum(share, 0) * np.float32(1 / _CELL_M)


def _blurred(volume: np.ndarray, axis: int) -> np.ndarray:
    """The volume smoothed along one axis over about 30 cm."""
    kernel = np.array([0.12, 0.22, 0.32, 0.22, 0.12], np.float32)
    padded = np.pad(volume, [(2, 2) if i == axis else (0, 0) for i in range(3)], mode='edge')
    count = volume.shape[axis]
    total = np.zeros_like(volume)
    for shift, weight in enumerate(kernel):
        index = [slice(None)] * 3
        index[axis] = slice(shift, shift + count)
        total += weight * padded[tuple(index)]
    return total


@dataclass(frozen=True)
class Shadows:
    """A blurred shadow map of one light (variance shadow mapping, Donnelly & Lauritzen 2006).

    Attributes:
        rotation: (3, 3) light camera to world.
        position: (3,) of the light camera.
        camera: its intrinsics.
        moments: (h, w, 2) float32: mean depth and mean squared depth of what it sees.
    """

    rotation: np.ndarray
    position: np.ndarray
    camera: CameraIntrinsics
    moments: np.ndarray

    def lit(self, x, y, z) -> np.ndarray:
        """(H, W) float32: the share of the light that reaches the points (H, W)."""
        axes = self.rotation.T.astype(np.float32)
        shift = -(self.rotation.T @ self.position).astype(np.float32)
        right, down, ahead = (
            a[0] * x + a[1] * y + a[2] * z + b for a, b in zip(axes, shift, strict=True)
        )
        np.maximum(ahead, 0.05, out=ahead)
        scale = np.float32(self.camera.fx) / ahead
        right *= scale
        right += np.float32(self.camera.cx)
        down *= scale
        down += np.float32(self.camera.cy)
        far = (1e3, 1e6, 0, 0)
        moments = cv2.remap(
            self.moments,
            right,
            down,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=far,
        )
        mean, square = moments[..., 0], moments[..., 1]
        ahead -= mean
        ahead -= np.float32(0.02)
        np.maximum(ahead, 0, out=ahead)
        variance = square - mean * mean
        np.maximum(variance, 4e-4, out=variance)
        share = variance / (variance + ahead * ahead)
        # Light bleeding: cut off the low end, where two casters overlap.
        return np.clip((share - 0.15) * (1 / 0.85), 0, 1)


def shadows(scene: Scene, position, forward, half_angle_tan: float, softness: float) -> Shadows:
    """The shadow map of a light that looks along `forward`."""
    forward = np.asarray(forward, float) / np.linalg.norm(forward)
    side = np.cross(forward, (0, 0, 1) if abs(forward[2]) < 0.95 else (0, 1, 0))
    side /= np.linalg.norm(side)
    rotation = np.stack([side, np.cross(forward, side), forward], axis=1)
    middle = (_SHADOW_SIZE - 1) / 2
    focal = _SHADOW_SIZE / 2 / half_angle_tan
    camera = CameraIntrinsics(_SHADOW_SIZE, _SHADOW_SIZE, focal, focal, middle, middle)
    inverse, _ = cast(scene, rotation, np.asarray(position, float), camera)
    depth = 1 / np.maximum(inverse, 1e-2)
    moments = np.dstack([depth, depth * depth])
    return Shadows(
        rotation, np.asarray(position), camera, cv2.GaussianBlur(moments, (0, 0), softness)
    )
