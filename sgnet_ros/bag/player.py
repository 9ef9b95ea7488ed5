# SPDX-License-Identifier: Apache-2.0
"""Publishes the messages of a bag at their recorded rate, without decoding them."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from sgnet_core.errors import DataError, SgnetError
from sgnet_ros.bag.flow_control import BackPressure
from sgnet_ros.bag.reader import (
    COMPRESSED_IMAGE,
    IMAGE,
    Bag,
    BagMessage,
    has_header,
    header_stamp_ns,
    with_header_stamp,
)

_logger = logging.getLogger(__name__)

QUEUE_DEPTH = 30
"""Queued messages per topic: 50 MB."""
ACKNOWLEDGEMENT_TIMEOUT_S = 2.0
MAX_GAP_NS = 3_600_000_000_000
"""Longer times without a message are skipped: some recorders store camera_info at time 0."""
MAX_LATCHED = 1000
STAMP_END_NS = 2**31 * 1_000_000_000
"""The seconds of a header are a signed 32-bit integer."""


class BagPlayer:
    """Publishes the topics of a bag; all reliable, latched topics also transient local.

    Args:
        topics: the topics to play; None = all whose message type is installed.
        restamp: shift header stamps so that the first is the current time. Differences stay as
            recorded at any rate: they decide which messages are paired.
        clock_hz: rate of /clock; None = do not publish it.
        back_pressure: limits the images in flight.

    Attributes:
        sent: topic -> number of messages sent.
        restamped: recorded stamp -> stamp sent, in ns, of the latest pass.
        published_ns: recorded stamp -> wall time of the first message with it, of the latest pass.
        largest_lag_s: largest delay of a message.
    """

    def __init__(
        self,
        bag: Bag,
        node: Node,
        topics: Collection[str] | None = None,
        rate: float = 1.0,
        restamp: bool = False,
        clock_hz: float | None = None,
        back_pressure: BackPressure | None = None,
    ) -> None:
        self._bag = bag
        self._back_pressure = back_pressure
        self._rate = rate
        self._clock_hz = clock_hz
        self._clock_publisher = node.create_publisher(Clock, '/clock', 1) if clock_hz else None
        self._publishers = _make_publishers(bag, node, topics)
        types = {name: bag.topics[name].msgtype for name in self._publishers}
        self._restamped_topics = {n for n, kind in types.items() if restamp and has_header(kind)}
        self._limited: set[str] = set()
        if back_pressure is not None:
            self._limited = {n for n, kind in types.items() if kind in (IMAGE, COMPRESSED_IMAGE)}
            back_pressure.limit(self._limited)
        self.sent: Counter[str] = Counter(dict.fromkeys(self._publishers, 0))
        self.restamped: dict[int, int] = {}
        self.published_ns: dict[int, int] = {}
        self._shift_ns: int | None = None
        self.largest_lag_s = 0.0

    def wait_for_subscribers(self, timeout_s: float, stop: threading.Event) -> None:
        """Wait until every topic has a subscriber or `stop` is set; SgnetError at the timeout.

        Latched topics do not count: late subscribers receive them.
        """
        deadline = time.monotonic() + timeout_s
        waiting = {n: p for n, p in self._publishers.items() if not self._bag.topics[n].latched}
        while missing := [n for n, p in waiting.items() if not p.get_subscription_count()]:
            if time.monotonic() > deadline:
                raise SgnetError(
                    f'no subscriber on {", ".join(missing)} after {timeout_s:g} s; start the '
                    'subscriber, or choose topics with --topics'
                )
            # Humble has no event for a new subscriber.
            if stop.wait(0.05):
                return

    def play(
        self, stop: threading.Event, on_message: Callable[[BagMessage], None] = lambda message: None
    ) -> None:
        """Publish the bag once, until its end or until `stop` is set."""
        self.restamped.clear()
        self.published_ns.clear()
        self._shift_ns = None
        clock: BagClock | None = None
        previous_ns = 0
        for message in self._bag.messages(self._publishers):
            if clock is None:
                clock = BagClock(message.time_ns, self._rate, self._clock_publisher, self._clock_hz)
            elif (gap_ns := message.time_ns - previous_ns) > MAX_GAP_NS:
                hours = gap_ns / 3.6e12
                _logger.warning('%s: skipped %.3g hours without a message', self._bag.path, hours)
                clock.delay(-gap_ns * 1e-9 / self._rate)
            previous_ns = message.time_ns
            lag_s = clock.wait_until(message.time_ns, stop)
            self.largest_lag_s = max(self.largest_lag_s, lag_s)
            if message.topic in self._limited:
                clock.delay(self._back_pressure.wait(stop))
            if stop.is_set():
                return
            clock.publish(message.time_ns)
            self._publish(message)
            on_message(message)

    def finish(self) -> None:
        """Wait, for a limited time, until all reliable subscribers have received everything."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGEMENT_TIMEOUT_S))

    def _publish(self, message: BagMessage) -> None:
        is_restamped = message.topic in self._restamped_topics
        cdr = self._restamp(message.cdr) if is_restamped else message.cdr
        self._publishers[message.topic].publish(cdr)
        self.sent[message.topic] += 1
        if message.topic in self._limited:
            self._back_pressure.add(message.topic, header_stamp_ns(cdr))

    def _restamp(self, cdr: bytes) -> bytes:
        recorded, now_ns = header_stamp_ns(cdr), time.time_ns()
        if recorded == 0:  # not stamped: there is no difference to keep
            return with_header_stamp(cdr, now_ns)
        if self._shift_ns is None:
            self._shift_ns = now_ns - recorded
        # A stamp of another clock may leave the range of a header.
        stamp_ns = (recorded + self._shift_ns) % STAMP_END_NS
        self.restamped[recorded] = stamp_ns
        self.published_ns.setdefault(recorded, now_ns)
        return with_header_stamp(cdr, stamp_ns)


class BagClock:
    """The time of the bag. It starts now, runs at `rate` and is published at `hz`."""

    def __init__(
        self, first_ns: int, rate: float, publisher: Publisher | None, hz: float | None
    ) -> None:
        self._first_ns = self._published_ns = first_ns
        self._rate = rate
        self._publisher = publisher
        self._period_s = 1.0 / hz if hz else float('inf')
        self._started = time.monotonic()

    def due(self, time_ns: int) -> float:
        """Monotonic time in seconds at which the bag time is `time_ns`."""
        return self._started + (time_ns - self._first_ns) * 1e-9 / self._rate

    def delay(self, seconds: float) -> None:
        """Make all following messages due later."""
        self._started += seconds

    def wait_until(self, time_ns: int, stop: threading.Event) -> float:
        """Wait until `time_ns` or `stop`; returns the delay in seconds if the time is past."""
        early_s = self.due(time_ns) - time.monotonic()
        lag_s = max(0.0, -early_s)
        while early_s > 0 and not stop.wait(min(early_s, self._period_s)):
            early_s = self.due(time_ns) - time.monotonic()
            self.publish(time_ns - round(max(early_s, 0.0) * self._rate * 1e9))
        return lag_s

    def publish(self, time_ns: int) -> None:
        """Publish `time_ns` on /clock; time never goes back."""
        if self._publisher is None:
            return
        self._published_ns = max(self._published_ns, time_ns)
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(
            self._published_ns % STAMP_END_NS, 1_000_000_000
        )
        self._publisher.publish(message)


def _make_publishers(bag: Bag, node: Node, topics: Collection[str] | None) -> dict[str, Publisher]:
    for name in topics or ():
        if name not in bag.topics:
            raise DataError(f'{bag.path}: no topic {name}; it has {", ".join(bag.topics)}')
    publishers = {}
    for name in dict.fromkeys(bag.topics if topics is None else topics):
        topic = bag.topics[name]
        if message_class := _message_class(topic.msgtype):
            # A late subscriber of a latched topic (/tf_static) needs all of its messages.
            qos = QoSProfile(depth=QUEUE_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
            if topic.latched:
                qos.depth = min(max(topic.count, 1), MAX_LATCHED)
                qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            publishers[name] = node.create_publisher(message_class, name, qos)
        else:
            _logger.warning('%s is not played: %s is not installed', name, topic.msgtype)
    if not publishers:
        raise DataError(f'{bag.path}: the bag has no topic that can be played')
    return publishers


def _message_class(msgtype: str) -> type | None:
    """The Python class of `package/msg/Name`; None if the package is not installed."""
    names = re.fullmatch(r'([a-z]\w*)/msg/([A-Z]\w*)', msgtype, re.ASCII)
    package = names and importlib.util.find_spec(names[1])
    folders = (package and package.submodule_search_locations) or ()
    # A bag can name any Python package; only those with messages are imported.
    if not any(Path(folder, 'msg').is_dir() for folder in folders):
        return None
    return getattr(importlib.import_module(f'{names[1]}.msg'), names[2], None)
