# SPDX-License-Identifier: Apache-2.0
"""The subscriber whose clock ends the measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from sgnet_ros.benchmark.plan import OUTPUTS
from sgnet_ros.conversions import stamp_ns
from sgnet_ros.interface import LABELS

QUEUE_DEPTH = 10


class Listener:
    """Notes when the outputs of the node `segmentation` arrive, as messages in Python.

    Attributes:
        latency_ms: output -> colour stamp in ns -> from that stamp to the arrival.
        last_arrival_s: on the monotonic clock; None = nothing came yet.
        node_is_ready: whether the node has loaded its network, and knows that we listen.
    """

    def __init__(self, node: Node, outputs: Sequence[str]) -> None:
        self.latency_ms: dict[str, dict[int, float]] = {output: {} for output in outputs}
        self.last_arrival_s: float | None = None
        self.node_is_ready = False
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        for output in outputs:
            topic = f'/segmentation/{output}'
            callback = partial(self._store, output)
            node.create_subscription(OUTPUTS[output].kind, topic, callback, QUEUE_DEPTH)
        # The last one: DDS tells the node of our subscriptions in the order of their making.
        labels_topic = LABELS.name.replace('~', '/segmentation')
        node.create_subscription(LABELS.kind, labels_topic, self._note_labels, LABELS.qos)

    def spin(self, timeout_s: float) -> None:
        """Take one message, or wait for it so long at most."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def end_to_end_ms(self) -> list[float]:
        """From the stamp of a frame to the arrival of the last of its outputs, frame by frame.

        Frames of which an output is missing are left out.
        """
        first, *others = self.latency_ms.values()
        return [
            max(latency, *(other[stamp] for other in others)) if others else latency
            for stamp, latency in sorted(first.items())
            if all(stamp in other for other in others)
        ]

    def _store(self, output: str, message: Any) -> None:
        now_ns, self.last_arrival_s = time.time_ns(), time.monotonic()
        stamp = stamp_ns(message.header)
        self.latency_ms[output][stamp] = (now_ns - stamp) / 1e6

    def _note_labels(self, message: Any) -> None:
        self.node_is_ready = True
