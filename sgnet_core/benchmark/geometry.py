# SPDX-License-Identifier: Apache-2.0
"""What a node makes of depth before any network: XYZ, normals, HHA, registration to colour."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import numpy as np

from sgnet_core.benchmark.memory import resident_mb
from sgnet_core.benchmark.results import Key
from sgnet_core.benchmark.sensor import Size, generated_bytes
from sgnet_core.geometry import depth_to_xyz
from sgnet_core.hha import ANGLE_RADIUS_PX, depth_to_hha
from sgnet_core.normals import surface_normals
from sgnet_core.registration import register_depth
from sgnet_core.types import CameraIntrinsics

NAMES = ('hha', 'xyz', 'normals', 'registration')
OURS, FLOAT64 = 'torch', 'float64'
"""Backends of rows; the second is HHA as `encode_hha` computes it."""

FIRST_FRAMES, ALL_FRAMES = 100, 1000
SIZE_OF_MANY_FRAMES = (120, 160)
"""Small: one lost image of it a frame shows all the same."""


def row_key(name: str, size: Size, backend: str = OURS) -> Key:
    """Of the row of one encoding."""
    precision = 'fp64' if backend == FLOAT64 else 'fp32'
    return Key('geometry', name, backend, precision, f'{size[0]}x{size[1]}')


def memory_key(frames: int) -> Key:
    """Of the row that has the memory of the process after so many frames."""
    return row_key(f'hha_after_{frames}_frames', SIZE_OF_MANY_FRAMES)


def calls(size: Size, device: str, float64: bool) -> dict[Key, Callable[[], object]]:
    """Each encoding of a generated frame, which is on the device as float32 metres."""
    frame = generated_bytes(size).frame()
    depth_m = torch.from_numpy(frame.depth_m).to(device)
    camera = frame.intrinsics
    made: dict[Key, Callable[[], object]] = {
        row_key('hha', size): lambda: depth_to_hha(depth_m, camera),
        row_key('xyz', size): lambda: depth_to_xyz(depth_m, camera),
        row_key('normals', size): lambda: surface_normals(depth_m, camera, ANGLE_RADIUS_PX),
        row_key('registration', size): lambda: register_depth(
            depth_m, camera, _colour_camera(camera), _five_cm_apart()
        ),
    }
    if float64:
        double_m = depth_m.double()
        made[row_key('hha', size, FLOAT64)] = lambda: depth_to_hha(double_m, camera, gravity_step=1)
    return made


def resident_after_frames(device: str) -> list[float | None]:
    """10^6 bytes that the process holds after the first frames, and after all."""
    call = calls(SIZE_OF_MANY_FRAMES, device, float64=False)[row_key('hha', SIZE_OF_MANY_FRAMES)]
    found = []
    with torch.inference_mode():
        for frames in (FIRST_FRAMES, ALL_FRAMES - FIRST_FRAMES):
            for _ in range(frames):
                call()
            found.append(resident_mb(device))
    return found


def _colour_camera(camera: CameraIntrinsics) -> CameraIntrinsics:
    """Of the same size, with a tenth longer lens."""
    return CameraIntrinsics(
        camera.width, camera.height, 1.1 * camera.fx, 1.1 * camera.fy, camera.cx, camera.cy
    )


def _five_cm_apart() -> np.ndarray:
    """The pose of one camera in the other: beside it, and turned by a degree."""
    pose = np.eye(4)
    cosine, sine = math.cos(math.radians(1.0)), math.sin(math.radians(1.0))
    pose[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    pose[0, 3] = 0.05
    return pose
