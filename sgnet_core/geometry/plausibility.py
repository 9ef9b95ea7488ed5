# SPDX-License-Identifier: Apache-2.0
"""Plausibility of cameras and of depth: numbers in, problems out.

The node, bags, folder datasets and `check_dataset` share these checks; each caller adds the source
of the numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics

FIELD_OF_VIEW_DEG = (20.0, 130.0)
FX_OVER_FY = (0.9, 1.1)
OFF_CENTRE = 0.15
"""Of the image size. The principal points of sensors are off by 0.05 at most."""
PLAUSIBLE_MEDIAN_M = (0.3, 10.0)
MAX_RANGE_M = 15.0
"""No depth camera measures further indoors."""
DISTORTION_PX, REGISTRATION_PX = 5.0, 3.0
"""Largest displacement in images of `REFERENCE_WIDTH`; less in smaller images."""
REFERENCE_WIDTH = 640
UNITS = {
    1.0: 'metres',
    0.01: 'centimetres',
    1 / 256: '1/256 m',
    0.001: 'millimetres',
    0.00025: '1/4 mm',
    0.0002: '1/5 mm (TUM)',
    0.000125: '1/8 mm',
    0.0001: '1/10 mm',
}
"""Metres per unit of common formats, and the name of the unit."""
ROTATED_SCALE = 0.000125
"""SUN RGB-D rotates millimetres left by three bits: up to 8.191 m, they become multiples of 8."""
REGISTER = (
    'register depth to colour first (RealSense: align_depth.enable:=true; segmentation_node: '
    'depth.register:=true; bags: --extrinsics)'
)

_POSSIBLE_FOCAL, _POSSIBLE_OFFSET = (0.001, 1000.0), 1000.0
"""In image sizes: fields of view from 0.06 to 179.9 degrees, and small regions of large sensors."""
_CAMERA_REMEDY = 'give fx, fy, cx, cy for this image size (x goes with the width)'
_RECTIFY = 'rectify it with image_proc and use the rectified topic, image_rect_color'
_FISHEYE = ('equidistant', 'fisheye', 'kannalabrandt', 'kannalabrandt4')
_POLYNOMIAL = ('', 'none', 'plumbbob', 'rationalpolynomial', 'radtan', 'thinprism')
_POLYNOMIAL_SIZES = (4, 5, 8, 12, 14)
_GRID = 9
_MIN_ROTATED_VALUES = 16
_SAMPLED_PIXELS = 100_000


class Problem(NamedTuple):
    """One implausible value.

    Attributes:
        check: a name for programs, for example `field_of_view`.
        seen: the value found, and the values expected.
        certain: whether the value is wrong for any indoor camera, or only unusual.
    """

    check: str
    seen: str
    remedy: str
    certain: bool = True

    def __str__(self) -> str:
        return f'{self.seen}; {self.remedy}'


def check_camera(camera: CameraIntrinsics) -> CameraIntrinsics:
    """The camera; raises InputError if no lens has its focal length or principal point."""
    axes = (('x', camera.width, camera.fx, camera.cx), ('y', camera.height, camera.fy, camera.cy))
    low, high = _POSSIBLE_FOCAL
    for axis, side, focal, centre in axes:
        if not low <= focal / side <= high or abs(centre / side - 0.5) > _POSSIBLE_OFFSET:
            raise InputError(
                f'f{axis} = {focal:g} and c{axis} = {centre:g} cannot be those of images of '
                f'{camera.width}x{camera.height}; {_CAMERA_REMEDY}'
            )
    return camera


def camera_problems(camera: CameraIntrinsics) -> Iterator[Problem]:
    """Implausible intrinsics."""
    seen = (
        f'the principal point (cx, cy) = ({camera.cx:g}, {camera.cy:g}) is {{}} images of '
        f'{camera.width}x{camera.height}'
    )
    centre = camera.cx / camera.width, camera.cy / camera.height
    off_centre = max(abs(share - 0.5) for share in centre)
    if off_centre >= 0.5:
        yield Problem('principal_point', seen.format('outside the'), _CAMERA_REMEDY)
    elif off_centre > OFF_CENTRE:
        remedy = f'{_CAMERA_REMEDY}; cropped images may have such a centre'
        yield Problem('principal_point', seen.format('far from the centre of the'), remedy, False)
    if not FX_OVER_FY[0] <= camera.fx / camera.fy <= FX_OVER_FY[1]:
        yield Problem(
            'pixel_shape',
            f'fx = {camera.fx:g} and fy = {camera.fy:g} differ, but pixels are square',
            f'{_CAMERA_REMEDY}; do not stretch images in one direction',
            False,
        )
    angle = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    low, high = FIELD_OF_VIEW_DEG
    if not low <= angle <= high:
        yield Problem(
            'field_of_view',
            f'fx = {camera.fx:g} at image width {camera.width} is a field of view of {angle:.0f} '
            f'degrees, expected {low:.0f} to {high:.0f}',
            _CAMERA_REMEDY,
        )


def distortion_problems(
    camera: CameraIntrinsics, model: str, coefficients: Sequence[float]
) -> Iterator[Problem]:
    """A lens whose image differs from that of a pinhole camera.

    Args:
        model, coefficients: of sensor_msgs/CameraInfo; no coefficients mean no distortion.
    """
    if not len(coefficients):
        return
    pixels = distortion_px(camera, model, coefficients)
    if pixels is None:
        seen = f'the lens distortion model {model!r} is unknown'
        yield Problem('distortion', seen, f'if the image is not rectified: {_RECTIFY}', False)
    elif not pixels < DISTORTION_PX * _relative_size(camera):
        seen = (
            f'the lens distortion ({model}) displaces pixels by up to {pixels:.2g} px in images of '
            f'{camera.width}x{camera.height}, but the image is taken for that of a pinhole camera'
        )
        yield Problem('distortion', seen, _RECTIFY, False)


def distortion_px(
    camera: CameraIntrinsics, model: str, coefficients: Sequence[float]
) -> float | None:
    """Largest displacement of a pixel by the lens, over the image; None for an unknown model.

    Args:
        model: a name of sensor_msgs/CameraInfo or of the RealSense SDK.
    """
    name, values = re.sub('[^a-z0-9]', '', model.lower()), np.array(coefficients, np.float64)
    u, v = np.meshgrid(*(np.linspace(0, n - 1, _GRID) for n in camera.size[::-1]))
    pixels = np.stack([u.ravel(), v.ravel()], 1)
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    rays = ((pixels - centre) / focal)[:, None]
    # Normalised coordinates: the identity as camera matrix.
    if name in _FISHEYE and len(values) >= 4:
        distorted = cv2.fisheye.distortPoints(rays, np.eye(3), values[:4])
    elif name in _POLYNOMIAL or 'brown' in name or not values.any():
        size = next((n for n in _POLYNOMIAL_SIZES if n >= len(values)), None)
        if size is None:
            return None
        values = np.pad(values, (0, size - len(values)))
        points, zero = cv2.convertPointsToHomogeneous(rays), np.zeros(3)
        distorted = cv2.projectPoints(points, zero, zero, np.eye(3), values)[0]
    else:
        return None
    with np.errstate(all='ignore'):
        displacement = np.linalg.norm((distorted - rays)[:, 0] * focal, axis=1).max()
    return float(displacement) if np.isfinite(displacement) else math.inf


def registration_problems(rgb: CameraIntrinsics, depth: CameraIntrinsics) -> Iterator[Problem]:
    """Depth of another camera, in images that are taken for registered.

    Cameras of different sizes are not compared: one may be that of an earlier mode.
    """
    corners = np.array([(u, v) for u in (0, rgb.width - 1) for v in (0, rgb.height - 1)])
    rays = (corners - (depth.cx, depth.cy)) / (depth.fx, depth.fy)
    seen_at = rays * (rgb.fx, rgb.fy) + (rgb.cx, rgb.cy)
    pixels = float(np.linalg.norm(seen_at - corners, axis=1).max())
    if depth.size == rgb.size and pixels > REGISTRATION_PX * _relative_size(rgb):
        yield Problem(
            'registration',
            f'the camera_info of depth (fx = {depth.fx:.4g}, cx = {depth.cx:.4g}, '
            f'cy = {depth.cy:.4g}) is not that of colour (fx = {rgb.fx:.4g}, '
            f'cx = {rgb.cx:.4g}, cy = {rgb.cy:.4g}): depth is not registered, by up to '
            f'{pixels:.2g} px',
            REGISTER,
        )


def depth_problems(raw: np.ndarray, scale: float, setting: str) -> Iterator[Problem]:
    """An implausible unit of one or more depth images of a source.

    Args:
        raw: any shape, in units; not finite, or not above 0, means no measurement.
        scale: metres per unit.
        setting: the name of the setting of `scale`, for the remedy.
    """
    raw = raw.ravel()[:: max(1, raw.size // _SAMPLED_PIXELS)]
    values, counts = np.unique(raw[np.isfinite(raw) & (raw > 0)], return_counts=True)
    return unit_problems(values.astype(np.float64), counts, scale, setting)


def unit_problems(
    values: np.ndarray, counts: np.ndarray, scale: float, setting: str
) -> Iterator[Problem]:
    """`depth_problems` of a histogram: (N,) ascending raw values and their pixels."""
    if not len(values):
        return
    median, far = (percentile(values, counts, percent) for percent in (50, 95))
    low, high = PLAUSIBLE_MEDIAN_M
    seen = f'median depth is {median * scale:.4g} m (raw {median:.5g}, {scale:.6g} m per unit)'
    if _is_rotated(values, counts, scale):
        yield Problem(
            'depth_unit',
            f'{seen}, and raw values are multiples of 8: millimetres rotated left by three bits, '
            'as SUN RGB-D stores them',
            f'set {setting} to {ROTATED_SCALE:g} ({median * ROTATED_SCALE:.2g} m), or store '
            '(v >> 3) | (v << 13) if depth exceeds 8 m',
        )
    elif not low <= median * scale <= high:
        advice = _unit_advice(values, median, setting)
        yield Problem('depth_unit', f'{seen}, expected {low:g} to {high:g} m', advice)
    elif far * scale > MAX_RANGE_M:
        yield Problem(
            'depth_unit',
            f'5 % of the depth is beyond {far * scale:.3g} m, the range of depth cameras indoors '
            f'is {MAX_RANGE_M:g} m; {seen}',
            f'unless this is outdoors: {_unit_advice(values, median, setting)}',
            False,
        )


def percentile(values: np.ndarray, counts: np.ndarray, percent: float) -> float:
    """A percentile of a histogram: (N,) ascending values and their pixels, N above 0."""
    cumulative = np.cumsum(counts)
    return float(values[np.searchsorted(cumulative, percent / 100 * cumulative[-1])])


def _is_rotated(values: np.ndarray, counts: np.ndarray, scale: float) -> bool:
    is_eighth = (values % 8 == 0) & (values < 1 << 16)
    eighths, (low, high) = values[is_eighth].astype(np.int64), PLAUSIBLE_MEDIAN_M
    return (
        not 0.9 < scale / ROTATED_SCALE < 1.1
        and low <= percentile(values, counts, 50) * ROTATED_SCALE <= high
        and counts[is_eighth].sum() > 0.6 * counts.sum()
        # Depth of a few planes, or quantised coarsely, has a larger divisor.
        and np.gcd.reduce(eighths) == 8
        and len(eighths) >= _MIN_ROTATED_VALUES
    )


def _unit_advice(values: np.ndarray, median: float, setting: str) -> str:
    """The remedy for raw depths of an indoor scene with this median."""
    whole = not (values % 1).any()
    fitting = [
        scale for scale in UNITS if 0.6 <= median * scale <= 6.0 and (scale < 1 or not whole)
    ]
    fitting.sort(key=lambda scale: (scale != 0.001, abs(math.log(median * scale / 2))))
    if not fitting:
        return f'set {setting} to the unit of the images, finer than a metre'
    options = [f'{scale:.6g} for {UNITS[scale]} ({median * scale:.2g} m)' for scale in fitting]
    shown = ', '.join(options[:4] + ['...'] * (len(options) > 4))
    return f'set {setting} to the unit of the images: {shown}'


def _relative_size(camera: CameraIntrinsics) -> float:
    return min(1.0, camera.width / REFERENCE_WIDTH)
