# SPDX-License-Identifier: Apache-2.0
"""What depth cameras do and in-filled depth hides: holes, noise, steps, shifts, a wrong scale.

Each effect strikes a view independently of the others, with a probability of its own. Colour and
labels are never touched. Pixels are those of the training crop.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from sgnet_core.data.rooms.sensor import BASELINE_M, DISPARITY_STEP_PX, FOCAL_PX
from sgnet_core.data.sample import Sample

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


def degrade_depth(depth_m: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The view as a worse camera would have measured it.

    Args:
        depth_m: (H, W) float32 metres, NaN = no measurement.
        rgb: (H, W, 3) uint8, to find dark and shiny surfaces.

    Returns:
        (H, W) float32, positive metres or NaN; a changed copy.
    """
    if rng.random() < TOTAL_LOSS_PROBABILITY:
        return np.full_like(depth_m, np.nan)
    holes = _holes(depth_m, rgb, rng)
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
    depth_m[holes | ~(depth_m > 0)] = np.nan
    if rng.random() < SHIFT_PROBABILITY:
        depth_m = shifted(depth_m, *rng.integers(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, 2))
    return depth_m


def without_some_depth(sample: Sample, share: float, seed: int) -> Sample:
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


def shifted(depth_m: np.ndarray, down: int, right: int) -> np.ndarray:
    """Depth moved against the colour; NaN comes in at the borders."""
    matrix = np.float32([[1, 0, right], [0, 1, down]])
    size = depth_m.shape[::-1]
    return cv2.warpAffine(depth_m, matrix, size, flags=cv2.INTER_NEAREST, borderValue=np.nan)


def _holes(depth_m: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    holes = np.zeros(depth_m.shape, bool)
    if rng.random() < EDGES_PROBABILITY:
        holes |= _edges(depth_m, int(rng.integers(1, MAX_EDGE_PX + 1)), rng)
    channels = cv2.split(rgb)  # numpy reduces planes ten times faster than interleaved pixels
    brightest = np.maximum.reduce(channels)
    if rng.random() < DARK_PROBABILITY:
        dark = brightest < rng.uniform(*DARK_GREY)
        holes |= dark & patches(dark.shape, rng.uniform(0.3, 1), rng)
    if rng.random() < SHINY_PROBABILITY:
        shiny = brightest > rng.uniform(*SHINY_GREY)
        shiny &= np.minimum.reduce(channels) > np.float32(1 - SHINY_SATURATION) * brightest
        holes |= shiny & patches(shiny.shape, rng.uniform(0.3, 1), rng)
    if rng.random() < BLOBS_PROBABILITY:
        holes |= patches(holes.shape, rng.uniform(0, MAX_BLOBS_SHARE), rng)
    if rng.random() < PEPPER_PROBABILITY:
        # Squared: mostly little, now and then much.
        holes |= rng.random(holes.shape, np.float32) < MAX_PEPPER_SHARE * rng.random() ** 2
    if rng.random() < ROWS_PROBABILITY:
        holes[rng.random(len(holes)) < rng.uniform(0, MAX_ROWS_SHARE)] = True
    return holes


def _edges(depth_m: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """A band of some pixels on one side of most depth edges."""
    missing = np.isnan(depth_m)
    square = np.ones((3, 3), np.uint8)
    # A hole is neither far nor near: its border is no depth edge.
    far = cv2.dilate(np.where(missing, np.float32(0), depth_m), square)
    near = cv2.erode(np.where(missing, np.float32(np.inf), depth_m), square)
    edge = (far * np.float32(1 - EDGE_RISE) > near).astype(np.uint8)
    anchor = (0 if rng.random() < 0.5 else width - 1, 0)
    band = cv2.dilate(edge, np.ones((1, width), np.uint8), anchor=anchor)
    return band.astype(bool) & patches(edge.shape, rng.uniform(0.5, 1), rng)


def patches(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool, true in `share` of all pixels, in round patches of one random size."""
    size = np.exp(rng.uniform(*np.log(BLOB_PX)))
    cells = rng.random([int(n / size) + 2 for n in shape], np.float32)
    field = cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return field <= np.quantile(field[::4, ::4], share)
