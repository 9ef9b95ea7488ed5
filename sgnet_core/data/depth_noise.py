# SPDX-License-Identifier: Apache-2.0
"""Errors of depth cameras: missing pixels, noise, disparity steps, shifts and a wrong scale.

`kinect_depth` models one camera and turns rendered depth into measured depth. `degrade_depth` draws
each effect independently, with its own probability, to augment training crops. Colour and labels
are never touched.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from sgnet_core.types import CameraIntrinsics, Sample

BASELINE_M = 0.075
FOCAL_PX = 580.0
"""Of the first Kinect's infrared camera, for images of any size."""
DISPARITY_STEP_PX = 1 / 8
DISPARITY_NOISE_PX = 0.12
"""Khoshelham and Elberink, "Accuracy and Resolution of Kinect Depth Data" (Sensors 2012)."""
RANGE_M = (0.5, 8.0)

TOTAL_LOSS_PROBABILITY = 0.1
"""No depth at all: a camera that is unplugged, in the sun, or too near to everything."""

SCALE_PROBABILITY, SCALE_ERROR = 0.5, 0.03
LARGE_SCALE_PROBABILITY, LARGE_SCALE_ERROR = 0.1, 0.1
"""Uncalibrated stereo cameras are wrong by some per cent, badly bumped ones by ten."""

SHIFT_PROBABILITY, MAX_SHIFT_PX = 0.2, 4
"""Registration with the factory's extrinsics, or colour and depth of different moments."""

NOISE_PROBABILITY, MAX_NOISE_FACTOR = 0.5, 2.0
"""The first Kinect's axial noise (see `axial_noise_m`) is 1; stereo cameras have more."""

STEPS_PROBABILITY, MAX_STEPS_FACTOR = 0.4, 2.0
"""The first Kinect's disparity steps are 1."""

EDGES_PROBABILITY, EDGE_RISE, MAX_EDGE_PX = 0.4, 0.05, 6
"""The projector, or the second eye, does not see what lies behind a near edge (5 % nearer)."""

DARK_PROBABILITY, DARK_GREY = 0.3, (15, 70)
SHINY_PROBABILITY, SHINY_GREY, SHINY_SATURATION = 0.25, (205, 250), 0.15
"""Black swallows the infrared pattern; gloss, lamps and windows mirror or drown it."""

BLOBS_PROBABILITY, MAX_BLOBS_SHARE, BLOB_PX = 0.4, 0.5, (4, 80)
"""Raw NYUv2 frames lack a fifth to a third of their depth, in patches of all sizes."""

PEPPER_PROBABILITY, MAX_PEPPER_SHARE = 0.2, 0.4
ROWS_PROBABILITY, MAX_ROWS_SHARE = 0.05, 0.1
"""Weak texture, interference, and packets lost on the way."""


def kinect_depth(
    depth_m: np.ndarray,
    rgb: np.ndarray,
    dropout: np.ndarray,
    intrinsics: CameraIntrinsics,
    rng: np.random.Generator,
) -> np.ndarray:
    """The depth that the first Kinect would measure, (H, W) float32 metres or NaN.

    `depth_m` is exact and complete. Dark surfaces in `rgb`, uint8, return little light. `dropout`,
    (H, W) float32, is how much of its depth a surface loses; 1 = nearly all.
    """
    missing = _projector_shadow(depth_m, intrinsics) | _weak_return(depth_m, rgb, dropout, rng)
    noise = cv2.GaussianBlur(rng.standard_normal(depth_m.shape, np.float32), (3, 3), 0.6)
    disparity_px = np.float32(FOCAL_PX * BASELINE_M) / depth_m
    disparity_px += np.float32(DISPARITY_NOISE_PX * 1.6) * noise
    np.maximum(disparity_px, DISPARITY_STEP_PX, out=disparity_px)
    measured_m = disparity_steps(np.float32(FOCAL_PX * BASELINE_M) / disparity_px, 1.0)
    missing |= (measured_m < RANGE_M[0]) | (measured_m > RANGE_M[1])
    measured_m[missing] = np.nan
    return measured_m


def degrade_depth(depth_m: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of `depth_m`, positive metres or NaN, as a worse camera would have measured it.

    The dark and shiny surfaces are those of `rgb`, (H, W, 3) uint8.
    """
    if rng.random() < TOTAL_LOSS_PROBABILITY:
        return np.full_like(depth_m, np.nan)
    missing = _missing_pixels(depth_m, rgb, rng)
    depth_m = depth_m.copy()
    if rng.random() < SCALE_PROBABILITY:
        large = rng.random() < LARGE_SCALE_PROBABILITY
        error = LARGE_SCALE_ERROR if large else SCALE_ERROR
        depth_m *= np.float32(1 + rng.uniform(-error, error))
    if rng.random() < NOISE_PROBABILITY:
        factor = np.float32(rng.uniform(0, MAX_NOISE_FACTOR))
        noise = rng.standard_normal(depth_m.shape, np.float32)
        depth_m += factor * axial_noise_m(depth_m) * noise
    if rng.random() < STEPS_PROBABILITY:
        depth_m = disparity_steps(depth_m, rng.uniform(0, MAX_STEPS_FACTOR))
    depth_m[missing | ~(depth_m > 0)] = np.nan
    if rng.random() < SHIFT_PROBABILITY:
        depth_m = shift_depth(depth_m, *rng.integers(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, 2))
    return depth_m


def remove_depth(sample: Sample, share: float, seed: int) -> Sample:
    """The sample as it would be without a measurement in `share` of its pixels, in patches."""
    depth_m = sample.frame.depth_m.copy()
    rng = np.random.default_rng(seed)
    depth_m[patches(depth_m.shape, share, rng) if share < 1 else ...] = np.nan
    return dataclasses.replace(sample, frame=dataclasses.replace(sample.frame, depth_m=depth_m))


def axial_noise_m(depth_m: np.ndarray) -> np.ndarray:
    """Standard deviation of the first Kinect at this depth, metres.

    Nguyen, Izadi and Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction and
    Tracking" (3DIMPVT 2012), equation 1.
    """
    beyond = depth_m - np.float32(0.4)
    return np.float32(0.0012) + np.float32(0.0019) * beyond * beyond


def disparity_steps(depth_m: np.ndarray, factor: float) -> np.ndarray:
    """Depth rounded to whole steps of disparity, so that steps of depth grow with its square.

    Args:
        depth_m: (H, W) float32 metres, above 0 or NaN.
        factor: size of a step, in steps of the first Kinect.
    """
    steps_m = np.float32(BASELINE_M * FOCAL_PX / DISPARITY_STEP_PX / max(factor, 0.01))
    return steps_m / np.maximum(np.rint(steps_m / depth_m), 1)


def shift_depth(depth_m: np.ndarray, down: int, right: int) -> np.ndarray:
    """Depth moved against the colour; NaN comes in at the borders."""
    matrix = np.float32([[1, 0, right], [0, 1, down]])
    size = depth_m.shape[::-1]
    return cv2.warpAffine(depth_m, matrix, size, flags=cv2.INTER_NEAREST, borderValue=np.nan)


def _projector_shadow(depth_m: np.ndarray, intrinsics: CameraIntrinsics) -> np.ndarray:
    """(H, W) bool: pixels that the projector, to the left of the camera, does not reach.

    The projector sees a point of column u at u + f * b / z. A point further left in the same row
    that lands beyond it is nearer and blocks its light.
    """
    column = np.arange(depth_m.shape[1], dtype=np.float32)
    seen_at = column + np.float32(intrinsics.fx * BASELINE_M) / depth_m
    return seen_at < np.maximum.accumulate(seen_at, axis=1) - 1


def _weak_return(depth_m, rgb, dropout, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: pixels that return too little light, in patches: dark, far, or at an edge."""
    threshold = _smooth_noise(depth_m.shape, 12, rng)
    # Good surfaces lose no more than a few specks.
    threshold += np.float32(0.14)
    threshold += np.float32(0.25) * (rng.random(depth_m.shape, np.float32) - np.float32(0.5))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    risk = dropout + np.maximum(0, np.float32(28) - grey) * np.float32(0.016)
    risk += np.maximum(0, depth_m - np.float32(4)) * np.float32(0.07)
    near = cv2.erode(depth_m, np.ones((3, 3), np.uint8))
    risk += np.float32(0.45) * (depth_m - near > np.float32(0.04) * near)
    return threshold < risk


def _missing_pixels(depth_m: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    missing = np.zeros(depth_m.shape, bool)
    if rng.random() < EDGES_PROBABILITY:
        missing |= _edge_shadow(depth_m, int(rng.integers(1, MAX_EDGE_PX + 1)), rng)
    channels = cv2.split(rgb)  # numpy reduces planes ten times faster than interleaved pixels
    brightest = np.maximum.reduce(channels)
    if rng.random() < DARK_PROBABILITY:
        dark = brightest < rng.uniform(*DARK_GREY)
        missing |= dark & patches(dark.shape, rng.uniform(0.3, 1), rng)
    if rng.random() < SHINY_PROBABILITY:
        shiny = brightest > rng.uniform(*SHINY_GREY)
        shiny &= np.minimum.reduce(channels) > np.float32(1 - SHINY_SATURATION) * brightest
        missing |= shiny & patches(shiny.shape, rng.uniform(0.3, 1), rng)
    if rng.random() < BLOBS_PROBABILITY:
        missing |= patches(missing.shape, rng.uniform(0, MAX_BLOBS_SHARE), rng)
    if rng.random() < PEPPER_PROBABILITY:
        # Squared: mostly little, now and then much.
        missing |= rng.random(missing.shape, np.float32) < MAX_PEPPER_SHARE * rng.random() ** 2
    if rng.random() < ROWS_PROBABILITY:
        missing[rng.random(len(missing)) < rng.uniform(0, MAX_ROWS_SHARE)] = True
    return missing


def _edge_shadow(depth_m: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """A band of some pixels on one side of most depth edges."""
    missing = np.isnan(depth_m)
    square = np.ones((3, 3), np.uint8)
    # Missing depth is neither far nor near, so its border is not a depth edge.
    far = cv2.dilate(np.where(missing, np.float32(0), depth_m), square)
    near = cv2.erode(np.where(missing, np.float32(np.inf), depth_m), square)
    edge = (far * np.float32(1 - EDGE_RISE) > near).astype(np.uint8)
    anchor = (0 if rng.random() < 0.5 else width - 1, 0)
    band = cv2.dilate(edge, np.ones((1, width), np.uint8), anchor=anchor)
    return band.astype(bool) & patches(edge.shape, rng.uniform(0.5, 1), rng)


def patches(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool, true in `share` of all pixels, in round patches of one random size."""
    size = np.exp(rng.uniform(*np.log(BLOB_PX)))
    field = _smooth_noise(shape, size, rng)
    return field <= np.quantile(field[::4, ::4], share)


def _smooth_noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 noise around [0, 1] that varies over about `cell_px` pixels."""
    cells = rng.random([int(n / cell_px) + 2 for n in shape], np.float32)
    return cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_CUBIC)
