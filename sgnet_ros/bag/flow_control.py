# SPDX-License-Identifier: Apache-2.0
"""Holds a player back until what it has sent is answered: no frame is lost to a slow listener."""

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
"""Frames that wait for their answer: no more than fit in the node's queues."""
MASK_TIMEOUT_S = 30.0
"""How long an answer may take; what has none after that is lost, and the bag goes on."""
SHORTEST_TIMEOUT_S = 5.0
USUAL_ANSWERS = 10
"""Times as long as the latest answer took, another one may take."""


class BackPressure:
    """What became of images that were sent, so that nobody is sent more than he can take.

    An answer is an image (a mask) with the stamp of one that was sent; what is older than it and
    has none will not get one. It takes an image of every stream: no more answers can be under way
    than the stream that is furthest behind has unanswered images.

    Args:
        node: makes the subscription; nobody else may spin it.
        topic: of the answers.
        timeout_s: how long to wait for one at most. Where none came, nothing waits until one does.
    """

    def __init__(self, node: Node, topic: str, timeout_s: float = MASK_TIMEOUT_S) -> None:
        self._topic = topic
        self._longest_s = self._timeout_s = timeout_s
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._in_flight: dict[str, deque[tuple[int, float]]] = {}
        self._answered_s = 0.0
        self._gave_up = False
        node.create_subscription(Image, topic, self._store, 1, raw=True)

    def limit(self, topics: Iterable[str]) -> None:
        """Say which streams an answer is made of."""
        self._in_flight = {topic: deque() for topic in topics}

    def add(self, topic: str, stamp_ns: int) -> None:
        """A message stamped `stamp_ns` was sent on `topic`."""
        self._in_flight[topic].append((stamp_ns, time.monotonic()))

    def wait(self, stop: threading.Event) -> float:
        """Return once another image may be sent, or `stop` is set; the seconds that it took."""
        self._executor.spin_once(timeout_sec=0)
        began = time.monotonic()
        while self._must_wait() and not stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() - max(began, self._answered_s) > self._timeout_s:
                _logger.warning(
                    'nothing on %s for %.3g s: going on without', self._topic, self._timeout_s
                )
                self._gave_up = True
        return time.monotonic() - began

    def _must_wait(self) -> bool:
        under_way = min(map(len, self._in_flight.values()), default=0)
        return under_way >= MAX_IN_FLIGHT and not self._gave_up

    def _store(self, cdr: bytes) -> None:
        self._answered_s = time.monotonic()
        self._gave_up = False
        stamp_ns = header_stamp_ns(cdr)
        for sent in self._in_flight.values():
            while sent and sent[0][0] <= stamp_ns:
                took_s = self._answered_s - sent.popleft()[1]
                usual_s = max(SHORTEST_TIMEOUT_S, USUAL_ANSWERS * took_s)
                self._timeout_s = min(self._longest_s, usual_s)
