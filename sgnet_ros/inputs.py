# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions. Callbacks count and store; pairs go to whoever asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.errors import InputError
from sgnet_ros.cameras import Cameras
from sgnet_ros.conversions import MessageError, stamp_ns
from sgnet_ros.distributions import no_subscription_events
from sgnet_ros.interface import (
    CAMERA_INFO,
    DEPTH,
    RGB,
    SENSOR_QOS,
    STREAMS,
    message_type,
    resolved_topic,
)
from sgnet_ros.parameters import NodeParameters
from sgnet_ros.rgbd_filter import RgbdFilter
from sgnet_ros.rgbd_sync import RgbdSync
from sgnet_ros.ros_api import Subscriber
from sgnet_ros.statistics import Statistics
from sgnet_ros.troubles import REMEDIES

AUTO_PERIOD_S = 1.0
"""How often `qos.input` auto looks at what the publishers offer."""


class NoCameraInfoError(MessageError):
    """A camera_info has not come yet, and no intrinsics are given by parameters."""

    cause = 'no_camera_info'

    def __init__(self, topic: str) -> None:
        super().__init__(f'nothing received yet; publish it{REMEDIES.get(topic, "")}', topic)


class Inputs:
    """Subscribes from construction until `close()`.

    A pair waits for the first message of every camera_info that intrinsics come from, and where
    the resolution has changed for the next one; another pair takes its place.

    Args:
        on_pair: called with (colour, depth) messages, raw or compressed as parameters have it, and
            their cameras, in the executor's thread; may only store.
        on_bad_pair: called with a NoCameraInfoError when a pair without camera_info is replaced.

    Attributes:
        sync: the pairing policy, with its counts.
        qos: of the subscriptions, volatile (REP 2003).
        topics: what frames are made of, colour first.
        cameras: of the images to come.
        unstamped: topics whose messages lately carry a stamp of zero -> how many in a row.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: Statistics,
        on_pair: Callable[[Image, Image, Cameras], None],
        on_bad_pair: Callable[[InputError], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._statistics = statistics
        self._on_pair = on_pair
        self._on_bad_pair = on_bad_pair
        self._waiting: tuple[Image, Image] | None = None
        self.cameras = Cameras(node, parameters)
        self.topics = (RGB, DEPTH, *self.cameras.needed)
        self.unstamped: Counter[str] = Counter()
        self.sync = RgbdSync(
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
            self._statistics.dropped('stopped')

    def _subscribe(self, reliable: bool) -> None:
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self.qos = QoSProfile(depth=SENSOR_QOS.depth, reliability=reliability)
        rgb, depth = (self._subscriber(topic) for topic in (RGB, DEPTH))
        pairs = RgbdFilter(rgb, depth, self.sync, self._statistics.dropped)
        pairs.registerCallback(self._store_pair)
        infos = [
            self._node.create_subscription(
                CameraInfo,
                topic,
                partial(self._store_camera_info, topic),
                self.qos,
                event_callbacks=no_subscription_events(),
            )
            for topic in dict.fromkeys((CAMERA_INFO, *self.cameras.needed))
        ]
        self._subscriptions = (rgb.sub, depth.sub, *infos)

    def _subscriber(self, topic: str) -> Subscriber:
        kind, name = message_type(self._node, topic), resolved_topic(self._node, topic)
        events = no_subscription_events()
        subscriber = Subscriber(
            self._node, kind, name, qos_profile=self.qos, event_callbacks=events
        )
        subscriber.registerCallback(self._count, topic)
        return subscriber

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _follow_publishers(self) -> None:
        """`qos.input` auto: reliable as soon and as long as every publisher is."""
        offered = [
            publisher.qos_profile.reliability
            for topic in self.topics
            for publisher in self._node.get_publishers_info_by_topic(
                resolved_topic(self._node, topic)
            )
        ]
        reliable = bool(offered) and all(one == ReliabilityPolicy.RELIABLE for one in offered)
        if reliable != (self.qos.reliability == ReliabilityPolicy.RELIABLE):
            self._unsubscribe()
            self._subscribe(reliable)
            self._node.get_logger().info(f'inputs are {"reliable" if reliable else "best effort"}')

    def _count(self, message: Image, topic: str) -> None:
        self._statistics.received(STREAMS[topic])
        if stamp_ns(message.header) == 0:
            self.unstamped[topic] += 1
        else:
            self.unstamped.pop(topic, None)

    def _store_camera_info(self, topic: str, message: CameraInfo) -> None:
        self._statistics.received(STREAMS[topic])
        self.cameras = replace(self.cameras, infos={**self.cameras.infos, topic: message})
        if self._waiting is not None and not self._is_early(*self._waiting):
            waiting, self._waiting = self._waiting, None
            self._on_pair(*waiting, self.cameras)

    def _store_pair(self, image: Image, depth: Image) -> None:
        self._statistics.paired()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and self.cameras.missing:
            self._on_bad_pair(NoCameraInfoError(self.cameras.missing))
        elif waiting is not None:
            self._on_pair(*waiting, self.cameras)  # it says what is wrong
        if self._is_early(image, depth):
            self._waiting = (image, depth)
        else:
            self._on_pair(image, depth, self.cameras)

    def _is_early(self, image: Image, depth: Image) -> bool:
        return self.cameras.missing is not None or self.cameras.stale(image)
