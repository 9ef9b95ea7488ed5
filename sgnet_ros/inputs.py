# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions. Callbacks count and store; pairs go to whoever asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions import (
    MessageError,
    camera_info_to_msg,
    camera_info_with_header,
    is_rectified,
    stamp_ns,
)
from sgnet_ros.parameters import NodeParameters
from sgnet_ros.rgbd_filter import RgbdFilter
from sgnet_ros.rgbd_sync import RgbdSync
from sgnet_ros.ros_api import Subscriber
from sgnet_ros.statistics import Statistics

RGB, DEPTH, CAMERA_INFO = 'rgb/image', 'depth/image', 'rgb/camera_info'
STREAMS = {RGB: 'rgb', DEPTH: 'depth', CAMERA_INFO: 'camera_info'}
"""Topic, before remapping -> its name in statistics."""
KEEP_LAST = 5

_RELIABILITY = {
    'sensor_data': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}


class NoCameraInfoError(MessageError):
    """No camera_info has come yet, and no intrinsics are given by parameters."""


def input_qos(name: str) -> QoSProfile:
    """The QoS of the inputs (REP 2003), volatile; `name` is the parameter `qos.input`."""
    return QoSProfile(depth=KEEP_LAST, reliability=_RELIABILITY[name])


def topic_text(node: Node, topic: str) -> str:
    """`rgb/image (-> /camera/camera/color/image_raw)`: as declared and as resolved."""
    return f'{topic} (-> {node.resolve_topic_name(topic)})'


class Inputs:
    """Subscribes from construction until `close()`.

    Args:
        on_pair: called with (colour, depth) messages in the executor's thread; may only store.

    Attributes:
        sync: the pairing policy, with its counts.
        camera_info: the latest one, or None.
        unstamped: topics whose messages lately carry a stamp of zero -> how many in a row.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: Statistics,
        on_pair: Callable[[Image, Image], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._statistics = statistics
        self.camera_info: CameraInfo | None = None
        self.unstamped: Counter[str] = Counter()
        self.sync = RgbdSync(
            parameters['sync.slop'], parameters['sync.queue_size'], parameters['sync.mode']
        )
        qos = input_qos(parameters['qos.input'])
        rgb = Subscriber(node, Image, RGB, qos_profile=qos)
        depth = Subscriber(node, Image, DEPTH, qos_profile=qos)
        rgb.registerCallback(self._count, RGB)
        depth.registerCallback(self._count, DEPTH)
        pairs = RgbdFilter(rgb, depth, self.sync, statistics.dropped)
        pairs.registerCallback(on_pair)
        info = node.create_subscription(CameraInfo, CAMERA_INFO, self._store_camera_info, qos)
        self._subscriptions = (rgb.sub, depth.sub, info)

    def close(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    @property
    def needs_camera_info(self) -> bool:
        """Whether the intrinsics are not given by parameters."""
        return self._parameters['camera.fx'] == 0

    def camera_info_of(self, image: Image) -> CameraInfo:
        """The camera of `image`, under its header: from parameters, or the latest camera_info.

        Raises:
            NoCameraInfoError: neither is there.
        """
        if not self.needs_camera_info:
            focal_and_centre = (
                self._parameters[f'camera.{key}'] for key in ('fx', 'fy', 'cx', 'cy')
            )
            camera = CameraIntrinsics(image.width, image.height, *focal_and_centre)
            return camera_info_to_msg(camera, image.header)
        if self.camera_info is None:
            raise NoCameraInfoError(
                'nothing received yet; publish it, or give camera.fx, camera.fy, camera.cx and '
                'camera.cy',
                CAMERA_INFO,
            )
        return camera_info_with_header(self.camera_info, image.header)

    def rectified(self) -> bool:
        """Whether the colour images are rectified."""
        return is_rectified(self._node.resolve_topic_name(RGB))

    def _count(self, message: Image, topic: str) -> None:
        self._statistics.received(STREAMS[topic])
        if stamp_ns(message.header) == 0:
            self.unstamped[topic] += 1
        else:
            self.unstamped.pop(topic, None)

    def _store_camera_info(self, message: CameraInfo) -> None:
        self._statistics.received(STREAMS[CAMERA_INFO])
        self.camera_info = message
