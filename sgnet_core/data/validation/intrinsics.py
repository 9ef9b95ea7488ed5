# SPDX-License-Identifier: Apache-2.0
"""Checks that intrinsics are plausible for the image size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from sgnet_core.data.validation.finding import Finding, error, warning
from sgnet_core.types import CameraIntrinsics

FIELD_OF_VIEW_DEG = (20.0, 130.0)
FX_OVER_FY = (0.9, 1.1)
_REMEDY = 'give fx, fy, cx, cy for this image size (x goes with the width)'


def intrinsics_findings(cameras: dict[CameraIntrinsics, list[str]]) -> list[Finding]:
    """Implausible values; each kind once, with the numbers of the first camera that has it."""
    found: dict[str, Finding] = {}
    for camera, ids in cameras.items():
        for finding in _implausible(camera):
            so_far = found.get(finding.check, finding)
            found[finding.check] = replace(so_far, ids=(*so_far.ids, *ids))
    return list(found.values())


def _implausible(camera: CameraIntrinsics) -> Iterator[Finding]:
    centre = camera.cx / camera.width, camera.cy / camera.height
    seen = (
        f'the principal point (cx, cy) = ({camera.cx:g}, {camera.cy:g}) is {{}} images of '
        f'{camera.width}x{camera.height}'
    )
    off_centre = max(abs(share - 0.5) for share in centre)
    if off_centre >= 0.5:
        yield error('principal_point', seen.format('outside the'), _REMEDY)
    elif off_centre > 0.2:
        remedy = f'{_REMEDY}; cropped images may have such a centre'
        yield warning('principal_point', seen.format('far from the centre of the'), remedy)
    if not FX_OVER_FY[0] <= camera.fx / camera.fy <= FX_OVER_FY[1]:
        yield warning(
            'pixel_shape',
            f'fx = {camera.fx:g} and fy = {camera.fy:g} differ, but pixels are square',
            f'{_REMEDY}; do not stretch images in one direction',
        )
    angle = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    low, high = FIELD_OF_VIEW_DEG
    if not low <= angle <= high:
        yield error(
            'field_of_view',
            f'fx = {camera.fx:g} at image width {camera.width} is a field of view of {angle:.0f} '
            f'degrees, expected {low:.0f} to {high:.0f}',
            _REMEDY,
        )
