# SPDX-License-Identifier: Apache-2.0
"""What a structured-light depth camera makes of exact depth: shadows, holes, noise, steps.

Figures of the first Kinect: Khoshelham and Elberink, "Accuracy and Resolution of Kinect Depth
Data" (Sensors 2012): disparity noise of about half a pixel step, so depth noise grows with z^2.
"""

from __future__ import annotations

import cv2
import numpy as np

from sgnet_core.data.rooms.render import View
from sgnet_core.types import CameraIntrinsics

BASELINE_M = 0.075
FOCAL_PX = 580.0
"""Of the infrared camera, whatever the size of our image."""
DISPARITY_STEP_PX = 1 / 8
DISPARITY_NOISE_PX = 0.12
RANGE_M = (0.5, 8.0)


def measure(rng, view: View, intrinsics: CameraIntrinsics) -> np.ndarray:
    """(H, W) float32 metres as a sensor would report them, NaN where it reports nothing."""
    disparity = np.float32(FOCAL_PX * BASELINE_M) / view.depth_m
    holes = _shadowed(view.depth_m, intrinsics)
    holes |= _lost(rng, view)
    noise = cv2.GaussianBlur(rng.standard_normal(disparity.shape, np.float32), (3, 3), 0.6)
    disparity += np.float32(DISPARITY_NOISE_PX * 1.6) * noise
    disparity *= np.float32(1 / DISPARITY_STEP_PX)
    np.rint(disparity, out=disparity)
    np.maximum(disparity, 1, out=disparity)
    depth_m = np.float32(FOCAL_PX * BASELINE_M / DISPARITY_STEP_PX) / disparity
    holes |= (depth_m < RANGE_M[0]) | (depth_m > RANGE_M[1])
    depth_m[holes] = np.nan
    return depth_m


def _shadowed(depth_m: np.ndarray, intrinsics: CameraIntrinsics) -> np.ndarray:
    """Where the projector, to the left of the camera, cannot see: behind near edges.

    A point at column u is at u + f * b / z for the projector; where something further left in the
    same row lands beyond it, that thing stands in the light.
    """
    column = np.arange(depth_m.shape[1], dtype=np.float32)
    seen_at = column + np.float32(intrinsics.fx * BASELINE_M) / depth_m
    foremost = np.maximum.accumulate(seen_at, axis=1)
    return seen_at < foremost - np.float32(1.0)


def _lost(rng, view: View) -> np.ndarray:
    """Where too little light comes back: dark, mirror-like or steeply inclined surfaces, edges."""
    height, width = view.depth_m.shape
    coarse = rng.random((height // 12 + 2, width // 12 + 2), np.float32)
    patches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    # Sound surfaces lose nothing but a few specks.
    patches += np.float32(0.14)
    patches += np.float32(0.25) * (rng.random((height, width), np.float32) - np.float32(0.5))
    brightness = cv2.cvtColor(view.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    risk = view.dropout + np.maximum(0, np.float32(0.22) - view.slant) * 4
    risk += np.maximum(0, np.float32(28) - brightness) * np.float32(0.016)
    risk += np.maximum(0, view.depth_m - np.float32(4.0)) * np.float32(0.07)
    near = cv2.erode(view.depth_m, np.ones((3, 3), np.uint8))
    edge = view.depth_m - near > np.float32(0.04) * near
    risk += np.float32(0.45) * edge
    return patches < risk
