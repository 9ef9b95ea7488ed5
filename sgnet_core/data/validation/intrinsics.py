# SPDX-License-Identifier: Apache-2.0
"""Checks that intrinsics are plausible for the image size."""

from __future__ import annotations

from dataclasses import replace

from sgnet_core.data.validation.finding import Finding, from_problems
from sgnet_core.geometry.plausibility import camera_problems
from sgnet_core.types import CameraIntrinsics


def intrinsics_findings(cameras: dict[CameraIntrinsics, list[str]]) -> list[Finding]:
    """Implausible values; each kind once, with the numbers of the first camera that has it."""
    found: dict[str, Finding] = {}
    for camera, ids in cameras.items():
        for finding in from_problems(camera_problems(camera)):
            so_far = found.get(finding.check, finding)
            found[finding.check] = replace(so_far, ids=(*so_far.ids, *ids))
    return list(found.values())
