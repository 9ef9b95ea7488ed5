# SPDX-License-Identifier: Apache-2.0
"""Holds a player back until what it has sent is answered: no frame is lost to a slow listener."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from sgnet_ros.bags import header_stamp_ns

_logger = logging.getLogger(__name__)

MOST_UNANSWERED = 4
"""Messages of a topic that wait for their answer: no more than fit in the node's queues."""
ANSWER_TIMEOUT_S = 30.0
"""How long an answer may take; what has none after that is lost, and the bag goes on."""


class Answers:
    """What became of images that were sent, so that nobody is sent more than he can take.

    An answer is an image (a mask) with the stamp of one that was sent; what is older than it and
    has none will not get one.

    Args:
        node: makes the subscription; nobody else may spin it.
        topic: of the answers.
        timeout_s: how long to wait for one.
    """

    def __init__(self, node: Node, topic: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._unanswered: dict[str, deque[int]] = {}
        self._answered_s = 0.0
        node.create_subscription(Image, topic, self._store, 1, raw=True)

    def expect(self, topic: str, stamp_ns: int) -> None:
        """A message stamped `stamp_ns` was sent on `topic`."""
        self._unanswered.setdefault(topic, deque()).append(stamp_ns)

    def wait(self, topic: str, stop: threading.Event) -> None:
        """Return once another message may be sent on `topic`, or `stop` is set."""
        self._executor.spin_once(timeout_sec=0)
        began = time.monotonic()
        while len(self._unanswered.get(topic, ())) >= MOST_UNANSWERED and not stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() - max(began, self._answered_s) > self._timeout_s:
                _logger.warning(
                    'nothing on %s for %g s: going on without', self._topic, self._timeout_s
                )
                self._unanswered.clear()

    def _store(self, cdr: bytes) -> None:
        self._answered_s = time.monotonic()
        stamp_ns = header_stamp_ns(cdr)
        for stamps in self._unanswered.values():
            while stamps and stamps[0] <= stamp_ns:
                stamps.popleft()
