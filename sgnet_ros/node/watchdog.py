# SPDX-License-Identifier: Apache-2.0
"""Collects the facts for `causes.diagnose` and logs why there is no output."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible

from sgnet_ros.cameras import Camera, camera_of
from sgnet_ros.input.rgbd_subscriber import RgbdSubscriber
from sgnet_ros.monitoring.causes import (
    NO_SUBSCRIBER,
    InputFacts,
    diagnose,
    difference,
    lost_images,
    warnings,
)
from sgnet_ros.monitoring.counters import Counters, Counts
from sgnet_ros.monitoring.messages import NO_CAUSE, NOT_WANTED, REMEDIES
from sgnet_ros.monitoring.stage_timer import ARRIVE
from sgnet_ros.node.inference_worker import InferenceWorker
from sgnet_ros.node.publishers import Publishers
from sgnet_ros.topics import (
    DEPTH,
    RGB,
    STREAMS,
    other_transport,
    other_types,
    resolved_topic,
    same_type_topics,
    topic_text,
)


class OutputWatchdog:
    """Logs why there is no output after each `watchdog.timeout` without a mask, until `close()`.

    Attributes:
        problem: the causes found by the last check; '' if there was output or no subscriber.
    """

    def __init__(
        self,
        node: Node,
        counters: Counters,
        subscriber: RgbdSubscriber,
        publishers: Publishers,
        worker: InferenceWorker,
    ) -> None:
        self._node = node
        self._counters = counters
        self._subscriber = subscriber
        self._publishers = publishers
        self._worker = worker
        self._before, self._before_s = counters.counts(), time.monotonic()
        self.problem = ''
        self._told_no_subscriber = False
        self._warned: set[str] = set()
        period_s = node.parameters['watchdog.timeout']
        # The clock of the node does not advance while /clock is silent.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = period_s and node.create_timer(period_s, self._check, clock=clock)

    def close(self) -> None:
        """End the checks."""
        if self._timer:
            self._node.destroy_timer(self._timer)

    def _check(self) -> None:
        now, now_s = self._counters.counts(), time.monotonic()
        since_last, period_s = difference(now, self._before), now_s - self._before_s
        self._before, self._before_s = now, now_s
        facts = tuple(self._facts(topic, since_last) for topic in self._subscriber.topics)
        lost = lost_images(facts, period_s)
        # The rate of depth may be lower on purpose.
        self._warn(now, {RGB: lost[RGB]} if since_last.masks and RGB in lost else {})
        if since_last.masks:
            self.problem, self._told_no_subscriber = '', False
            return
        simulated = self._node.get_parameter('use_sim_time').value
        causes = diagnose(
            facts,
            since_last,
            period_s,
            self._subscriber.pairing.nearest_gap_ns,
            self._node.parameters['sync.slop'],
            self._worker.busy_s,
            simulated and self._node.get_clock().now().nanoseconds == 0,
            f'; {camera.name}: {camera.unsynchronised}' if (camera := self._camera()) else '',
        )
        wanted = bool(self._publishers.subscribed())
        # Drops of this cause show that the subscriber is new.
        if causes or (wanted and NO_SUBSCRIBER not in since_last.dropped):
            self.problem = ' · '.join(causes) or NO_CAUSE.format()
            self._node.get_logger().warning(f'no output for {period_s:.0f} s: {self.problem}')
            return
        if not wanted and not self._told_no_subscriber:
            topics = ', '.join(self._publishers.enabled_topics)
            self._node.get_logger().info(NOT_WANTED.format(topics=topics))
        self.problem, self._told_no_subscriber = '', not wanted

    def _warn(self, now: Counts, lost: dict[str, str]) -> None:
        """Log each warning once, for as long as it lasts."""
        own = self._node.get_name(), self._node.get_namespace()
        found = warnings(
            self._node.get_fully_qualified_name(),
            self._node.get_node_names_and_namespaces().count(own),
            -now.stages_ms[ARRIVE][-1] / 1e3 if now.masks else 0.0,
            self._publishers.qos_mismatches(),
            lost,
        )
        for subject in found.keys() - self._warned:
            self._node.get_logger().warning(found[subject])
        self._warned = set(found)

    def _facts(self, topic: str, since_last: Counts) -> InputFacts:
        node = self._node
        publishers = node.get_publishers_info_by_topic(resolved_topic(node, topic))
        checks = [qos_check_compatible(one.qos_profile, self._subscriber.qos) for one in publishers]
        reasons = [reason for level, reason in checks if level == QoSCompatibility.ERROR]
        return InputFacts(
            topic,
            topic_text(node, topic),
            len(publishers),
            '; '.join(reasons) if len(reasons) == len(publishers) else '',
            since_last.received.get(STREAMS[topic], 0),
            topic in self._subscriber.unstamped,
            other_types(node, topic, publishers),
            other_transport(node, topic),
            '' if publishers else same_type_topics(node, topic),
            self._remedy(topic),
        )

    def _remedy(self, topic: str) -> str:
        if topic == DEPTH and (camera := self._camera()):
            return f'; {camera.name}: {camera.no_depth}'
        return REMEDIES.get(topic, '')

    def _camera(self) -> Camera | None:
        return camera_of(*(self._node.resolve_topic_name(topic) for topic in (RGB, DEPTH)))
