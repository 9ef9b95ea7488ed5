# SPDX-License-Identifier: Apache-2.0
"""The intrinsics of a pair of images, fixed when the pair was complete."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.camera_info import camera_info_to_msg, intrinsics_from_msg, is_rectified
from sgnet_ros.conversions.images import MessageError
from sgnet_ros.conversions.plausibility import FrameChecks
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.topics import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB, resolved_topic


@dataclass(frozen=True)
class Cameras:
    """The sources of the intrinsics of colour and depth.

    Attributes:
        infos: topic -> the latest camera_info, regardless of its stamp.
    """

    node: Node
    parameters: NodeParameters
    infos: Mapping[str, CameraInfo] = field(default_factory=dict)

    @property
    def needed(self) -> tuple[str, ...]:
        """Topics of the camera_info messages that intrinsics need."""
        colour = () if self.parameters['camera.fx'] else (CAMERA_INFO,)
        return (*colour, DEPTH_CAMERA_INFO) if self.parameters['depth.register'] else colour

    @property
    def missing(self) -> str | None:
        """The first of `needed` that was not received yet, or None."""
        return next((topic for topic in self.needed if topic not in self.infos), None)

    def awaited(self, image: Image) -> bool:
        """Whether `image` must wait for camera_info: one is missing, or of another size and stamp.

        The size of a compressed image is not known.
        """
        if self.missing is not None:
            return True
        if CAMERA_INFO not in self.needed or not isinstance(image, Image):
            return False
        known = self.infos[CAMERA_INFO]
        try:
            size = self.intrinsics(known).size
        except MessageError:
            return False
        return size != (image.height, image.width) and known.header.stamp != image.header.stamp

    def camera_info(self, image: Image) -> CameraInfo:
        """The camera_info of `image`, from parameters or camera_info, with its header."""
        if CAMERA_INFO in self.needed:
            camera_info = copy.copy(self.infos[CAMERA_INFO])
            camera_info.header = image.header
            return camera_info
        focal_and_centre = (self.parameters[f'camera.{key}'] for key in ('fx', 'fy', 'cx', 'cy'))
        camera = CameraIntrinsics(image.width, image.height, *focal_and_centre)
        return camera_info_to_msg(camera, image.header)

    def intrinsics(self, camera_info: CameraInfo) -> CameraIntrinsics:
        """The intrinsics of the result of `camera_info`.

        Raises:
            MessageError: they are invalid.
        """
        return intrinsics_from_msg(camera_info, self._rectified(RGB))

    def depth_intrinsics(self) -> CameraIntrinsics | None:
        """The intrinsics of depth; without `depth.register`, None if missing or invalid.

        Raises:
            MessageError: depth/camera_info is needed and invalid.
        """
        if DEPTH_CAMERA_INFO not in self.infos:
            return None
        info = self.infos[DEPTH_CAMERA_INFO]
        try:
            return intrinsics_from_msg(info, self._rectified(DEPTH), DEPTH_CAMERA_INFO)
        except MessageError:
            if DEPTH_CAMERA_INFO in self.needed:
                raise
            return None

    def check(self, checks: FrameChecks, camera_info: CameraInfo) -> None:
        """Check the result of `camera_info`, and that of depth if it is needed; both are valid."""
        checks.camera(CAMERA_INFO, camera_info, self._rectified(RGB))
        if DEPTH_CAMERA_INFO in self.needed:
            checks.camera(DEPTH_CAMERA_INFO, self.infos[DEPTH_CAMERA_INFO], self._rectified(DEPTH))

    def _rectified(self, topic: str) -> bool:
        return is_rectified(resolved_topic(self.node, topic))
