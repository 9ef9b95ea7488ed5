# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions. Callbacks count and store; pairs go to whoever asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions import (
    MessageError,
    camera_info_to_msg,
    camera_info_with_header,
    intrinsics_from_msg,
    is_rectified,
    stamp_ns,
)
from sgnet_ros.input_topics import STREAMS, message_type, resolved_topic, topic_text
from sgnet_ros.interface import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB, SENSOR_QOS
from sgnet_ros.parameters import NodeParameters
from sgnet_ros.rgbd_filter import RgbdFilter
from sgnet_ros.rgbd_sync import RgbdSync
from sgnet_ros.ros_api import Subscriber
from sgnet_ros.statistics import Statistics
from sgnet_ros.steady_clock import STEADY_CLOCK
from sgnet_ros.watchdog import REMEDIES

AUTO_PERIOD_S = 1.0
"""How often `qos.input` auto looks at what the publishers offer."""


class NoCameraInfoError(MessageError):
    """A camera_info has not come yet, and no intrinsics are given by parameters."""

    cause = 'no_camera_info'

    def __init__(self, topic: str) -> None:
        super().__init__(f'nothing received yet; publish it{REMEDIES.get(topic, "")}', topic)


class Inputs:
    """Subscribes from construction until `close()`.

    A pair waits for the first message of every camera_info that intrinsics come from.

    Args:
        on_pair: called with (colour, depth) messages, raw or compressed as parameters have it, in
            the executor's thread; may only store.
        on_bad_pair: called with a NoCameraInfoError when a pair without camera_info is replaced.

    Attributes:
        sync: the pairing policy, with its counts.
        qos: of the subscriptions, volatile (REP 2003).
        topics: what frames are made of, colour first.
        camera_infos: topic -> the latest one.
        unstamped: topics whose messages lately carry a stamp of zero -> how many in a row.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: Statistics,
        on_pair: Callable[[Image, Image], None],
        on_bad_pair: Callable[[InputError], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._statistics = statistics
        self._on_pair = on_pair
        self._on_bad_pair = on_bad_pair
        self._waiting: tuple[Image, Image] | None = None
        self.camera_infos: dict[str, CameraInfo] = {}
        self._info_topics = (CAMERA_INFO, *[DEPTH_CAMERA_INFO] * parameters['depth.register'])
        given = [CAMERA_INFO] if parameters['camera.fx'] else []
        self.topics = tuple(t for t in (RGB, DEPTH, *self._info_topics) if t not in given)
        self.unstamped: Counter[str] = Counter()
        self.sync = RgbdSync(
            parameters['sync.slop'], parameters['sync.queue_size'], parameters['sync.mode']
        )
        self._subscriptions: tuple[Subscription, ...] = ()
        self._subscribe(parameters['qos.input'] == 'reliable')
        self._auto_timer = parameters['qos.input'] == 'auto' and node.create_timer(
            AUTO_PERIOD_S, self._follow_publishers, clock=STEADY_CLOCK
        )

    def close(self) -> None:
        """End the subscriptions."""
        if self._auto_timer:
            self._node.destroy_timer(self._auto_timer)
        self._unsubscribe()
        if self._waiting is not None:
            self._statistics.dropped('stopped')

    def _subscribe(self, reliable: bool) -> None:
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self.qos = QoSProfile(depth=SENSOR_QOS.depth, reliability=reliability)
        rgb, depth = (self._subscriber(topic) for topic in (RGB, DEPTH))
        pairs = RgbdFilter(rgb, depth, self.sync, self._statistics.dropped)
        pairs.registerCallback(self._store_pair)
        infos = [
            self._node.create_subscription(
                CameraInfo, topic, partial(self._store_camera_info, topic), self.qos
            )
            for topic in self._info_topics
        ]
        self._subscriptions = (rgb.sub, depth.sub, *infos)

    def _subscriber(self, topic: str) -> Subscriber:
        kind, name = message_type(self._node, topic), resolved_topic(self._node, topic)
        subscriber = Subscriber(self._node, kind, name, qos_profile=self.qos)
        subscriber.registerCallback(self._count, topic)
        return subscriber

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _follow_publishers(self) -> None:
        """`qos.input` auto: reliable as soon and as long as every publisher is."""
        offered = [
            publisher.qos_profile.reliability
            for topic in (RGB, DEPTH, *self._info_topics)
            for publisher in self._node.get_publishers_info_by_topic(
                resolved_topic(self._node, topic)
            )
        ]
        reliable = bool(offered) and all(one == ReliabilityPolicy.RELIABLE for one in offered)
        if reliable != (self.qos.reliability == ReliabilityPolicy.RELIABLE):
            self._unsubscribe()
            self._subscribe(reliable)
            self._node.get_logger().info(f'inputs are {"reliable" if reliable else "best effort"}')

    def camera_info_of(self, image: Image) -> CameraInfo:
        """The camera of `image`, under its header: from parameters, or the latest camera_info."""
        if CAMERA_INFO in self.topics:
            return camera_info_with_header(self.camera_infos[CAMERA_INFO], image.header)
        focal_and_centre = (self._parameters[f'camera.{key}'] for key in ('fx', 'fy', 'cx', 'cy'))
        camera = CameraIntrinsics(image.width, image.height, *focal_and_centre)
        return camera_info_to_msg(camera, image.header)

    def intrinsics_of(self, camera_info: CameraInfo) -> CameraIntrinsics:
        """The camera of colour images, by what `camera_info_of` returned.

        Raises:
            MessageError: it is no camera.
        """
        return intrinsics_from_msg(camera_info, self._rectified(RGB))

    def depth_intrinsics(self, depth: Image) -> CameraIntrinsics | None:
        """The camera of `depth`, where it is to be registered.

        Raises:
            MessageError: depth/camera_info is no camera.
        """
        if DEPTH_CAMERA_INFO not in self.topics:
            return None
        camera_info = self.camera_infos[DEPTH_CAMERA_INFO]
        if camera_info.header.frame_id not in ('', depth.header.frame_id):
            self._node.get_logger().warning(
                f'{topic_text(self._node, DEPTH_CAMERA_INFO)} is of frame '
                f'{camera_info.header.frame_id!r}, depth/image of {depth.header.frame_id!r}: not '
                'of one camera? Depth that is registered already needs no depth.register',
                once=True,
            )
        return intrinsics_from_msg(camera_info, self._rectified(DEPTH), DEPTH_CAMERA_INFO)

    def _rectified(self, topic: str) -> bool:
        return is_rectified(resolved_topic(self._node, topic))

    def _count(self, message: Image, topic: str) -> None:
        self._statistics.received(STREAMS[topic])
        if stamp_ns(message.header) == 0:
            self.unstamped[topic] += 1
        else:
            self.unstamped.pop(topic, None)

    def _missing(self) -> list[str]:
        needed = [topic for topic in self._info_topics if topic in self.topics]
        return [topic for topic in needed if topic not in self.camera_infos]

    def _store_camera_info(self, topic: str, message: CameraInfo) -> None:
        self._statistics.received(STREAMS[topic])
        self.camera_infos[topic] = message
        if self._waiting is not None and not self._missing():
            waiting, self._waiting = self._waiting, None
            self._on_pair(*waiting)

    def _store_pair(self, image: Image, depth: Image) -> None:
        self._statistics.paired()
        missing = self._missing()
        if not missing:
            self._on_pair(image, depth)
            return
        if self._waiting is not None:
            self._on_bad_pair(NoCameraInfoError(missing[0]))
        self._waiting = (image, depth)
