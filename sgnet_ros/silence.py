# SPDX-License-Identifier: Apache-2.0
"""The watchdog: collects what `watchdog.causes_of_silence` needs, and logs what it says."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible

from sgnet_ros.inputs import Inputs
from sgnet_ros.interface import (
    STREAMS,
    foreign_types,
    published_alike,
    published_otherwise,
    resolved_topic,
    topic_text,
)
from sgnet_ros.outputs import Outputs
from sgnet_ros.parameters import NodeParameters
from sgnet_ros.stage_times import ARRIVE
from sgnet_ros.statistics import Counts, Statistics
from sgnet_ros.troubles import NO_CAUSE, NOT_WANTED
from sgnet_ros.watchdog import NO_SUBSCRIBER, InputFacts, causes_of_silence, difference, doubts
from sgnet_ros.worker import Worker


class SilenceMonitor:
    """Every `watchdog.timeout` without a mask, warns why; until `close()`.

    Attributes:
        problem: the causes found by the last check, '' = there was output, or nobody wants any.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: Statistics,
        inputs: Inputs,
        outputs: Outputs,
        worker: Worker,
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._statistics = statistics
        self._inputs = inputs
        self._outputs = outputs
        self._worker = worker
        self._before, self._before_s = statistics.counts(), time.monotonic()
        self.problem = ''
        self._unwanted = False
        self._doubted: set[str] = set()
        period_s = parameters['watchdog.timeout']
        # The node's own clock stands still while /clock is silent.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = period_s and node.create_timer(period_s, self._check, clock=clock)

    def close(self) -> None:
        """End the checks."""
        if self._timer:
            self._node.destroy_timer(self._timer)

    def _check(self) -> None:
        now, now_s = self._statistics.counts(), time.monotonic()
        since_last, period_s = difference(now, self._before), now_s - self._before_s
        self._before, self._before_s = now, now_s
        self._say_doubts(now)
        if since_last.masks:
            self.problem, self._unwanted = '', False
            return
        causes = causes_of_silence(
            self._facts(since_last),
            since_last,
            period_s,
            self._inputs.sync.nearest_gap_ns,
            self._parameters['sync.slop'],
            self._worker.busy_s,
            self._clock_is_silent(),
        )
        wanted = self._outputs.wanted()
        # With drops of this cause it is wanted only since a moment ago.
        if causes or (wanted and NO_SUBSCRIBER not in since_last.dropped):
            self.problem = ' · '.join(causes) or NO_CAUSE.say()
            self._node.get_logger().warning(f'no output for {period_s:.0f} s: {self.problem}')
            return
        if not wanted and not self._unwanted:
            topics = ', '.join(self._outputs.topics)
            self._node.get_logger().info(NOT_WANTED.say(topics=topics))
        self.problem, self._unwanted = '', not wanted

    def _say_doubts(self, now: Counts) -> None:
        """Each once, for as long as it lasts."""
        own = self._node.get_name(), self._node.get_namespace()
        namesakes = self._node.get_node_names_and_namespaces().count(own)
        ahead_s = -now.stages_ms[ARRIVE][-1] / 1e3 if now.masks else 0.0
        name, unheard = self._node.get_fully_qualified_name(), self._outputs.unheard()
        found = doubts(name, namesakes, ahead_s, unheard)
        for about in found.keys() - self._doubted:
            self._node.get_logger().warning(found[about])
        self._doubted = set(found)

    def _clock_is_silent(self) -> bool:
        simulated = self._node.get_parameter('use_sim_time').value
        return simulated and self._node.get_clock().now().nanoseconds == 0

    def _facts(self, since_last: Counts) -> tuple[InputFacts, ...]:
        return tuple(self._facts_of(topic, since_last) for topic in self._inputs.topics)

    def _facts_of(self, topic: str, since_last: Counts) -> InputFacts:
        publishers = self._node.get_publishers_info_by_topic(resolved_topic(self._node, topic))
        reasons = []
        for publisher in publishers:
            compatible, reason = qos_check_compatible(publisher.qos_profile, self._inputs.qos)
            if compatible == QoSCompatibility.ERROR:
                reasons.append(reason)
        return InputFacts(
            topic,
            topic_text(self._node, topic),
            len(publishers),
            '; '.join(reasons) if len(reasons) == len(publishers) else '',
            since_last.received.get(STREAMS[topic], 0),
            topic in self._inputs.unstamped,
            foreign_types(self._node, topic, publishers),
            published_otherwise(self._node, topic),
            '' if publishers else published_alike(self._node, topic),
        )
