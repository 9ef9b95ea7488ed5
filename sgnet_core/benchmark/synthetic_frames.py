# SPDX-License-Identifier: Apache-2.0
"""Raw images of a camera that sees a synthetic scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.preprocessing import SIZE_MULTIPLE
from sgnet_core.types import CameraIntrinsics, RgbdFrame

Size = tuple[int, int]

MISSING_DEPTH = 0.1
"""Share of pixels without a measurement, about that of a structured-light camera indoors."""


@dataclass(frozen=True)
class RawImages:
    """What a camera driver delivers.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_mm: (H, W) uint16 millimetres, 0 = no measurement.
    """

    rgb: np.ndarray
    depth_mm: np.ndarray

    def frame(self) -> RgbdFrame:
        """The same in metres, missing depth as NaN."""
        height, width = self.depth_mm.shape
        depth_m = self.depth_mm.astype(np.float32) * np.float32(0.001)
        depth_m[self.depth_mm == 0] = np.nan
        camera = CameraIntrinsics(width, height, width, width, width / 2, height / 2)
        return RgbdFrame(self.rgb, depth_m, camera)


def synthetic_images(size: Size) -> RawImages:
    """A receding floor, a box in front of it and missing depth; equal in every call."""
    rng = np.random.default_rng(3)
    height, width = size
    depth_m = np.linspace(5.0, 1.0, height)[:, None].repeat(width, axis=1)
    depth_m[height // 4 : height // 2, width // 3 : width // 2] = 1.3
    depth_mm = (1000 * depth_m + rng.normal(0, 3, size)).astype(np.uint16)
    depth_mm[rng.random(size) < MISSING_DEPTH] = 0
    return RawImages(rng.integers(0, 256, (*size, 3), dtype=np.uint8), depth_mm)


def network_size(size: Size) -> Size:
    """The smallest network input that is not smaller than a frame of `size`."""
    height, width = (-(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE for length in size)
    return height, width
