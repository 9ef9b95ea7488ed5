# SPDX-License-Identifier: Apache-2.0
"""Limits the number of images in flight so that a slow subscriber drops none."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from sgnet_ros.bag.reader import header_stamp_ns

_logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 4
"""Images per stream without a mask; as many fit into the queues of the node."""
MASK_TIMEOUT_S = 30.0


class BackPressure:
    """Holds images back until masks for earlier ones arrive.

    A mask answers the image with its stamp and all older images. One mask needs an image of every
    stream, so the stream with the fewest images in flight counts.

    Args:
        node: makes the subscription; must not be spun elsewhere.
        topic: topic of the masks.
        timeout_s: after this time without a mask there is no limit until the next mask.
    """

    def __init__(self, node: Node, topic: str, timeout_s: float = MASK_TIMEOUT_S) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._in_flight: dict[str, deque[int]] = {}
        self._mask_arrived_s = 0.0
        self._timed_out = False
        node.create_subscription(Image, topic, self._store, 1, raw=True)

    def limit(self, topics: Iterable[str]) -> None:
        """Set the topics of the image streams."""
        self._in_flight = {topic: deque() for topic in topics}

    def add(self, topic: str, stamp_ns: int) -> None:
        """Count an image that was sent."""
        self._in_flight[topic].append(stamp_ns)

    def wait(self, stop: threading.Event) -> float:
        """Wait until another image may be sent or `stop` is set; returns the seconds waited."""
        self._executor.spin_once(timeout_sec=0)
        began = time.monotonic()
        while not self._timed_out and not stop.is_set():
            if min(map(len, self._in_flight.values()), default=0) < MAX_IN_FLIGHT:
                break
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() - max(began, self._mask_arrived_s) > self._timeout_s:
                _logger.warning(
                    'no mask on %s for %.3g s; the bag continues', self._topic, self._timeout_s
                )
                self._timed_out = True
        return time.monotonic() - began

    def _store(self, cdr: bytes) -> None:
        self._mask_arrived_s = time.monotonic()
        self._timed_out = False
        stamp_ns = header_stamp_ns(cdr)
        for stamps in self._in_flight.values():
            while stamps and stamps[0] <= stamp_ns:
                stamps.popleft()
