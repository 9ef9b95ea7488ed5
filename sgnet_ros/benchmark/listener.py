# SPDX-License-Identifier: Apache-2.0
"""The subscriber that measures latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from sgnet_ros.conversions.images import stamp_ns
from sgnet_ros.topics import AVAILABLE_OUTPUTS, LABELS

QUEUE_DEPTH = 10
OUTPUTS = {topic.name.removeprefix('~/'): topic for topic in AVAILABLE_OUTPUTS}


class Listener:
    """Records when the outputs of the node `segmentation` arrive as messages in Python.

    The node is in the namespace of `node`.

    Attributes:
        latency_ms: output -> colour stamp in ns -> time from that stamp to the arrival.
        last_arrival_s: on the monotonic clock; None before the first message.
        node_is_ready: whether the node has loaded its network and discovered this listener.
    """

    def __init__(self, node: Node, outputs: Sequence[str]) -> None:
        self.latency_ms: dict[str, dict[int, float]] = {output: {} for output in outputs}
        self.last_arrival_s: float | None = None
        self.node_is_ready = False
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        for output in outputs:
            topic = f'segmentation/{output}'
            callback = partial(self._store, output)
            node.create_subscription(OUTPUTS[output].kind, topic, callback, QUEUE_DEPTH)
        # This one comes last: the node discovers subscriptions in the order of their creation.
        labels_topic = LABELS.name.replace('~', 'segmentation')
        node.create_subscription(LABELS.kind, labels_topic, self._note_labels, LABELS.qos)

    def spin(self, timeout_s: float) -> None:
        """Process one message, or wait for one at most `timeout_s`."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def end_to_end_ms(self) -> list[float]:
        """Time from the stamp of each frame to the arrival of its last output.

        Frames with a missing output are left out.
        """
        arrivals = self.latency_ms.values()
        complete = set.intersection(*map(set, arrivals))
        return [max(output[stamp] for output in arrivals) for stamp in sorted(complete)]

    def _store(self, output: str, message: Any) -> None:
        now_ns, self.last_arrival_s = time.time_ns(), time.monotonic()
        stamp = stamp_ns(message.header)
        self.latency_ms[output][stamp] = (now_ns - stamp) / 1e6

    def _note_labels(self, message: Any) -> None:
        self.node_is_ready = True
