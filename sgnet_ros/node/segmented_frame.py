# SPDX-License-Identifier: Apache-2.0
"""One frame with its segmentation, and what the outputs show of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch  # noqa: F401  before cv2
import cv2
import numpy as np
from torch import Tensor
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sgnet_core.errors import ConfigError
from sgnet_core.geometry.objects import SceneObject, find_objects
from sgnet_core.inference.postprocessing import probabilities_at
from sgnet_core.types import RgbdFrame, SegmentationResult
from sgnet_core.visualization.overlay import DeviceResult, class_colors, overlay
from sgnet_ros.conversions.camera_info import strided_camera_info


@dataclass(frozen=True)
class SegmentedFrame:
    """One frame and its segmentation.

    Attributes:
        on_device: `result` on the device of the network, where pictures are made.
        palette: (C, 3) uint8 RGB, the colours of the classes of `result`.
        camera_info: the intrinsics of the frame, with the header of the colour image.
        depth_encoding: that of the depth input.
        stride: step between the rows and columns of the colour image that are in this frame.
    """

    frame: RgbdFrame
    result: SegmentationResult
    on_device: DeviceResult
    palette: np.ndarray
    camera_info: CameraInfo
    depth_encoding: str
    stride: int = 1

    @property
    def header(self) -> Header:
        """The header of the colour image, and of all outputs."""
        return self.camera_info.header

    @cached_property
    def colors(self) -> Tensor:
        """(H, W, 3) uint8, the colour of each pixel's class, on the device."""
        return class_colors(self.on_device.labels, self.palette)

    def strided(self, stride: int) -> SegmentedFrame:
        """Every `stride`-th row and column, from the first on, with the intrinsics of these."""
        if stride == 1:
            return self
        frame, on_device = self.frame, self.on_device.strided(stride)
        rgb, depth_m = (pixels[::stride, ::stride] for pixels in (frame.rgb, frame.depth_m))
        intrinsics = frame.intrinsics.strided(stride)
        return replace(
            self,
            frame=replace(frame, rgb=rgb, depth_m=depth_m, intrinsics=intrinsics),
            result=on_device.to_numpy(),
            on_device=on_device,
            stride=stride,
            camera_info=strided_camera_info(self.camera_info, stride, intrinsics.size),
        )

    def selected(self, names: Sequence[str]) -> np.ndarray:
        """(H, W) uint8: 255 at pixels of these classes, 0 elsewhere."""
        table = np.zeros(256, np.uint8)
        table[[at for at, name in enumerate(self.result.class_names) if name in names]] = 255
        return cv2.LUT(self.result.labels, table)

    def probabilities(self, names: Sequence[str]) -> np.ndarray:
        """(H, W, n) float32: the probabilities of n classes."""
        channels = [self.result.class_names.index(name) for name in names]
        size = tuple(side * self.stride for side in self.frame.size)
        scores = self.on_device.scores
        return probabilities_at(scores, size, channels, self.stride).cpu().numpy()

    def objects(self, names: Collection[str], min_pixels: int) -> list[SceneObject]:
        """Objects of these classes, of this many pixels of the colour image or more."""
        ids = [at for at, name in enumerate(self.result.class_names) if name in names]
        return find_objects(self.frame, self.result, ids, min_pixels // self.stride**2)

    def depth_without(self, names: Sequence[str]) -> np.ndarray:
        """(H, W) float32 metres, NaN also at pixels of these classes."""
        return np.where(self.selected(names), np.float32(np.nan), self.frame.depth_m)

    def overlay(self, alpha: float) -> Tensor:
        """(H, W, 3) uint8, the colour image tinted by class, on the device."""
        return overlay(self.on_device.rgb, self.on_device.labels, self.colors, alpha)


def check_stride(stride: int, size: tuple[int, int]) -> None:
    """Raise ConfigError unless `output.stride` divides images of this (height, width)."""
    common = math.gcd(*size)
    if common % stride:
        divisors = [n for n in range(1, common + 1) if common % n == 0]
        nearest = min(divisors, key=lambda n: abs(n - stride))
        raise ConfigError(
            f'parameter output.stride must divide images of {size[1]}x{size[0]}, got {stride}; '
            f'the nearest that does is {nearest}'
        )
