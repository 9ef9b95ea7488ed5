# SPDX-License-Identifier: Apache-2.0
"""Data types of the public API: intrinsics, gravity, RGB-D frame, dataset sample, result.

Shapes are (height, width, ...). Instances are frozen and checked on construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sgnet_core.errors import InputError

UNLABELLED = 255
"""Class id without a class, ignored in training and evaluation."""


@dataclass(frozen=True)
class CameraIntrinsics:
    """Pinhole camera of one image size.

    0-based pixel centres: pixel (u, v) sees the ray ((u - cx) / fx, (v - cy) / fy, 1).

    Raises:
        InputError: a size or a focal length is not positive, or a value is not finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(
                f'camera size must be at least 1x1, got {self.width}x{self.height} (width x height)'
            )
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy]).all():
            raise InputError(f'camera intrinsics must be finite numbers, got {self}')
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(
                f'focal lengths must be positive pixels, got fx={self.fx}, fy={self.fy}; '
                'an all-zero K means that the camera is not calibrated: calibrate it or set '
                'fx, fy, cx, cy'
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def resized(self, height: int, width: int) -> CameraIntrinsics:
        """Camera of the image resized to (height, width); pixel areas scale."""
        scale_x, scale_y = width / self.width, height / self.height
        cx, cy = (self.cx + 0.5) * scale_x - 0.5, (self.cy + 0.5) * scale_y - 0.5
        return CameraIntrinsics(width, height, self.fx * scale_x, self.fy * scale_y, cx, cy)

    def cropped(self, top: int, left: int, height: int, width: int) -> CameraIntrinsics:
        """Camera of the window at (top, left), which may extend beyond the image."""
        return CameraIntrinsics(width, height, self.fx, self.fy, self.cx - left, self.cy - top)

    def strided(self, stride: int) -> CameraIntrinsics:
        """Camera of every `stride`-th row and column, from the first on: `image[::s, ::s]`."""
        width, height = -(-self.width // stride), -(-self.height // stride)
        parameters = (value / stride for value in (self.fx, self.fy, self.cx, self.cy))
        return CameraIntrinsics(width, height, *parameters)

    def flipped(self) -> CameraIntrinsics:
        """Camera of the image mirrored left to right."""
        return replace(self, cx=self.width - 1 - self.cx)


@dataclass(frozen=True)
class Gravity:
    """Direction of gravity, from TF, an IMU, the mounting of the camera, or an estimate.

    Attributes:
        down: (3,) float64 unit vector in the optical frame of the camera; any length is accepted.
        camera_height_m: height of the optical centre above the ground; None if unknown.

    Raises:
        InputError: `down` is not a valid direction, or the height is not finite.
    """

    down: np.ndarray
    camera_height_m: float | None = None

    def __post_init__(self) -> None:
        down = np.array(self.down, np.float64)
        length = np.linalg.norm(down)
        if down.shape != (3,) or not 0 < length < np.inf:
            raise InputError(f'down must be 3 finite numbers, not all zero, got {down.tolist()}')
        if self.camera_height_m is not None and not np.isfinite(self.camera_height_m):
            raise InputError(f'the camera height must be finite, got {self.camera_height_m} m')
        object.__setattr__(self, 'down', down / length)


@dataclass(frozen=True)
class RgbdFrame:
    """A registered RGB-D image: pixel (v, u) of `rgb` and of `depth_m` see the same point.

    Attributes:
        rgb: (H, W, 3) uint8, RGB.
        depth_m: (H, W) float32, metres along the optical axis; NaN = no measurement.
        intrinsics: camera of this image size.
        gravity: None if unknown; HHA then estimates it.

    Raises:
        InputError: shapes, dtypes or sizes do not match.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    intrinsics: CameraIntrinsics
    gravity: Gravity | None = None

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise InputError(f'rgb must be (H, W, 3) uint8, got {self.rgb.shape} {self.rgb.dtype}')
        if self.depth_m.ndim != 2 or self.depth_m.dtype != np.float32:
            raise InputError(
                f'depth_m must be (H, W) float32 in metres, got {self.depth_m.shape} '
                f'{self.depth_m.dtype}'
            )
        size = self.rgb.shape[:2]
        if self.depth_m.shape != size:
            # The decimation filter of RealSense rounds up to multiples of 4.
            n = round(size[0] / max(1, self.depth_m.shape[0]))
            sides = zip(size, self.depth_m.shape, strict=True)
            is_decimated = 2 <= n <= 8 and all(-1 < own - side / n < 4 for side, own in sides)
            remedy = is_decimated and (
                f'if depth is decimated by {n}, switch that off (RealSense: '
                'decimation_filter.enable:=false); otherwise '
            )
            raise InputError(
                f'depth {_size_text(self.depth_m.shape)}, colour {_size_text(size)}: not aligned; '
                f'{remedy or ""}register depth to colour first (RealSense: '
                'align_depth.enable:=true; segmentation_node: depth.register:=true; '
                'bags: --extrinsics)'
            )
        if self.intrinsics.size != size:
            raise InputError(
                f'intrinsics are for {_size_text(self.intrinsics.size)}, the images are '
                f'{_size_text(size)}; give the camera_info of the colour image'
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.intrinsics.size


@dataclass(frozen=True)
class Sample:
    """One frame of a dataset.

    Attributes:
        id: unique within the dataset.
        frame: colour, depth and camera.
        labels: (H, W) uint8 class ids, 255 = unlabelled; None where the data set has none.
        pose: (4, 4) float64 camera-to-world, metres; None where unknown.
        camera: name of the sensor; '' if unknown.

    Raises:
        InputError: shapes or dtypes do not match.
    """

    id: str
    frame: RgbdFrame
    labels: np.ndarray | None = None
    pose: np.ndarray | None = None
    camera: str = ''

    def __post_init__(self) -> None:
        labels, pose = self.labels, self.pose
        if labels is not None and (labels.shape != self.frame.size or labels.dtype != np.uint8):
            raise InputError(
                f'labels of frame {self.id!r} must be {self.frame.size} uint8, '
                f'got {labels.shape} {labels.dtype}'
            )
        if pose is not None and (pose.shape != (4, 4) or pose.dtype != np.float64):
            raise InputError(
                f'pose of frame {self.id!r} must be (4, 4) float64, got {pose.shape} {pose.dtype}'
            )


class SegmentationResult:
    """Segmentation of one frame, at the resolution of its colour image.

    Args:
        confidence: (H, W) float32 in [0, 1], or a function that computes it when it is read first.

    Attributes:
        labels: (H, W) uint8, class id; 255 = unlabelled.
        class_names: name of class id i at index i.

    Raises:
        InputError: shapes or dtypes do not match.
    """

    def __init__(
        self,
        labels: np.ndarray,
        confidence: np.ndarray | Callable[[], np.ndarray],
        class_names: tuple[str, ...],
    ) -> None:
        if labels.ndim != 2 or labels.dtype != np.uint8:
            raise InputError(f'labels must be (H, W) uint8, got {labels.shape} {labels.dtype}')
        self.labels, self.class_names = labels, class_names
        if callable(confidence):
            self._compute_confidence = confidence
        else:
            self.confidence = self._checked(confidence)

    @cached_property
    def confidence(self) -> np.ndarray:
        """(H, W) float32 in [0, 1], probability of the class in `labels`."""
        return self._checked(self._compute_confidence())

    def _checked(self, confidence: np.ndarray) -> np.ndarray:
        if confidence.shape != self.labels.shape or confidence.dtype != np.float32:
            raise InputError(
                f'confidence must be {self.labels.shape} float32, got {confidence.shape} '
                f'{confidence.dtype}'
            )
        return confidence


def _size_text(size: tuple[int, ...]) -> str:
    """Width x height, for example `640x480`."""
    return f'{size[1]}x{size[0]}'
