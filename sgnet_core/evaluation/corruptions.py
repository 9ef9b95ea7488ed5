# SPDX-License-Identifier: Apache-2.0
"""Corruptions of colour and depth, each in three severities, deterministic for a sample.

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions"
(ICLR 2019), extended to depth. Labels, pose and camera do not change. Lengths in pixels refer to
an image 640 pixels wide.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.data.depth_noise import axial_noise_m, disparity_steps, patches, shift_depth
from sgnet_core.types import RgbdFrame, Sample

SEVERITIES = (1, 2, 3)
WIDTH = 640

Change = Callable[[RgbdFrame, float, np.random.Generator], RgbdFrame]


@dataclass(frozen=True)
class Corruption:
    """One kind of damage.

    Attributes:
        levels: strength for each severity, in `unit`.
        change: (frame, level, random numbers) -> corrupted frame; None for depth that is late by
            as many frames.
    """

    levels: tuple[float, float, float]
    unit: str
    change: Change | None

    def delay(self, severity: int) -> int:
        """The number of earlier frames of the sequence that this needs."""
        return int(self.levels[severity - 1]) if self.change is None else 0

    def apply(self, samples: Sequence[Sample], index: int, severity: int) -> Sample:
        """The corrupted sample; equal for equal id and severity."""
        sample, level = samples[index], self.levels[severity - 1]
        if self.change is None:
            late = samples[index - self.delay(severity)].frame.depth_m
            return replace(sample, frame=replace(sample.frame, depth_m=late))
        rng = np.random.default_rng((zlib.crc32(sample.id.encode()), severity))
        return replace(sample, frame=self.change(sample.frame, level, rng))


def _depth(change: Callable[..., np.ndarray]) -> Change:
    def apply(frame: RgbdFrame, level: float, rng: np.random.Generator) -> RgbdFrame:
        depth_m = change(frame.depth_m, level, rng)
        return replace(frame, depth_m=depth_m.astype(np.float32, copy=False))

    return apply


def _colour(change: Callable[..., np.ndarray]) -> Change:
    def apply(frame: RgbdFrame, level: float, rng: np.random.Generator) -> RgbdFrame:
        return replace(frame, rgb=change(frame.rgb, level, rng))

    return apply


def _holes(depth_m: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(patches(depth_m.shape, share, rng), np.float32(np.nan), depth_m)


def _noise(depth_m: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(depth_m.shape, np.float32)
    noisy = depth_m + np.float32(factor) * axial_noise_m(depth_m) * noise
    return np.where(noisy > 0, noisy, np.float32(np.nan))


def _shift(depth_m: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    distance = max(round(pixels * depth_m.shape[1] / WIDTH), 1)
    down, right = distance * rng.choice([-1, 1], 2)
    return shift_depth(depth_m, int(down), int(right))


def _blackout(depth_m: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    depth_m = depth_m.copy()
    depth_m[:, : round(share * depth_m.shape[1])] = np.nan
    return depth_m


def _blur(rgb: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(rgb, (0, 0), pixels * rgb.shape[1] / WIDTH)


def _brightness(rgb: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    return cv2.convertScaleAbs(rgb, alpha=factor)


def _jpeg(rgb: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


CORRUPTIONS = {
    'depth_holes': Corruption((0.2, 0.5, 0.8), 'share of the image, in patches', _depth(_holes)),
    'depth_noise': Corruption((2, 4, 8), "times the first Kinect's", _depth(_noise)),
    'depth_quantisation': Corruption(
        (4, 8, 16), "times the first Kinect's steps", _depth(lambda d, f, _: disparity_steps(d, f))
    ),
    'depth_scale': Corruption(
        (1.05, 1.15, 1.3), 'times too far', _depth(lambda d, f, _: d * np.float32(f))
    ),
    'depth_shift': Corruption((4, 8, 16), 'pixels each way', _depth(_shift)),
    'depth_blackout': Corruption((1 / 3, 2 / 3, 1), 'share, from the left', _depth(_blackout)),
    'depth_delay': Corruption((1, 3, 10), 'frames', None),
    'colour_blur': Corruption((1, 2, 4), 'pixels', _colour(_blur)),
    'colour_dark': Corruption((0.6, 0.35, 0.15), 'times as bright', _colour(_brightness)),
    'colour_bright': Corruption((1.4, 2, 3), 'times as bright', _colour(_brightness)),
    'colour_jpeg': Corruption((30, 15, 7), 'quality', _colour(_jpeg)),
}
