# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions. Callbacks only count and store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.errors import InputError
from sgnet_ros.compat.distributions import no_subscription_events
from sgnet_ros.compat.ros_api import Subscriber
from sgnet_ros.conversions.camera_info import camera_info_topics
from sgnet_ros.conversions.images import MessageError, stamp_ns
from sgnet_ros.input.camera_info import Cameras
from sgnet_ros.monitoring.counters import Counters
from sgnet_ros.monitoring.messages import REMEDIES
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.sync.pairing import RgbdPairing
from sgnet_ros.sync.pairing_filter import RgbdPairingFilter
from sgnet_ros.topics import (
    CAMERA_INFO,
    DEPTH,
    DEPTH_CAMERA_INFO,
    RGB,
    SENSOR_QOS,
    STREAMS,
    message_type,
    resolved_topic,
)

AUTO_PERIOD_S = 1.0
"""Period at which `qos.input` auto checks the QoS of the publishers."""


class NoCameraInfoError(MessageError):
    """No camera_info was received, and the parameters give no intrinsics."""

    cause = 'no_camera_info'


class RgbdSubscriber:
    """Subscribes from construction until `close()`.

    A pair waits for the first message of every needed camera_info and, after a change of the
    resolution, for the next one. The next pair replaces it.

    Args:
        on_pair: called with raw or compressed (colour, depth) messages and their cameras, in the
            thread of the executor; may only store.
        on_missing_camera_info: called with a NoCameraInfoError if a pair without camera_info is
            replaced.

    Attributes:
        pairing: the pairing policy, with its counts.
        qos: the QoS of the subscriptions, volatile (REP 2003).
        topics: the topics that frames need, colour first.
        cameras: the cameras of the next images.
        unstamped: topics whose latest message has a stamp of zero.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        counters: Counters,
        on_pair: Callable[[Image, Image, Cameras], None],
        on_missing_camera_info: Callable[[InputError], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._counters = counters
        self._on_pair = on_pair
        self._on_missing_camera_info = on_missing_camera_info
        self._waiting: tuple[Image, Image] | None = None
        self.cameras = Cameras(node, parameters)
        self.topics = (RGB, DEPTH, *self.cameras.needed)
        self.unstamped: set[str] = set()
        self.pairing = RgbdPairing(
            parameters['sync.slop'], parameters['sync.queue_size'], parameters['sync.mode']
        )
        self._subscriptions: tuple[Subscription, ...] = ()
        self._subscribe(parameters['qos.input'] == 'reliable')
        self._auto_timer = parameters['qos.input'] == 'auto' and node.create_timer(
            AUTO_PERIOD_S, self._follow_publishers, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def close(self) -> None:
        """End the subscriptions."""
        if self._auto_timer:
            self._node.destroy_timer(self._auto_timer)
        self._unsubscribe()
        if self._waiting is not None:
            self._counters.dropped('stopped')

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, reliable: bool) -> None:
        self._unsubscribe()
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self.qos = QoSProfile(depth=SENSOR_QOS.depth, reliability=reliability)
        rgb, depth = (self._subscriber(topic) for topic in (RGB, DEPTH))
        pairs = RgbdPairingFilter(rgb, depth, self.pairing, self._counters.dropped)
        pairs.registerCallback(self._store_pair)
        topics = {topic: topic for topic in (CAMERA_INFO, *self.cameras.needed)}
        if DEPTH_CAMERA_INFO not in topics:
            # It shows whether depth is registered.
            topics[DEPTH_CAMERA_INFO] = camera_info_topics(resolved_topic(self._node, DEPTH))[0]
        infos = [
            self._node.create_subscription(
                CameraInfo,
                name,
                partial(self._store_camera_info, topic),
                self.qos,
                event_callbacks=no_subscription_events(),
            )
            for topic, name in topics.items()
        ]
        self._subscriptions = (rgb.sub, depth.sub, *infos)

    def _subscriber(self, topic: str) -> Subscriber:
        subscriber = Subscriber(
            self._node,
            message_type(self._node, topic),
            resolved_topic(self._node, topic),
            qos_profile=self.qos,
            event_callbacks=no_subscription_events(),
        )
        subscriber.registerCallback(self._count, topic)
        return subscriber

    def _follow_publishers(self) -> None:
        """`qos.input` auto: reliable if every publisher is reliable."""
        offered = [
            publisher.qos_profile.reliability
            for topic in self.topics
            for publisher in self._node.get_publishers_info_by_topic(
                resolved_topic(self._node, topic)
            )
        ]
        reliable = set(offered) == {ReliabilityPolicy.RELIABLE}
        if reliable != (self.qos.reliability == ReliabilityPolicy.RELIABLE):
            self._subscribe(reliable)
            self._node.get_logger().info(
                f'subscriptions are {"reliable" if reliable else "best effort"}'
            )

    def _count(self, message: Image, topic: str) -> None:
        self._counters.received(STREAMS[topic])
        if stamp_ns(message.header):
            self.unstamped.discard(topic)
        else:
            self.unstamped.add(topic)

    def _store_camera_info(self, topic: str, message: CameraInfo) -> None:
        if topic != DEPTH_CAMERA_INFO or topic in self.topics:
            self._counters.received(STREAMS[topic])
        self.cameras = replace(self.cameras, infos={**self.cameras.infos, topic: message})
        if self._waiting is not None and not self.cameras.awaited(self._waiting[0]):
            waiting, self._waiting = self._waiting, None
            self._on_pair(*waiting, self.cameras)

    def _store_pair(self, image: Image, depth: Image) -> None:
        self._counters.paired()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and (topic := self.cameras.missing):
            text = f'nothing received yet; publish it{REMEDIES.get(topic, "")}'
            self._on_missing_camera_info(NoCameraInfoError(text, topic))
        elif waiting is not None:
            self._on_pair(*waiting, self.cameras)  # its error names the camera_info
        if self.cameras.awaited(image):
            self._waiting = (image, depth)
        else:
            self._on_pair(image, depth, self.cameras)
