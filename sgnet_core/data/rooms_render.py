# SPDX-License-Identifier: Apache-2.0
"""Renders a furnished room: exact depth and labels from one ray hit per pixel, and a photograph."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.data.rooms_atlas import atlas
from sgnet_core.data.rooms_geometry import Scene, Solid, assemble, cast
from sgnet_core.data.rooms_layout import Furnished, furnish
from sgnet_core.data.rooms_light import Lighting, lighting
from sgnet_core.data.rooms_patterns import SIZE
from sgnet_core.types import CameraIntrinsics


@dataclass(frozen=True)
class Surfaces:
    """What each face looks like: arrays over the faces of a `Scene`.

    Attributes:
        label: (F,) uint8.
        normal: (F, 3) float32.
        uv: (F, 8) float32, rows of u then v.
        texels_per_m: (F,) float32 of the pattern at full resolution.
        pattern: (F,) int32, index into the atlas.
        colours: (F, 3, 3) float32 linear RGB.
        emission, dropout: (F,) float32.
    """

    label: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    texels_per_m: np.ndarray
    pattern: np.ndarray
    colours: np.ndarray
    emission: np.ndarray
    dropout: np.ndarray


@dataclass(frozen=True)
class Exposure:
    """How the camera of a room turns light into colour: gain, white balance, softness, vignette."""

    gain: float
    balance: np.ndarray
    blur_sigma_px: float
    vignette: float
    noise: float


@dataclass(frozen=True)
class Room:
    """A room ready to be photographed."""

    furnished: Furnished
    scene: Scene
    surfaces: Surfaces
    lighting: Lighting
    exposure: Exposure


@dataclass(frozen=True)
class View:
    """What one camera position sees.

    Attributes:
        depth_m: (H, W) float32 along the optical axis, exact.
        labels: (H, W) uint8.
        rgb: (H, W, 3) uint8.
        slant: (H, W) float32 in [0, 1], cosine between the ray and the surface normal.
        dropout: (H, W) float32 in [0, 1], how much the material resists a depth sensor.
    """

    depth_m: np.ndarray
    labels: np.ndarray
    rgb: np.ndarray
    slant: np.ndarray
    dropout: np.ndarray


def build_room(rng) -> Room:
    """A new room; everything follows from the state of `rng`."""
    furnished = furnish(rng)
    scene = assemble(furnished.plan.solids, furnished.shell)
    everything = [*furnished.plan.solids, *furnished.shell]
    floor_colour = furnished.shell[0].material.colours[:2].mean(axis=0)
    exposure = Exposure(
        gain=rng.uniform(0.9, 1.25),
        balance=(1 + rng.uniform(-0.05, 0.05, 3)).astype(np.float32),
        blur_sigma_px=rng.uniform(0.45, 0.75),
        vignette=rng.uniform(0.08, 0.28),
        noise=rng.uniform(1.0, 3.5),
    )
    light = lighting(rng, furnished, scene, floor_colour)
    return Room(furnished, scene, _surfaces(everything), light, exposure)


def _surfaces(solids: list[Solid]) -> Surfaces:
    """The table of faces, in the order of the scene."""
    index = atlas().index
    counts = [len(solid.offsets) for solid in solids]

    def per_face(values, dtype) -> np.ndarray:
        return np.repeat(np.array(values, dtype), counts, axis=0)

    uv = np.concatenate([solid.uv for solid in solids])
    return Surfaces(
        label=per_face([s.label for s in solids], np.uint8),
        normal=np.concatenate([s.normals for s in solids]).astype(np.float32),
        uv=uv.reshape(-1, 8).astype(np.float32),
        texels_per_m=(SIZE * np.linalg.norm(uv[..., :3], axis=2).max(axis=1)).astype(np.float32),
        pattern=per_face([index[s.material.pattern] for s in solids], np.int32),
        colours=per_face([s.material.colours for s in solids], np.float32),
        emission=per_face([s.material.emission for s in solids], np.float32),
        dropout=per_face([s.material.dropout for s in solids], np.float32),
    )


def render(room: Room, pose: np.ndarray, intrinsics: CameraIntrinsics, rng) -> View:
    """Photograph a room from `pose` (4, 4), camera to world; `rng` draws the grain."""
    rotation, position = pose[:3, :3], pose[:3, 3]
    inverse, face = cast(room.scene, rotation, position, intrinsics)
    face = face.astype(np.intp)
    depth = 1 / inverse
    rays = _rays(rotation, intrinsics)
    point = [ray * depth + np.float32(p) for ray, p in zip(rays, position, strict=True)]
    normal = [np.take(room.surfaces.normal[:, axis], face) for axis in range(3)]
    slant = _slant(rays, normal)
    albedo = _albedo(room.surfaces, face, point, depth / (slant + np.float32(0.25)), intrinsics)
    light = room.lighting.on(point, normal)
    light += np.take(room.surfaces.emission, face)[..., None]
    light *= albedo
    return View(
        depth_m=depth,
        labels=np.take(room.surfaces.label, face),
        rgb=_photograph(light, room.exposure, rng),
        slant=slant,
        dropout=np.take(room.surfaces.dropout, face),
    )


def _rays(rotation: np.ndarray, intrinsics: CameraIntrinsics) -> list[np.ndarray]:
    """Three (H, W) float32: the world direction of each pixel at a depth of one metre."""
    u = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)
    v = ((np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)
    r = rotation.astype(np.float32)
    return [u * r[axis, 0] + (v * r[axis, 1] + r[axis, 2])[:, None] for axis in range(3)]


def _slant(rays, normal) -> np.ndarray:
    """(H, W) float32 in [0, 1]: 1 where the surface faces the camera, 0 where it is edge on."""
    cosine = rays[0] * normal[0]
    cosine += rays[1] * normal[1]
    cosine += rays[2] * normal[2]
    length = rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2]
    cosine /= np.sqrt(length)
    return np.minimum(np.abs(cosine), 1, out=cosine)


def _albedo(surfaces: Surfaces, face, point, footprint, intrinsics) -> np.ndarray:
    """(H, W, 3) float32 linear colour of the surface under each pixel."""
    uv = []
    for row in (0, 4):
        value = np.take(surfaces.uv[:, row + 3], face)
        for axis in range(3):
            value += np.take(surfaces.uv[:, row + axis], face) * point[axis]
        uv.append(value)
    texels = footprint * np.take(surfaces.texels_per_m * np.float32(0.6 / intrinsics.fx), face)
    weights = atlas().sample(np.take(surfaces.pattern, face), *uv, texels)
    weights = weights.astype(np.float32)
    weights *= np.float32(1 / 255)
    albedo = weights[..., :1] * np.take(surfaces.colours[:, 0], face, axis=0)
    for i in (1, 2):
        albedo += weights[..., i : i + 1] * np.take(surfaces.colours[:, i], face, axis=0)
    return albedo


def _tone_table() -> np.ndarray:
    """(4096,) uint8: linear light times 1024 to sRGB with soft highlights."""
    light = np.arange(4096) / 1024.0
    # Straight up to about 0.6, then bending towards 1 (Reinhard's curve with a white point).
    curved = light * (1 + light / 3.2**2) / (1 + 0.55 * light) * 1.25
    return np.clip(255 * np.clip(curved, 0, 1) ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8)


_TONE = _tone_table()


def _photograph(light: np.ndarray, exposure: Exposure, rng) -> np.ndarray:
    """(H, W, 3) uint8 from linear light: lens softness, vignette, exposure, tone, noise."""
    height, width = light.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(height / width)
    fading = np.float32(exposure.gain * 1024) * (
        1 - np.float32(exposure.vignette) * (x * x + y * y)
    )
    np.minimum(light, 6, out=light)
    light = cv2.GaussianBlur(light, (3, 3), exposure.blur_sigma_px)
    light *= fading[..., None]
    light *= exposure.balance
    np.clip(light, 0, 4095, out=light)
    image = np.take(_TONE, light.astype(np.uint16))
    grain = rng.integers(0, 256, (height, width, 3), np.uint8)
    return cv2.add(image, _grain_table(exposure.noise)[grain], dtype=cv2.CV_8U)


def _grain_table(sigma: float) -> np.ndarray:
    """(256,) int16: a uniform byte to a bell-shaped noise value."""
    from statistics import NormalDist

    bell = NormalDist(0, sigma)
    return np.array([round(bell.inv_cdf((i + 0.5) / 256)) for i in range(256)], np.int16)
