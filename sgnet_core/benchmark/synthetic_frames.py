# SPDX-License-Identifier: Apache-2.0
"""Raw images of a camera that sees a synthetic scene. Camera processes start without torch."""

from __future__ import annotations

import numpy as np

from sgnet_core.types import CameraIntrinsics, RgbdFrame

Size = tuple[int, int]

MISSING_DEPTH = 0.1
"""Fraction of pixels without a measurement, about that of a structured-light camera indoors."""


def synthetic_images(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB and (H, W) uint16 millimetres, 0 = no measurement; equal in every call.

    The scene is a receding floor with a box in front of it.
    """
    rng = np.random.default_rng(3)
    height, width = size
    depth_m = np.linspace(5.0, 1.0, height)[:, None].repeat(width, axis=1)
    depth_m[height // 4 : height // 2, width // 3 : width // 2] = 1.3
    depth_mm = (1000 * depth_m + rng.normal(0, 3, size)).astype(np.uint16)
    depth_mm[rng.random(size) < MISSING_DEPTH] = 0
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8), depth_mm


def frame_from_images(rgb: np.ndarray, depth_mm: np.ndarray) -> RgbdFrame:
    """The frame of `synthetic_images`: metres, missing depth as NaN."""
    height, width = depth_mm.shape
    depth_m = depth_mm.astype(np.float32) * np.float32(0.001)
    depth_m[depth_mm == 0] = np.nan
    camera = CameraIntrinsics(width, height, width, width, width / 2, height / 2)
    return RgbdFrame(rgb, depth_m, camera)
