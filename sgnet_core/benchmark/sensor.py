# SPDX-License-Identifier: Apache-2.0
"""The bytes of a camera that sees a generated scene: what the clock starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.input_spec import SIZE_MULTIPLE
from sgnet_core.types import CameraIntrinsics, RgbdFrame

Size = tuple[int, int]

HOLES = 0.1
"""Share of pixels without a measurement, about that of a structured-light camera indoors."""


@dataclass(frozen=True)
class SensorBytes:
    """What a driver hands over.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_mm: (H, W) uint16 millimetres, 0 = no measurement.
    """

    rgb: np.ndarray
    depth_mm: np.ndarray

    def frame(self) -> RgbdFrame:
        """In metres, holes as NaN: belongs inside the clock."""
        height, width = self.depth_mm.shape
        depth_m = self.depth_mm.astype(np.float32) * np.float32(0.001)
        depth_m[self.depth_mm == 0] = np.nan
        camera = CameraIntrinsics(width, height, width, width, width / 2, height / 2)
        return RgbdFrame(self.rgb, depth_m, camera)


def generated_bytes(size: Size) -> SensorBytes:
    """A floor that recedes, a box before it, and holes; the same every time."""
    rng = np.random.default_rng(3)
    height, width = size
    depth_m = np.linspace(5.0, 1.0, height)[:, None].repeat(width, axis=1)
    depth_m[height // 4 : height // 2, width // 3 : width // 2] = 1.3
    depth_mm = (1000 * depth_m + rng.normal(0, 3, size)).astype(np.uint16)
    depth_mm[rng.random(size) < HOLES] = 0
    return SensorBytes(rng.integers(0, 256, (*size, 3), dtype=np.uint8), depth_mm)


def network_size(size: Size) -> Size:
    """The smallest network input that is not smaller than a frame of `size`."""
    height, width = (-(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE for length in size)
    return height, width
