# SPDX-License-Identifier: Apache-2.0
"""Renders a furnished room: exact depth and labels from one ray hit per pixel, and a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sgnet_core.data.rooms.atlas import atlas
from sgnet_core.data.rooms.camera import room_camera
from sgnet_core.data.rooms.cast import Scene, assemble, cast
from sgnet_core.data.rooms.film import Exposure, Film
from sgnet_core.data.rooms.layout import Furnished, furnish
from sgnet_core.data.rooms.light import Lighting, lighting
from sgnet_core.data.rooms.patterns import SIZE
from sgnet_core.types import CameraIntrinsics


@dataclass(frozen=True)
class Surfaces:
    """What each face looks like: arrays over the faces of a `Scene`.

    Attributes:
        label: (F,) uint8.
        normal: (3, F) float32, into the free space.
        uv: (2, 4, F) float32: u and v as in `Solid.uv`.
        texels_per_m: (F,) float32 of the pattern, less than all: crisp rather than smooth.
        pattern: (F,) int32, index into the atlas.
        colours: (channels, colours, F) float32 linear RGB over 255, for weights up to 255.
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
    floor_colour = furnished.shell[0].material.colours[:2].mean(axis=0)
    exposure = Exposure(
        gain=rng.uniform(0.9, 1.25),
        balance=(1 + rng.uniform(-0.05, 0.05, 3)).astype(np.float32),
        blur_sigma_px=rng.uniform(0.55, 0.95),
        vignette=rng.uniform(0.08, 0.28),
        noise=rng.uniform(1.0, 3.5),
    )
    light = lighting(rng, furnished, scene, floor_colour)
    return Room(furnished, scene, _surfaces(furnished), light, exposure)


_THUMBNAIL = room_camera((36, 48))


def interest(room: Room, pose: np.ndarray) -> float:
    """How much there is to see from `pose`: many classes, evenly, and not too close."""
    inverse, face = cast(room.scene, pose[:3, :3], pose[:3, 3], _THUMBNAIL)
    share = np.bincount(np.take(room.surfaces.label, face).ravel()) / face.size
    share = share[share > 0]
    # The entropy of the classes; half a metre of median distance is worth about a class.
    return float(-np.sum(share * np.log(share)) + 0.25 * min(1 / np.median(inverse), 3.0))


def metered(room: Room, pose: np.ndarray) -> Room:
    """The room with the gain that makes the view from `pose` as bright as people expect.

    The gain the room had stays as a correction of that, and dark rooms stay somewhat darker.
    """
    bare = replace(room.exposure, gain=1.0, noise=0.0, vignette=0.0)
    view = render(replace(room, exposure=bare), pose, _THUMBNAIL, np.random.default_rng(0))
    developed = view.rgb.astype(np.float32).mean(axis=2) / 255
    middle, bright = np.percentile(developed, (50, 85)) + 0.02
    # A dark floor must not burn out the walls: their brightness counts as much.
    factor = min(_MIDDLE / middle, _BRIGHT / bright)
    gain = room.exposure.gain * float(np.clip(factor**1.5, 0.5, 5.0))
    return replace(room, exposure=replace(room.exposure, gain=gain))


_MIDDLE, _BRIGHT = 0.55, 0.84
"""The brightness, of 1, that metering allows the median pixel and the brightest sixth."""


def _surfaces(furnished: Furnished) -> Surfaces:
    """The table of faces, in the order of the scene."""
    solids = [*furnished.plan.solids, *furnished.shell]
    # The planes of the shell are seen, and lit, from inside the room.
    facing = [1] * len(furnished.plan.solids) + [-1] * len(furnished.shell)
    index = atlas().index
    counts = [len(solid.offsets) for solid in solids]

    def per_face(values, dtype) -> np.ndarray:
        return np.repeat(np.array(values, dtype), counts, axis=0)

    uv = np.concatenate([solid.uv for solid in solids])
    return Surfaces(
        label=per_face([s.label for s in solids], np.uint8),
        normal=_columns(
            np.concatenate([f * s.normals for f, s in zip(facing, solids, strict=True)])
        ),
        uv=_columns(uv),
        texels_per_m=(0.6 * SIZE * np.linalg.norm(uv[..., :3], axis=2).max(axis=1)).astype(
            np.float32
        ),
        pattern=per_face([index[s.material.pattern] for s in solids], np.int32),
        colours=_columns(per_face([s.material.colours for s in solids], np.float32) / 255),
        emission=per_face([s.material.emission for s in solids], np.float32),
        dropout=per_face([s.material.dropout for s in solids], np.float32),
    )


def _columns(table: np.ndarray) -> np.ndarray:
    """(F, ...) to contiguous (..., F) float32 with colours by channel: quick to look up in."""
    moved = np.moveaxis(table, 0, -1)
    if table.shape[1:] == (3, 3):
        moved = moved.swapaxes(0, 1)
    return np.ascontiguousarray(moved, np.float32)


def render(room: Room, pose: np.ndarray, intrinsics: CameraIntrinsics, rng) -> View:
    """Photograph a room from `pose` (4, 4), camera to world; `rng` draws the grain."""
    inverse, face = cast(room.scene, pose[:3, :3], pose[:3, 3], intrinsics)
    depth = 1 / inverse
    light = _light(room, pose, (face, depth), intrinsics)
    rgb = np.empty((*depth.shape, 3), np.uint8)
    slant = np.empty_like(depth)
    film = Film(room.exposure, intrinsics.size, rng)
    # In strips that stay in the cache: twice as fast as whole images.
    rows = max(1, _STRIP // intrinsics.width)
    for top in range(0, intrinsics.height, rows):
        strip = slice(top, top + rows)
        there = face[strip].astype(np.intp)
        rays, point = _points(pose, depth[strip], intrinsics, (strip, slice(None)))
        normal = [np.take(axis, there) for axis in room.surfaces.normal]
        slant[strip] = _slant(rays, normal)
        footprint = depth[strip] / ((slant[strip] + np.float32(0.25)) * np.float32(intrinsics.fx))
        channels = _albedo(room.surfaces, there, point, footprint)
        emission = np.take(room.surfaces.emission, there)
        for albedo, shining in zip(channels, light, strict=True):
            albedo *= shining[strip] + emission
        rgb[strip] = film.exposed(channels, strip)
    return View(
        depth_m=depth,
        labels=np.take(room.surfaces.label, face),
        rgb=_softened(rgb, face, room.exposure.blur_sigma_px),
        slant=slant,
        dropout=np.take(room.surfaces.dropout, face),
    )


_STRIP = 16_384


def _softened(rgb: np.ndarray, face: np.ndarray, sigma_px: float) -> np.ndarray:
    """The image through a soft lens, and smoother where one face meets another: no stairs there.

    Colour only: depth and labels stay those of one ray per pixel.
    """
    rgb = cv2.GaussianBlur(rgb, (3, 3), sigma_px)
    border = np.zeros(face.shape, np.uint8)
    np.not_equal(face[:, 1:], face[:, :-1], out=border[:, 1:].view(bool))
    border[1:] |= face[1:] != face[:-1]
    border = cv2.dilate(border, np.ones((2, 2), np.uint8), anchor=(0, 0))
    smooth = cv2.GaussianBlur(rgb, (3, 3), 0.9)
    return cv2.copyTo(smooth, border, rgb)


def _points(pose, depth, intrinsics: CameraIntrinsics, window) -> tuple[list, list]:
    """Rays (world direction at one metre depth) and world points, three (h, w) float32 each.

    `depth` (h, w) belongs to the (rows, columns) slices `window` of the image.
    """
    rows, columns = window
    u = ((np.arange(intrinsics.width)[columns] - intrinsics.cx) / intrinsics.fx).astype(np.float32)
    v = ((np.arange(intrinsics.height)[rows] - intrinsics.cy) / intrinsics.fy).astype(np.float32)
    r = pose[:3].astype(np.float32)
    rays = [u * r[axis, 0] + (v * r[axis, 1] + r[axis, 2])[:, None] for axis in range(3)]
    return rays, [ray * depth + r[axis, 3] for axis, ray in enumerate(rays)]


def _light(room: Room, pose, seen, intrinsics: CameraIntrinsics) -> list[np.ndarray]:
    """Three (H, W) float32 irradiances, worked out for every second pixel each way.

    Light changes slowly along a face, so the pixels between take the mean of those neighbours
    that show the same face.
    """
    face, depth = seen
    half = slice(None, None, 2)
    _, point = _points(pose, depth[half, half], intrinsics, (half, half))
    coarse_face = face[half, half]
    normal = [np.take(axis, coarse_face) for axis in room.surfaces.normal]
    coarse = room.lighting.on(point, normal)
    columns = face[:, half]
    tall = _filled(coarse, columns, axis=0)
    return _filled(tall, face, axis=1)


def _filled(known: list[np.ndarray], face: np.ndarray, axis: int) -> list[np.ndarray]:
    """The values at the pixels of `face`, of which every second along `axis` is known."""
    count = face.shape[axis] // 2
    part = (slice(None),) * axis
    even, odd = (*part, slice(0, None, 2)), (*part, slice(1, None, 2))
    before = (*part, slice(0, count))
    # The last pixel of an even count has nobody after it and looks back twice.
    after = np.minimum(np.arange(1, count + 1), known[0].shape[axis] - 1)
    wanted, faces = face[odd], face[even]
    weight = (np.take(faces, after, axis) == wanted).astype(np.float32)
    weight -= faces[before] == wanted
    weight *= np.float32(0.5)
    weight += np.float32(0.5)
    results = []
    for values in known:
        result = np.empty(face.shape, np.float32)
        result[even] = values
        step = np.take(values, after, axis)
        step -= values[before]
        step *= weight
        step += values[before]
        result[odd] = step
        results.append(result)
    return results


def _slant(rays, normal) -> np.ndarray:
    """(H, W) float32 in [0, 1]: 1 where the surface faces the camera, 0 where it is edge on."""
    cosine = rays[0] * normal[0]
    cosine += rays[1] * normal[1]
    cosine += rays[2] * normal[2]
    length = rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2]
    cosine /= np.sqrt(length)
    return np.minimum(np.abs(cosine), 1, out=cosine)


def _albedo(surfaces: Surfaces, face, point, footprint) -> list[np.ndarray]:
    """Three (h, w) float32: the linear colour of the surface under each pixel."""
    uv = []
    for row in surfaces.uv:
        value = np.take(row[3], face)
        for axis in range(3):
            value += np.take(row[axis], face) * point[axis]
        uv.append(value)
    texels = footprint * np.take(surfaces.texels_per_m, face)
    weights = cv2.split(atlas().sample(np.take(surfaces.pattern, face), *uv, texels))
    weights = [weight.astype(np.float32) for weight in weights]
    channels = []
    for channel in surfaces.colours:
        albedo = weights[0] * np.take(channel[0], face)
        for weight, colour in zip(weights[1:], channel[1:], strict=True):
            albedo += weight * np.take(colour, face)
        channels.append(albedo)
    return channels
