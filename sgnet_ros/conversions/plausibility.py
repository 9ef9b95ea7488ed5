# SPDX-License-Identifier: Apache-2.0
"""Reports implausible cameras and depth of the messages of a node or a bag."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sgnet_core.errors import InputError
from sgnet_core.geometry.plausibility import (
    REGISTER,
    Problem,
    camera_problems,
    depth_problems,
    distortion_problems,
    registration_problems,
)
from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.camera_info import distortion_of, intrinsics_from_msg, sensor_camera
from sgnet_ros.conversions.images import default_depth_scale, depth_from_msg

DEPTH = 'depth/image'
MIN_MEASURED = 0.01
"""Fraction of measured pixels from which a depth image shows its unit."""


class FrameChecks:
    """Checks the inputs of frames when they change, and reports each problem once.

    Args:
        report: called with the input, as in `topics.py`, and one line of text.
        scale_setting: the name of the setting for the unit of depth.
    """

    def __init__(self, report: Callable[[str, str], None], scale_setting: str) -> None:
        self._report = report
        self._scale_setting = scale_setting
        self._reported: set[tuple[str, str]] = set()
        self._checked: dict[str, Hashable] = {}
        self._depth_is_checked = False

    def camera(self, stream: str, info: CameraInfo, rectified: bool = False) -> None:
        """Check the intrinsics and the lens distortion of valid camera_info."""
        # The principal point may be outside a region of the sensor.
        sensor, lens = sensor_camera(info, rectified), distortion_of(info, rectified)
        if self._checked.get(stream) == (sensor, lens):
            return
        self._checked[stream] = sensor, lens
        self._add(stream, camera_problems(sensor))
        if lens is not None:
            camera = intrinsics_from_msg(info, rectified, stream)
            self._add(stream, distortion_problems(camera, *lens))

    def registration(
        self,
        rgb_header: Header,
        depth_header: Header,
        rgb: CameraIntrinsics,
        depth: CameraIntrinsics | None,
    ) -> None:
        """Check that depth, which is taken for registered, is of the camera of colour.

        Args:
            depth: from the camera_info next to the depth topic, if there is one.
        """
        inputs = rgb_header.frame_id, depth_header.frame_id, rgb, depth
        if self._checked.get(DEPTH) == inputs:
            return
        self._checked[DEPTH] = inputs
        if depth is not None:
            self._add(DEPTH, registration_problems(rgb, depth))
        if rgb_header.frame_id != depth_header.frame_id:
            seen = (
                f'depth is in frame {depth_header.frame_id!r}, colour in {rgb_header.frame_id!r}: '
                'not aligned, unless both are one camera'
            )
            self._add(DEPTH, [Problem('registration', seen, REGISTER)])

    def depth(self, depth: Image, scale: float) -> None:
        """Check the unit of the first depth image with measurements; see `depth_from_msg`."""
        if self._depth_is_checked:
            return
        with suppress(InputError):  # the conversion reports it
            scale = scale or default_depth_scale(depth)
            raw = depth_from_msg(depth, 1.0)
            if np.isfinite(raw).mean() >= MIN_MEASURED:
                self._depth_is_checked = True
                self._add(DEPTH, depth_problems(raw, scale, self._scale_setting))

    def _add(self, stream: str, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if (stream, problem.check) not in self._reported:
                self._reported.add((stream, problem.check))
                self._report(stream, str(problem))
