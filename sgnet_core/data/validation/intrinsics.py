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
_FACTORS = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4, 6)
"""Usual factors of resized images."""


def intrinsics_findings(cameras: dict[CameraIntrinsics, list[str]]) -> list[Finding]:
    """Implausible values; each kind once, with the numbers of the first camera that has it.

    Args:
        cameras: camera -> ids of its frames; none for the camera of all frames.
    """
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
        yield error('principal_point', seen.format('outside the'), _scale_advice(camera))
    elif off_centre > 0.2:
        remedy = f'{_scale_advice(camera)}; cropped images may have such a centre'
        yield warning('principal_point', seen.format('far from the centre of the'), remedy)
    if not FX_OVER_FY[0] <= camera.fx / camera.fy <= FX_OVER_FY[1]:
        yield warning(
            'pixel_shape',
            f'fx = {camera.fx:g} and fy = {camera.fy:g} differ, but pixels are square',
            'give both for the same image size; do not stretch images in one direction',
        )
    angle = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    low, high = FIELD_OF_VIEW_DEG
    if not low <= angle <= high:
        yield error(
            'field_of_view',
            f'fx = {camera.fx:g} at image width {camera.width} is a field of view of {angle:.0f} '
            f'degrees, expected {low:.0f} to {high:.0f}',
            'give fx and fy in pixels of this image size',
        )


def _scale_advice(camera: CameraIntrinsics) -> str:
    """The principal point is near the centre, so it suggests the image size of the intrinsics."""
    if min(camera.cx, camera.cy) > 0:
        across, down = camera.width / (2 * camera.cx + 1), camera.height / (2 * camera.cy + 1)
        factor = min(_FACTORS, key=lambda f: abs(math.log(f / math.sqrt(across * down))))
        size = f'{camera.width / factor:.0f}x{camera.height / factor:.0f}'
        if abs(across / down - 1) < 0.15:
            return f'they seem to be for images of {size}: multiply fx, fy, cx, cy by {factor:.4g}'
    return 'give cx, cy for this image size (x goes with the width)'
