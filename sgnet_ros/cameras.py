# SPDX-License-Identifier: Apache-2.0
"""The cameras of a pair of images, as they were known when it was complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.camera_info_conversion import (
    camera_info_to_msg,
    camera_info_with_header,
    intrinsics_from_msg,
    is_rectified,
)
from sgnet_ros.conversions import MessageError
from sgnet_ros.interface import (
    CAMERA_INFO,
    DEPTH,
    DEPTH_CAMERA_INFO,
    RGB,
    resolved_topic,
    topic_text,
)
from sgnet_ros.parameters import NodeParameters


@dataclass(frozen=True)
class Cameras:
    """What tells the intrinsics of colour and depth.

    Attributes:
        infos: topic -> the latest camera_info; the newest one counts, whatever its stamp.
    """

    node: Node
    parameters: NodeParameters
    infos: Mapping[str, CameraInfo] = field(default_factory=dict)

    @property
    def needed(self) -> tuple[str, ...]:
        """Topics of the camera_infos that intrinsics come from."""
        colour = () if self.parameters['camera.fx'] else (CAMERA_INFO,)
        return (*colour, DEPTH_CAMERA_INFO) if self.parameters['depth.register'] else colour

    @property
    def missing(self) -> str | None:
        """One of `needed` that has not come yet, if any."""
        return next((topic for topic in self.needed if topic not in self.infos), None)

    def stale(self, image: Image) -> bool:
        """Whether camera_info is of another size and another stamp: that of `image` is to come.

        A compressed image does not tell its size.
        """
        known = self.infos.get(CAMERA_INFO)
        if known is None or CAMERA_INFO not in self.needed or not isinstance(image, Image):
            return False
        try:
            size = self.intrinsics(known).size
        except MessageError:
            return False
        return size != (image.height, image.width) and known.header.stamp != image.header.stamp

    def camera_info(self, image: Image) -> CameraInfo:
        """The camera of `image`, under its header: from parameters or camera_info."""
        if CAMERA_INFO in self.needed:
            return camera_info_with_header(self.infos[CAMERA_INFO], image.header)
        focal_and_centre = (self.parameters[f'camera.{key}'] for key in ('fx', 'fy', 'cx', 'cy'))
        camera = CameraIntrinsics(image.width, image.height, *focal_and_centre)
        return camera_info_to_msg(camera, image.header)

    def intrinsics(self, camera_info: CameraInfo) -> CameraIntrinsics:
        """The camera of colour images, by what `camera_info` returned.

        Raises:
            MessageError: it is no camera.
        """
        return intrinsics_from_msg(camera_info, self._rectified(RGB))

    def depth_intrinsics(self, depth: Image) -> CameraIntrinsics | None:
        """The camera of `depth`, where it is to be registered.

        Raises:
            MessageError: depth/camera_info is no camera.
        """
        if DEPTH_CAMERA_INFO not in self.needed:
            return None
        camera_info = self.infos[DEPTH_CAMERA_INFO]
        if camera_info.header.frame_id not in ('', depth.header.frame_id):
            self.node.get_logger().warning(
                f'{topic_text(self.node, DEPTH_CAMERA_INFO)} is of frame '
                f'{camera_info.header.frame_id!r}, depth/image of {depth.header.frame_id!r}: not '
                'of one camera? Depth that is registered already needs no depth.register',
                once=True,
            )
        return intrinsics_from_msg(camera_info, self._rectified(DEPTH), DEPTH_CAMERA_INFO)

    def _rectified(self, topic: str) -> bool:
        return is_rectified(resolved_topic(self.node, topic))
