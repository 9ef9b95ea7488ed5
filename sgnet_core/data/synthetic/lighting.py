# SPDX-License-Identifier: Apache-2.0
"""Light in a room: a lamp and windows with soft shadows, and darkening in corners.

Light is a function of world position and normal, so it does not change as the camera moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.data.synthetic.ray_casting import Scene, cast
from sgnet_core.data.synthetic.room import Layout
from sgnet_core.types import CameraIntrinsics

_MAP_SIZE = 176
_MAP_FOCAL, _MAP_CENTRE = _MAP_SIZE / 4.8, (_MAP_SIZE - 1) / 2
_MAP_CAMERA = CameraIntrinsics(
    _MAP_SIZE, _MAP_SIZE, _MAP_FOCAL, _MAP_FOCAL, _MAP_CENTRE, _MAP_CENTRE
)


@dataclass(frozen=True)
class Light:
    """A light with a shadow map (variance shadow mapping, Donnelly & Lauritzen 2006).

    Attributes:
        focus: how much less it shines to its sides, in [0, 1].
        rotation: (3, 3) pose of the shadow map; the last column is its main direction.
        moments: (h, w, 2) float32, mean depth and mean squared depth seen from the light.
    """

    position: np.ndarray
    colour: np.ndarray
    focus: float
    rotation: np.ndarray
    moments: np.ndarray

    def on(self, point, normal) -> np.ndarray:
        """(H, W) float32 irradiance at `point` with surface `normal`, three (H, W) arrays each."""
        to_light = [np.float32(p) - c for p, c in zip(self.position, point, strict=True)]
        across, down, depth = (-dot(to_light, np.float32(axis)) for axis in self.rotation.T)
        # A lamp has a size, so the distance never falls below half a metre.
        square = dot(to_light, to_light) + np.float32(0.25)
        distance = np.sqrt(square)
        irradiance = np.maximum(dot(to_light, normal), 0) / (square * distance)
        irradiance *= np.maximum(1 - self.focus + self.focus * depth / distance, 0)
        return irradiance * self._visible(across, down, np.maximum(depth, np.float32(0.05)))

    def _visible(self, across, down, depth) -> np.ndarray:
        """(H, W) float32 share of the light that is not blocked; all of it outside the map."""
        scale = np.float32(_MAP_FOCAL) / depth
        u, v = (axis * scale + np.float32(_MAP_CENTRE) for axis in (across, down))
        far = 1e3, 1e6, 0, 0
        moments = cv2.remap(self.moments, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, far)
        mean, square = cv2.split(moments)
        behind = np.maximum(depth - mean - np.float32(0.02), 0)
        variance = np.maximum(square - mean * mean, np.float32(4e-4))
        share = variance / (variance + behind * behind)
        # Cut the low end, where the light bleeds through two blockers.
        return np.clip((share - np.float32(0.15)) * np.float32(1 / 0.85), 0, 1)


def dot(a, b) -> np.ndarray:
    """The dot product of vectors stored as three arrays."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True)
class Lighting:
    """All the light of one room; `ambient` (3,) comes from all sides, less from below."""

    lights: list[Light]
    ambient: np.ndarray

    def on(self, point, normal, openness) -> list[np.ndarray]:
        """Three (H, W) float32: red, green and blue irradiance; arguments as in `Light.on`."""
        around = (np.float32(0.93) + np.float32(0.07) * normal[2]) * openness
        total = [around * channel for channel in self.ambient]
        for light in self.lights:
            share = light.on(point, normal) * (np.float32(0.4) + np.float32(0.6) * openness)
            for channel, colour in zip(total, light.colour, strict=True):
                channel += share * colour
        return total


def openness(inverse_depth: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1]: how much of the surroundings sends light; less in corners.

    Unsharp masking of the depth buffer (Luft et al. 2006). Inverse depth is affine on a plane, so
    its blurred value differs only where planes meet: it is greater in concave corners.
    """
    radius = inverse_depth.shape[1] / 40
    nearer = cv2.GaussianBlur(inverse_depth, (0, 0), radius) / inverse_depth - 1
    # A much nearer surface only hides the corner; it does not close it.
    nearer = np.clip(nearer, 0, 0.2)
    return 1 - np.float32(4) * nearer * np.exp(np.float32(-10) * nearer)


def light_room(rng, layout: Layout, scene: Scene) -> Lighting:
    """The light of a room: its lamp, its windows, and the light that surfaces reflect."""
    day = layout.daylight
    warm = np.array([1.0, rng.uniform(0.78, 0.95), rng.uniform(0.55, 0.88)])
    cool = np.array([rng.uniform(0.85, 1.0), 0.95, rng.uniform(0.95, 1.12)])
    lamp = warm * rng.uniform(2.0, 3.2) * (1.0 - 0.45 * day) * (day < 0.6 or rng.random() < 0.55)
    lights = [_light(scene, layout.lamp - (0, 0, 0.25), lamp, np.array([0.0, 0.0, -1.0]), 0.0)]
    for window in layout.windows if day else ():
        # A little inside, so that the frame of the window casts no shadow.
        position = window.centre + 0.22 * window.normal
        colour = cool * day * rng.uniform(2.0, 3.4) * window.area_m2
        lights.append(_light(scene, position, colour, window.normal, 1.0))
    ambient = rng.uniform(0.24, 0.4) * (0.5 * (cool + warm) if lamp.any() else cool)
    return Lighting(lights, ambient.astype(np.float32))


def _light(scene: Scene, position, colour, forward, focus: float) -> Light:
    side = np.cross(forward, (0, 0, 1) if abs(forward[2]) < 0.95 else (0, 1, 0))
    rotation = np.stack([side, np.cross(forward, side), forward], axis=1)
    depth = 1 / np.maximum(cast(scene, rotation, position, _MAP_CAMERA)[0], 1e-2)
    moments = cv2.GaussianBlur(np.dstack([depth, depth * depth]), (0, 0), 1.5)
    return Light(position, np.float32(colour), np.float32(focus), rotation, moments)
