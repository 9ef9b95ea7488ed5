# SPDX-License-Identifier: Apache-2.0
"""Renders a room: exact depth and labels from one ray per pixel, and a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sgnet_core.data.synthetic.camera import room_camera
from sgnet_core.data.synthetic.lighting import Lighting, light_room, openness
from sgnet_core.data.synthetic.ray_casting import Scene, assemble, cast
from sgnet_core.data.synthetic.room import Layout, lay_out
from sgnet_core.data.synthetic.textures import SIZE, atlas
from sgnet_core.types import CameraIntrinsics

_STRIP = 16_384
"""Pixels shaded at once: strips that stay in the cache are twice as fast as whole images."""
_THUMBNAIL = room_camera((36, 48))
_VIGNETTE, _NOISE = 0.15, 2.0
"""Share of light lost in the corners; standard deviation of the noise, in steps of 1/255."""
_MIDDLE, _BRIGHT = 0.55, 0.84
"""Brightness, of 1, that metering allows the median pixel and the brightest sixth."""


@dataclass(frozen=True)
class Surfaces:
    """Appearance of each face: arrays over the F faces of a `Scene`.

    Attributes:
        label: (F,) uint8.
        normal: (3, F) float32, into the free space.
        uv: (2, 4, F) float32: u and v as in `Solid.uv`.
        texels_per_m: (F,) float32; somewhat less than all, which keeps textures crisp.
        texture: (F,) int32, index into the atlas.
        colours: (channels, colours, F) float32 linear RGB over 255, for weights up to 255.
        emission, dropout: (F,) float32.
    """

    label: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    texels_per_m: np.ndarray
    texture: np.ndarray
    colours: np.ndarray
    emission: np.ndarray
    dropout: np.ndarray


@dataclass(frozen=True)
class Room:
    """A room ready to be photographed; `gain` (3,) float32 multiplies linear red, green, blue."""

    layout: Layout
    scene: Scene
    surfaces: Surfaces
    lighting: Lighting
    gain: np.ndarray


@dataclass(frozen=True)
class View:
    """What the camera sees from one pose.

    Attributes:
        depth_m: (H, W) float32 along the optical axis, exact.
        labels: (H, W) uint8.
        rgb: (H, W, 3) uint8.
        dropout: (H, W) float32, how much of its depth each pixel loses, see `kinect_depth`.
    """

    depth_m: np.ndarray
    labels: np.ndarray
    rgb: np.ndarray
    dropout: np.ndarray


def build_room(rng) -> Room:
    """A new room; everything follows from the state of `rng`."""
    layout = lay_out(rng)
    scene = assemble(layout.plan.solids, layout.shell)
    gain = rng.uniform(0.9, 1.25) * (1 + rng.uniform(-0.05, 0.05, 3))
    light = light_room(rng, layout, scene)
    return Room(layout, scene, _surfaces(layout), light, gain.astype(np.float32))


def interest(room: Room, pose: np.ndarray) -> float:
    """How much there is to see from `pose`: many classes, evenly, and not too close."""
    inverse, face = cast(room.scene, pose[:3, :3], pose[:3, 3], _THUMBNAIL)
    share = np.bincount(np.take(room.surfaces.label, face).ravel()) / face.size
    share = share[share > 0]
    # The entropy of the classes; half a metre of median distance is worth about a class.
    return float(-np.sum(share * np.log(share)) + 0.25 * min(1 / np.median(inverse), 3.0))


def metered(room: Room, pose: np.ndarray) -> Room:
    """The room with the gain that gives the view from `pose` a usual brightness.

    The previous gain remains as a correction, and dark rooms stay somewhat darker.
    """
    view = render(
        replace(room, gain=np.ones(3, np.float32)), pose, _THUMBNAIL, np.random.default_rng(0)
    )
    grey = view.rgb.mean(axis=2) / 255
    middle, bright = np.percentile(grey, (50, 85)) + 0.02
    # A dark floor must not burn out the walls.
    factor = np.float32(np.clip(min(_MIDDLE / middle, _BRIGHT / bright) ** 1.5, 0.5, 5.0))
    return replace(room, gain=room.gain * factor)


def _surfaces(layout: Layout) -> Surfaces:
    """The table of faces, in the order of the scene."""
    solids = [*layout.plan.solids, *layout.shell]
    index = atlas().index
    counts = [len(solid.offsets) for solid in solids]

    def per_face(values, dtype=np.float32) -> np.ndarray:
        return np.repeat(np.array(values, dtype), counts, axis=0)

    normals = np.concatenate([solid.normals for solid in solids])
    # The planes of the shell are seen, and lit, from inside the room.
    normals[sum(counts[: len(layout.plan.solids)]) :] *= -1
    uv = np.concatenate([solid.uv for solid in solids])
    scale = 0.6 * SIZE * np.linalg.norm(uv[..., :3], axis=2).max(axis=1)
    colours = per_face([s.material.colours for s in solids]) / 255
    return Surfaces(
        label=per_face([s.label for s in solids], np.uint8),
        normal=np.ascontiguousarray(normals.T, np.float32),
        uv=np.ascontiguousarray(np.moveaxis(uv, 0, -1), np.float32),
        texels_per_m=scale.astype(np.float32),
        texture=per_face([index[s.material.texture] for s in solids], np.int32),
        colours=np.ascontiguousarray(colours.T),
        emission=per_face([s.material.emission for s in solids]),
        dropout=per_face([s.material.dropout for s in solids]),
    )


def render(room: Room, pose: np.ndarray, intrinsics: CameraIntrinsics, rng) -> View:
    """Photograph a room from `pose` (4, 4), camera to world; `rng` draws the noise."""
    inverse, face = cast(room.scene, pose[:3, :3], pose[:3, 3], intrinsics)
    depth, surfaces = 1 / inverse, room.surfaces
    rgb = np.empty((*depth.shape, 3), np.uint8)
    dropout, free = np.take(surfaces.dropout, face), openness(inverse[::2, ::2])
    rows = max(2, _STRIP // intrinsics.width // 2 * 2)
    for top in range(0, intrinsics.height, rows):
        strip = slice(top, top + rows)
        seen = face[strip].astype(np.intp)
        rays, point = _points(pose, depth[strip], intrinsics, strip)
        normal = [np.take(axis, seen) for axis in surfaces.normal]
        facing = np.abs(_dot(rays, normal)) / np.sqrt(_dot(rays, rays))
        # Steeply inclined surfaces return little light to a depth camera.
        dropout[strip] += np.maximum(0, np.float32(0.22) - facing) * 4
        footprint = depth[strip] / ((facing + np.float32(0.25)) * np.float32(intrinsics.fx))
        light = _albedo(surfaces, seen, point, footprint)
        emission = np.take(surfaces.emission, seen)
        # Light changes slowly: every second pixel each way is enough.
        half = np.s_[::2, ::2]
        irradiance = room.lighting.on(
            [p[half] for p in point], [n[half] for n in normal], free[top // 2 : (top + rows) // 2]
        )
        for albedo, channel in zip(light, irradiance, strict=True):
            albedo *= cv2.resize(channel, seen.shape[::-1]) + emission
        rgb[strip] = _develop(light, room.gain, strip, intrinsics, rng)
    return View(depth, np.take(surfaces.label, face), _softened(rgb, face), dropout)


def _dot(a, b) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _points(pose, depth, intrinsics: CameraIntrinsics, strip: slice) -> tuple[list, list]:
    """Rays (world direction at one metre depth) and world points, three (h, w) float32 each."""
    u = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)
    v = ((np.arange(intrinsics.height)[strip] - intrinsics.cy) / intrinsics.fy).astype(np.float32)
    r = pose[:3].astype(np.float32)
    rays = [u * r[axis, 0] + (v * r[axis, 1] + r[axis, 2])[:, None] for axis in range(3)]
    return rays, [ray * depth + r[axis, 3] for axis, ray in enumerate(rays)]


def _albedo(surfaces: Surfaces, face, point, footprint) -> list[np.ndarray]:
    """Three (h, w) float32: the linear colour of the surface under each pixel."""
    u, v = (
        _dot([np.take(a, face) for a in row], point) + np.take(row[3], face) for row in surfaces.uv
    )
    texels = footprint * np.take(surfaces.texels_per_m, face)
    weights = atlas().sample(np.take(surfaces.texture, face), u, v, texels)
    weights = [weight.astype(np.float32) for weight in cv2.split(weights)]
    return [_dot(weights, [np.take(c, face) for c in channel]) for channel in surfaces.colours]


def _develop(light, gain, strip: slice, intrinsics: CameraIntrinsics, rng) -> np.ndarray:
    """(h, w, 3) uint8 sRGB of three (h, w) float32 linear channels.

    Bright light bends towards white (Reinhard's curve with a white point of 2.5). The square root
    stands for the gamma of the display.
    """
    x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in (intrinsics.width, intrinsics.height))
    fade = 1 - np.float32(_VIGNETTE / 2) * (x * x + (y * y)[strip, None])
    noise = np.float32(_NOISE) * rng.standard_normal(fade.shape, np.float32)
    channels = []
    for channel, factor in zip(light, gain, strict=True):
        linear = np.minimum(channel * (factor * fade), np.float32(2.5))
        bent = np.sqrt(linear * (linear * np.float32(1 / 2.5**2) + 1) / (linear + 1)) * 255 + noise
        channels.append(cv2.convertScaleAbs(np.maximum(bent, 0)))
    return cv2.merge(channels)


def _softened(rgb: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The image through a soft lens, softer where faces meet, which hides stairs there."""
    border = np.zeros(face.shape, np.uint8)
    border[:, 1:] = face[:, 1:] != face[:, :-1]
    border[1:] |= face[1:] != face[:-1]
    border = cv2.dilate(border, np.ones((2, 2), np.uint8), anchor=(0, 0))
    rgb = cv2.GaussianBlur(rgb, (3, 3), 0.7)
    return cv2.copyTo(cv2.GaussianBlur(rgb, (3, 3), 0.9), border, rgb)
