# SPDX-License-Identifier: Apache-2.0
"""Light in a room: a lamp and windows with soft shadows, and darkening in corners.

Light is a function of world position and normal, so it does not change as the camera moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.data.synthetic.ray_casting import Scene, cast
from sgnet_core.data.synthetic.room import Layout, Window
from sgnet_core.types import CameraIntrinsics

_SHADOW_SIZE = 176


@dataclass(frozen=True)
class Light:
    """A light with a shadow map (variance shadow mapping, Donnelly & Lauritzen 2006).

    Attributes:
        position: (3,) metres.
        colour: (3,) linear RGB power.
        normal: (3,) of a window, which shines less to its sides; zeros for a lamp.
        rotation, camera: pose and intrinsics of the shadow map.
        moments: (h, w, 2) float32, mean depth and mean squared depth seen from the light.
    """

    position: np.ndarray
    colour: np.ndarray
    normal: np.ndarray
    rotation: np.ndarray
    camera: CameraIntrinsics
    moments: np.ndarray

    def on(self, point, normal) -> np.ndarray:
        """(H, W) float32 irradiance at `point` with surface `normal`, three (H, W) arrays each."""
        to_light = [np.float32(p) - c for p, c in zip(self.position, point, strict=True)]
        # A lamp has a size, so the distance never falls below half a metre.
        square = _dot(to_light, to_light) + np.float32(0.25)
        irradiance = np.maximum(_dot(to_light, normal), 0) / (square * np.sqrt(square))
        if self.normal.any():
            irradiance *= np.maximum(-_dot(to_light, np.float32(self.normal)), 0) / np.sqrt(square)
        irradiance *= self._visible(to_light)
        return irradiance

    def _visible(self, to_light) -> np.ndarray:
        """(H, W) float32 share of the light that is not blocked."""
        u, v, depth = (-_dot(to_light, np.float32(axis)) for axis in self.rotation.T)
        np.maximum(depth, 0.05, out=depth)
        u = u * (np.float32(self.camera.fx) / depth) + np.float32(self.camera.cx)
        v = v * (np.float32(self.camera.fy) / depth) + np.float32(self.camera.cy)
        far = 1e3, 1e6, 0, 0
        mean, square = cv2.split(
            cv2.remap(self.moments, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, far)
        )
        behind = np.maximum(depth - mean - np.float32(0.02), 0)
        variance = np.maximum(square - mean * mean, np.float32(4e-4))
        share = variance / (variance + behind * behind)
        # Cut the low end, where the light bleeds through two blockers.
        return np.clip((share - np.float32(0.15)) * np.float32(1 / 0.85), 0, 1)


def _dot(a, b) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True)
class Lighting:
    """All the light of one room; `ambient` and `bounce` (3,) come from above and below."""

    lights: list[Light]
    ambient: np.ndarray
    bounce: np.ndarray

    def on(self, point, normal, openness) -> list[np.ndarray]:
        """Three (H, W) float32: red, green and blue irradiance.

        Args:
            point, normal: three (H, W) float32 each.
            openness: (H, W) float32 as of `openness`.
        """
        up = (np.float32(0.5) + np.float32(0.5) * normal[2]) * openness
        down = openness - up
        total = [up * a + down * b for a, b in zip(self.ambient, self.bounce, strict=True)]
        openness = np.float32(0.4) + np.float32(0.6) * openness
        for light in self.lights:
            share = light.on(point, normal) * openness
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
    """The light of a room: its lamp, its windows, and what the surfaces reflect."""
    day, lights = layout.daylight, []
    lamp_on = day < 0.6 or rng.random() < 0.55
    warm = np.array([1.0, rng.uniform(0.78, 0.95), rng.uniform(0.55, 0.88)])
    cool = np.array([rng.uniform(0.85, 1.0), 0.95, rng.uniform(0.95, 1.12)])
    if lamp_on:
        power = rng.uniform(2.0, 3.2) * (1.0 - 0.45 * day)
        lights.append(_light(scene, layout.lamp - (0, 0, 0.25), warm * power, (0, 0, -1)))
    for window in layout.windows:
        if day:
            lights.append(_daylight(scene, window, cool * day * rng.uniform(2.0, 3.4)))
    ambient = rng.uniform(0.24, 0.4) * (0.5 * (cool + warm) if lamp_on else cool)
    floor_colour = layout.shell[-1].material.colours[:2].mean(axis=0)
    bounce = ambient * (0.75 + 0.6 * floor_colour)
    return Lighting(lights, ambient.astype(np.float32), bounce.astype(np.float32))


def _daylight(scene: Scene, window: Window, colour: np.ndarray) -> Light:
    """A window as a light, a little inside so that its own frame casts no shadow."""
    position = window.centre + 0.22 * window.normal
    colour = colour * window.size_m[0] * window.size_m[1]
    return _light(scene, position, colour, window.normal - (0, 0, 0.35), window.normal)


def _light(scene: Scene, position, colour, forward, normal=(0, 0, 0)) -> Light:
    """A light inside the room with a wide shadow map along `forward`; it is lit outside of that."""
    forward = np.asarray(forward, float) / np.linalg.norm(forward)
    side = np.cross(forward, (0, 0, 1) if abs(forward[2]) < 0.95 else (0, 1, 0))
    side /= np.linalg.norm(side)
    rotation = np.stack([side, np.cross(forward, side), forward], axis=1)
    focal, middle = _SHADOW_SIZE / 4.8, (_SHADOW_SIZE - 1) / 2
    camera = CameraIntrinsics(_SHADOW_SIZE, _SHADOW_SIZE, focal, focal, middle, middle)
    depth = 1 / np.maximum(cast(scene, rotation, position, camera)[0], 1e-2)
    moments = cv2.GaussianBlur(np.dstack([depth, depth * depth]), (0, 0), 1.5)
    return Light(position, np.float32(colour), np.asarray(normal, float), rotation, camera, moments)
