# SPDX-License-Identifier: Apache-2.0
"""Light in a generated room: lamps and windows, soft shadows, darkening in corners.

All of it is a function of world position and normal, so it stays put while the camera moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.rooms.cast import Scene, assemble
from sgnet_core.data.rooms.layout import Furnished, Window
from sgnet_core.data.rooms.shadows import Occlusion, Shadows, occlusion, shadows


@dataclass(frozen=True)
class Light:
    """A lamp (no `normal`) or a window (`normal` into the room)."""

    position: np.ndarray
    normal: np.ndarray | None
    colour: np.ndarray
    shadows: Shadows | None

    def on(self, point, normal) -> np.ndarray:
        """(H, W) float32 irradiance at `point` with surface `normal`, tuples of three (H, W)."""
        d = [np.float32(p) - c for p, c in zip(self.position, point, strict=True)]
        square = d[0] * d[0]
        square += d[1] * d[1]
        square += d[2] * d[2]
        cosine = d[0] * normal[0]
        cosine += d[1] * normal[1]
        cosine += d[2] * normal[2]
        np.maximum(cosine, 0, out=cosine)
        # Lambert's cosine over the square of a distance that is never below a lamp's own size.
        square += np.float32(0.25)
        falloff = cosine / (square * np.sqrt(square))
        if self.normal is not None:
            away = -(d[0] * np.float32(self.normal[0]) + d[1] * np.float32(self.normal[1]))
            falloff *= np.maximum(away, 0) / np.sqrt(square)
        if self.shadows is not None:
            falloff *= self.shadows.lit(*point)
        return falloff


@dataclass(frozen=True)
class Lighting:
    """All the light of one room; `ambient` and `bounce` (3,) come from above and below."""

    lights: list[Light | Sun]
    ambient: np.ndarray
    bounce: np.ndarray
    occlusion: Occlusion

    def on(self, point, normal) -> list[np.ndarray]:
        """Three (H, W) float32: red, green and blue irradiance."""
        reach = np.float32(0.09)
        closed = self.occlusion.at(*(p + reach * n for p, n in zip(point, normal, strict=True)))
        # A free wall has about 0.15 of its surroundings filled; corners twice that and more.
        open_share = np.clip(np.float32(1.12) - np.float32(1.25) * closed, 0.15, 1)
        up = (np.float32(0.5) + np.float32(0.5) * normal[2]) * open_share
        down = open_share - up
        total = [up * a + down * b for a, b in zip(self.ambient, self.bounce, strict=True)]
        open_share *= np.float32(0.6)
        open_share += np.float32(0.4)
        for light in self.lights:
            share = light.on(point, normal)
            share *= open_share
            for channel, colour in zip(total, light.colour, strict=True):
                channel += share * colour
        return total


def lighting(rng, furnished: Furnished, scene: Scene, floor_colour: np.ndarray) -> Lighting:
    """The light of a room: its lamp, up to two windows, and what the surfaces throw back."""
    day, lights = furnished.daylight, []
    lamp_on = day < 0.6 or rng.random() < 0.55
    warm = np.array([1.0, rng.uniform(0.78, 0.95), rng.uniform(0.55, 0.88)], np.float32)
    if lamp_on:
        power = rng.uniform(2.0, 3.2) * (1.0 - 0.45 * day)
        down = shadows(scene, furnished.lamp - (0, 0, 0.25), (0, 0, -1), 2.4, 1.3)
        lights.append(Light(furnished.lamp, None, warm * np.float32(power), down))
    cool = np.array([rng.uniform(0.85, 1.0), 0.95, rng.uniform(0.95, 1.12)], np.float32)
    for window in furnished.windows[:2]:
        if day > 0.1:
            lights.append(_daylight(scene, window, cool * np.float32(day * rng.uniform(2.0, 3.4))))
    if furnished.windows and day > 0.6 and rng.random() < 0.6:
        lights.append(_sunlight(rng, furnished))
    amount = np.float32(rng.uniform(0.24, 0.4))
    tint = 0.5 * cool + 0.5 * warm if lamp_on else cool
    ambient = (amount * tint).astype(np.float32)
    bounce = ambient * (0.75 + 0.6 * floor_colour).astype(np.float32)
    return Lighting(lights, ambient, bounce, occlusion(scene, furnished.plan.size_m))


@dataclass(frozen=True)
class Sun:
    """Parallel light through one window: the bright patch on the floor."""

    window: Window
    direction: np.ndarray
    colour: np.ndarray
    shadows: Shadows

    def on(self, point, normal) -> np.ndarray:
        """(H, W) float32 irradiance, as of `Light`."""
        d = self.direction.astype(np.float32)
        n, c = self.window.normal.astype(np.float32), self.window.centre.astype(np.float32)
        cosine = np.maximum(-(normal[0] * d[0] + normal[1] * d[1] + normal[2] * d[2]), 0)
        # Back along the light to the plane of the window, then how far inside its edges.
        way = ((point[0] - c[0]) * n[0] + (point[1] - c[1]) * n[1]) / (d @ n)
        x, y = point[0] - way * d[0] - c[0], point[1] - way * d[1] - c[1]
        across = np.abs(x * n[1] - y * n[0])
        upwards = np.abs(point[2] - way * d[2] - c[2])
        width, height = self.window.size_m
        inside = np.minimum(width / 2 - across, height / 2 - upwards)
        share = np.clip(inside * np.float32(1 / 0.03), 0, 1)
        share *= cosine
        share *= self.shadows.lit(*point)
        return share


_SUN_DISTANCE_M = 8.0


def _sunlight(rng, furnished: Furnished) -> Sun:
    """The sun through one of the windows, with the shadows of all that is not glass."""
    window = furnished.windows[int(rng.integers(len(furnished.windows)))]
    turn, elevation = rng.uniform(-0.8, 0.8), rng.uniform(0.4, 0.95)
    c, s = np.cos(turn), np.sin(turn)
    n = window.normal
    level = np.array([c * n[0] - s * n[1], s * n[0] + c * n[1], 0.0])
    direction = np.cos(elevation) * level - (0, 0, np.sin(elevation))
    opaque = [
        solid for solid in furnished.plan.solids if not solid.material.pattern.startswith('view')
    ]
    spread = 0.5 * float(np.hypot(*window.size_m)) / _SUN_DISTANCE_M
    cast_by = shadows(
        assemble(opaque, []),
        window.centre - _SUN_DISTANCE_M * direction,
        direction,
        spread * 1.2,
        1.0,
    )
    colour = np.array([1.0, rng.uniform(0.82, 0.93), rng.uniform(0.6, 0.8)], np.float32)
    return Sun(window, direction, colour * np.float32(rng.uniform(2.0, 3.6)), cast_by)


def _daylight(scene: Scene, window: Window, colour: np.ndarray) -> Light:
    """A window as a light, seen from a little inside so that its own frame casts no shadow."""
    area = window.size_m[0] * window.size_m[1]
    position = window.centre + 0.22 * window.normal
    forward = window.normal + (0, 0, -0.35)
    return Light(
        position,
        window.normal,
        colour * np.float32(area),
        shadows(scene, position, forward, 2.4, 2.0),
    )
