# SPDX-License-Identifier: Apache-2.0
"""Renders a room: exact depth and labels from one ray per pixel, and a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from sgnet_core.data.synthetic.camera import Trajectory, plan_trajectory, room_camera
from sgnet_core.data.synthetic.lighting import Lighting, dot, light_room, openness
from sgnet_core.data.synthetic.ray_casting import Scene, assemble, cast, ray_slopes
from sgnet_core.data.synthetic.room import Layout, lay_out
from sgnet_core.data.synthetic.textures import SIZE, atlas
from sgnet_core.types import CameraIntrinsics

_STRIP = 16_384
"""Pixels shaded at once: strips that stay in the cache are twice as fast as whole images."""
_THUMBNAIL = room_camera((36, 48))
_NOISE = 2.0
"""Standard deviation of the noise, in steps of 1/255."""
_MEDIAN, _BRIGHT = 0.55, 0.84
"""Brightness, of 1, that the exposure allows the median pixel and the brightest sixth."""


@dataclass(frozen=True)
class Surfaces:
    """Appearance of each face: arrays over the F faces of a `Scene`, which are the last axis.

    Attributes:
        normal: (3, F), into the free space.
        uv: (2, 4, F): u and v as in `Solid.uv`.
        colours: (channels, colours, F) linear RGB over 255, for weights up to 255.
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
    trajectory: Trajectory
    gain: np.ndarray


class View(NamedTuple):
    """Images (H, W) from one pose; `depth_m` is exact, for `dropout` see `kinect_depth`."""

    depth_m: np.ndarray
    labels: np.ndarray
    rgb: np.ndarray
    dropout: np.ndarray


def build_room(rng) -> Room:
    """A new room; everything follows from the state of `rng`."""
    layout = lay_out(rng)
    scene, surfaces = assemble(layout.plan.solids, layout.shell), _surfaces(layout)

    def score(pose: np.ndarray) -> float:
        """The entropy of the classes; half a metre of median distance is worth about a class."""
        inverse, face = cast(scene, pose[:3, :3], pose[:3, 3], _THUMBNAIL)
        share = np.bincount(np.take(surfaces.label, face).ravel()) / face.size
        share = share[share > 0]
        return float(-np.sum(share * np.log(share)) + 0.25 * min(1 / np.median(inverse), 3.0))

    trajectory = plan_trajectory(rng, layout.plan, score)
    lighting = light_room(rng, layout, scene)
    room = Room(layout, scene, surfaces, lighting, trajectory, np.ones(3, np.float32))
    tint = rng.uniform(0.9, 1.25) * (1 + rng.uniform(-0.05, 0.05, 3))
    return replace(room, gain=(_exposure(room) * tint).astype(np.float32))


def _exposure(room: Room) -> float:
    """The gain that gives the first view a usual brightness; dark rooms stay somewhat darker."""
    view = render(room, room.trajectory.pose(0.0), _THUMBNAIL, np.random.default_rng(0))
    median, bright = np.percentile(view.rgb.mean(axis=2) / 255, (50, 85)) + 0.02
    # A dark floor must not burn out the walls.
    return float(np.clip(min(_MEDIAN / median, _BRIGHT / bright) ** 1.5, 0.5, 5.0))


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
        emission=per_face([s.material.finish.emission for s in solids]),
        dropout=per_face([s.material.finish.dropout for s in solids]),
    )


def render(room: Room, pose: np.ndarray, intrinsics: CameraIntrinsics, rng) -> View:
    """Photograph a room from `pose` (4, 4), camera to world; `rng` draws the noise."""
    inverse, face = cast(room.scene, pose[:3, :3], pose[:3, 3], intrinsics)
    depth, surfaces = 1 / inverse, room.surfaces
    rgb = np.empty((*depth.shape, 3), np.uint8)
    dropout, free = np.take(surfaces.dropout, face), openness(inverse[::2, ::2])
    u, v = ray_slopes(intrinsics)
    r = pose[:3].astype(np.float32)
    rows = max(2, _STRIP // intrinsics.width // 2 * 2)
    for top in range(0, intrinsics.height, rows):
        strip = slice(top, top + rows)
        seen = face[strip].astype(np.intp)
        rays = [u * r[axis, 0] + (v[strip] * r[axis, 1] + r[axis, 2])[:, None] for axis in range(3)]
        point = [ray * depth[strip] + r[axis, 3] for axis, ray in enumerate(rays)]
        normal = [np.take(axis, seen) for axis in surfaces.normal]
        facing = np.abs(dot(rays, normal)) / np.sqrt(dot(rays, rays))
        # Steeply inclined surfaces return little light to a depth camera.
        dropout[strip] += np.maximum(0, np.float32(0.22) - facing) * 4
        footprint = depth[strip] / ((facing + np.float32(0.25)) * np.float32(intrinsics.fx))
        light = _albedo(surfaces, seen, point, footprint)
        emission = np.take(surfaces.emission, seen)
        # Light changes slowly: every second pixel each way is enough.
        half = np.s_[::2, ::2]
        sparse = ([axis[half] for axis in vector] for vector in (point, normal))
        irradiance = room.lighting.on(*sparse, free[top // 2 : (top + rows) // 2])
        for albedo, channel in zip(light, irradiance, strict=True):
            albedo *= cv2.resize(channel, seen.shape[::-1]) + emission
        rgb[strip] = _tone_map(light, room.gain, rng)
    # A soft lens hides the stairs at edges.
    rgb = cv2.GaussianBlur(rgb, (3, 3), 0.8)
    return View(depth, np.take(surfaces.label, face), rgb, dropout)


def _albedo(surfaces: Surfaces, face, point, footprint) -> list[np.ndarray]:
    """Three (h, w) float32: the linear colour of the surface under each pixel."""
    u, v = (
        dot([np.take(a, face) for a in row], point) + np.take(row[3], face) for row in surfaces.uv
    )
    texels = footprint * np.take(surfaces.texels_per_m, face)
    weights = atlas().sample(np.take(surfaces.texture, face), u, v, texels)
    weights = [weight.astype(np.float32) for weight in cv2.split(weights)]
    return [dot(weights, [np.take(c, face) for c in channel]) for channel in surfaces.colours]


def _tone_map(light, gain, rng) -> np.ndarray:
    """(h, w, 3) uint8 sRGB of three (h, w) float32 linear channels.

    Bright light bends towards white (Reinhard's curve with a white point of 2.5). The square root
    stands for the gamma of the display.
    """
    noise = np.float32(_NOISE) * rng.standard_normal(light[0].shape, np.float32)
    channels = []
    for channel, factor in zip(light, gain, strict=True):
        linear = np.minimum(channel * factor, np.float32(2.5))
        bent = np.sqrt(linear * (linear * np.float32(1 / 2.5**2) + 1) / (linear + 1)) * 255 + noise
        channels.append(cv2.convertScaleAbs(np.maximum(bent, 0)))
    return cv2.merge(channels)
