# SPDX-License-Identifier: Apache-2.0
"""Publishes the messages of a bag at the pace they were recorded, as their bytes are."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from sgnet_core.errors import DataError, SgnetError
from sgnet_ros.bag.flow_control import BackPressure
from sgnet_ros.bag.reader import (
    COMPRESSED_IMAGE,
    IMAGE,
    Bag,
    BagMessage,
    BagTopic,
    has_header,
    header_stamp_ns,
    with_header_stamp,
)

_logger = logging.getLogger(__name__)

QUEUE_DEPTH = 30
"""Messages that wait, per topic, for a subscriber that the machine has no time for: 50 MB."""
LAST_ACKNOWLEDGEMENT_S = 2.0
"""How long the end of a bag waits for slow subscribers to have taken everything."""
STAMP_END_NS = 2**31 * 1_000_000_000
"""The seconds of a header are 32 bits with a sign."""


class BagPlayer:
    """Publishers for the topics of a bag, and the loop that feeds them.

    Publishers are reliable, which subscribers of either reliability accept; latched topics are
    transient local.

    Args:
        bag: open.
        node: makes the publishers; its owner spins and destroys it.
        topics: the ones to play; None = all whose message type is installed.
        rate: speed, 2.0 = twice as fast as recorded.
        restamp: shift the stamps of all headers so that the first is the present. Differences are
            kept, whatever the rate: they decide which messages are paired.
        clock_hz: publish the bag's time on /clock this often; 0 = never.
        back_pressure: holds images back until earlier ones are answered; None = keep pace.

    Attributes:
        sent: messages published, by topic.
        restamped: recorded stamp -> stamp sent, in ns, of the latest pass.
        published_ns: recorded stamp -> wall time when it was first sent, of the latest pass.
        largest_lag_s: the most that a message was published after its time.

    Raises:
        DataError: no topic of this bag can be played.
    """

    def __init__(
        self,
        bag: Bag,
        node: Node,
        topics: Collection[str] | None = None,
        rate: float = 1.0,
        restamp: bool = False,
        clock_hz: float = 0.0,
        back_pressure: BackPressure | None = None,
    ) -> None:
        self._bag = bag
        self._back_pressure = back_pressure
        self._rate = rate
        self._clock_hz = clock_hz
        self._clock_publisher = node.create_publisher(Clock, '/clock', 1) if clock_hz else None
        self._publishers = _make_publishers(bag, node, topics)
        self._has_header = {
            name: restamp and has_header(bag.topics[name].msgtype) for name in self._publishers
        }
        self._limited: set[str] = set()
        if back_pressure is not None:
            images = (IMAGE, COMPRESSED_IMAGE)
            self._limited = {n for n in self._publishers if bag.topics[n].msgtype in images}
            back_pressure.limit(self._limited)
        self.sent: Counter[str] = Counter(dict.fromkeys(self._publishers, 0))
        self.restamped: dict[int, int] = {}
        self.published_ns: dict[int, int] = {}
        self._shift_ns: int | None = None
        self.largest_lag_s = 0.0

    def topics_without_subscriber(self) -> list[str]:
        """The topics that nobody receives now, but for latched ones: those can be had later."""
        return [
            name
            for name, publisher in self._publishers.items()
            if not self._bag.topics[name].latched and publisher.get_subscription_count() == 0
        ]

    def wait_for_subscribers(self, timeout_s: float, stop: threading.Event) -> None:
        """Return once every topic has a subscriber, or `stop` is set.

        Raises:
            SgnetError: some topic has none when the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while missing := self.topics_without_subscriber():
            if time.monotonic() > deadline:
                raise SgnetError(
                    f'after {timeout_s:g} s nobody subscribes to {", ".join(missing)}; start the '
                    'subscriber, or choose what is played with --topics'
                )
            # There is no event for "somebody subscribed" on Humble.
            if stop.wait(0.05):
                return

    def play(
        self, stop: threading.Event, on_message: Callable[[BagMessage], None] = lambda message: None
    ) -> None:
        """Publish the bag once, in real time, until its end or until `stop` is set.

        Args:
            stop: checked before every message.
            on_message: called after each message, for a progress display.
        """
        self.restamped.clear()
        self.published_ns.clear()
        self._shift_ns = None
        clock: BagClock | None = None
        try:
            for message in self._bag.messages(self._publishers):
                if clock is None:
                    clock = BagClock(
                        message.time_ns, self._rate, self._clock_publisher, self._clock_hz
                    )
                self._wait_until(clock.due(message.time_ns), stop)
                if message.topic in self._limited:
                    clock.delay(self._back_pressure.wait(stop))
                if stop.is_set():
                    return
                clock.publish(message.time_ns)
                self._publish(message)
                on_message(message)
        finally:
            if clock is not None:
                clock.close()

    def finish(self) -> None:
        """Wait, for a bounded time, until all reliable subscribers have got everything."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=LAST_ACKNOWLEDGEMENT_S))

    def _wait_until(self, due: float, stop: threading.Event) -> None:
        early = due - time.monotonic()
        if early > 0:
            stop.wait(early)
        else:
            self.largest_lag_s = max(self.largest_lag_s, -early)

    def _publish(self, message: BagMessage) -> None:
        cdr = message.cdr
        if self._has_header[message.topic]:
            cdr = self._restamp(cdr)
        self._publishers[message.topic].publish(cdr)
        self.sent[message.topic] += 1
        if message.topic in self._limited:
            self._back_pressure.add(message.topic, header_stamp_ns(cdr))

    def _restamp(self, cdr: bytes) -> bytes:
        recorded, now_ns = header_stamp_ns(cdr), time.time_ns()
        if recorded == 0:
            # Nothing to keep a difference to.
            return with_header_stamp(cdr, now_ns)
        if self._shift_ns is None:
            self._shift_ns = now_ns - recorded
        # The stamp of another clock may leave what a header can hold.
        stamp_ns = (recorded + self._shift_ns) % STAMP_END_NS
        self.restamped[recorded] = stamp_ns
        self.published_ns.setdefault(recorded, now_ns)
        return with_header_stamp(cdr, stamp_ns)


class BagClock:
    """The bag's time, running at `rate` from now on, and published on /clock where wanted."""

    def __init__(self, first_ns: int, rate: float, publisher: Publisher | None, hz: float) -> None:
        self._first_ns = first_ns
        self._rate = rate
        self._publisher = publisher
        self._started = time.monotonic()
        self._latest_ns = first_ns
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if publisher is not None:
            self._thread = threading.Thread(target=self._tick, args=(1.0 / hz,), daemon=True)
            self._thread.start()

    def due(self, time_ns: int) -> float:
        """When, on the monotonic clock in seconds, bag time `time_ns` is reached."""
        return self._started + (time_ns - self._first_ns) * 1e-9 / self._rate

    def delay(self, seconds: float) -> None:
        """Let everything that comes be due later: a bag that was held back keeps its pace."""
        self._started += seconds

    def publish(self, time_ns: int) -> None:
        """Publish `time_ns`, so that no message is ahead of the clock."""
        if self._publisher is None:
            return
        with self._lock:
            # The tick and the messages must not make time go back between them.
            self._latest_ns = max(self._latest_ns, time_ns)
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(self._latest_ns, 1_000_000_000)
            self._publisher.publish(message)

    def close(self) -> None:
        """Stop the clock."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _tick(self, period_s: float) -> None:
        while not self._closed.wait(period_s):
            passed_s = (time.monotonic() - self._started) * self._rate
            self.publish(self._first_ns + int(passed_s * 1e9))


def _make_publishers(bag: Bag, node: Node, topics: Collection[str] | None) -> dict[str, Publisher]:
    for name in topics or ():
        if name not in bag.topics:
            raise DataError(f'{bag.path}: no topic {name}; it has {", ".join(bag.topics)}')
    publishers = {}
    for name in dict.fromkeys(bag.topics if topics is None else topics):
        topic = bag.topics[name]
        if message_class := _message_class(topic.msgtype):
            publishers[name] = node.create_publisher(message_class, name, _qos(topic))
        else:
            _logger.warning('%s is not played: %s is not installed', name, topic.msgtype)
    if not publishers:
        raise DataError(f'{bag.path}: nothing to play in this bag')
    return publishers


def _message_class(msgtype: str) -> type | None:
    """The Python class of `package/msg/Name`, or None where the package is not installed."""
    package, kind, name = msgtype.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.{kind}'), name)
    except (ImportError, AttributeError):
        return None


def _qos(topic: BagTopic) -> QoSProfile:
    # A late subscriber of a latched topic (/tf_static) needs all that was said on it.
    depth = max(topic.count, 1) if topic.latched else QUEUE_DEPTH
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
    )
