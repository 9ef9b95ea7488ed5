# SPDX-License-Identifier: Apache-2.0
"""Whether intrinsics can be those of a camera with images of their size."""

from __future__ import annotations

import math
from dataclasses import replace

from sgnet_core.data.validation.finding import Finding, error, warning
from sgnet_core.types import CameraIntrinsics

FIELD_OF_VIEW_DEG = (20.0, 130.0)
FX_OVER_FY = (0.9, 1.1)
_FACTORS = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4, 6)
"""By which images are scaled."""


def intrinsics_findings(cameras: dict[CameraIntrinsics, list[str]]) -> list[Finding]:
    """What no camera has, or hardly any; each kind of fault once, with the first camera's numbers.

    Args:
        cameras: and the frames of each; none for the camera of all frames.
    """
    found: dict[str, Finding] = {}
    for camera, ids in cameras.items():
        for finding in _faults(camera):
            so_far = found.get(finding.check, finding)
            found[finding.check] = replace(so_far, ids=(*so_far.ids, *ids))
    return list(found.values())


def _faults(camera: CameraIntrinsics) -> list[Finding]:
    found = []
    across, down = camera.cx / camera.width, camera.cy / camera.height
    seen = f'(cx, cy) = ({camera.cx:g}, {camera.cy:g}) in images of {camera.width}x{camera.height}'
    if not (0 < across < 1 and 0 < down < 1):
        found.append(
            error(
                'principal_point', f'the principal point {seen} is outside', _scale_advice(camera)
            )
        )
    elif max(abs(across - 0.5), abs(down - 0.5)) > 0.2:
        found.append(
            warning(
                'principal_point',
                f'the principal point {seen} is far from the middle',
                f'{_scale_advice(camera)}; after a crop this may be right',
            )
        )
    ratio = camera.fx / camera.fy
    if not FX_OVER_FY[0] <= ratio <= FX_OVER_FY[1]:
        found.append(
            warning(
                'pixel_shape',
                f'fx = {camera.fx:g} and fy = {camera.fy:g} differ, but pixels are square',
                'give both for the same image size; images that were stretched in one direction '
                'should be made again without',
            )
        )
    angle = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    if not FIELD_OF_VIEW_DEG[0] <= angle <= FIELD_OF_VIEW_DEG[1]:
        found.append(
            error(
                'field_of_view',
                f'fx = {camera.fx:g} in images {camera.width} wide is a field of view of '
                f'{angle:.0f} degrees; cameras have {FIELD_OF_VIEW_DEG[0]:.0f} to '
                f'{FIELD_OF_VIEW_DEG[1]:.0f}',
                'write fx and fy in pixels of this image size',
            )
        )
    return found


def _scale_advice(camera: CameraIntrinsics) -> str:
    """The principal point is near the middle: it tells which image size the numbers are for."""
    across, down = camera.width / (2 * camera.cx + 1), camera.height / (2 * camera.cy + 1)
    if across > 0 and down > 0 and abs(across / down - 1) < 0.15:
        factor = min(_FACTORS, key=lambda f: abs(math.log(f / math.sqrt(across * down))))
        return (
            f'they look like those of images of about {camera.width / factor:.0f}x'
            f'{camera.height / factor:.0f}: multiply fx, fy, cx, cy by {factor:.4g}'
        )
    return 'write cx, cy of this image size (x goes with the width)'
