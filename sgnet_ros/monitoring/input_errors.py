# SPDX-License-Identifier: Apache-2.0
"""Counts invalid frames, and logs their topic and error at a limited rate."""

from __future__ import annotations

import time
from collections import Counter

from rclpy.node import Node

from sgnet_core.errors import InputError
from sgnet_ros.monitoring.counters import Counters
from sgnet_ros.topics import CAMERA_INFO, DEPTH, RGB, STREAMS, topic_text

WARNING_PERIOD_S = 5.0


class InputErrors:
    """Counts every error, and logs each cause at most every `WARNING_PERIOD_S`."""

    def __init__(self, node: Node, counters: Counters) -> None:
        self._node = node
        self._counters = counters
        self._unreported: Counter[str] = Counter()
        self._last_warning_s: dict[str, float] = {}

    def add(self, error: InputError) -> None:
        """Count a dropped frame; without a cause in `error` it is `bad_` and the stream."""
        stream = getattr(error, 'stream', '')
        cause = getattr(error, 'cause', '') or f'bad_{STREAMS.get(stream, "frame")}'
        self._counters.dropped(cause, reason=str(error))
        self._unreported[cause] += 1
        now_s = time.monotonic()
        if now_s - self._last_warning_s.get(cause, float('-inf')) < WARNING_PERIOD_S:
            return
        self._last_warning_s[cause] = now_s
        topics = [stream] if stream in STREAMS else [RGB, DEPTH, CAMERA_INFO]
        where = ', '.join(topic_text(self._node, topic) for topic in topics)
        count = self._unreported.pop(cause)
        self._node.get_logger().warning(
            f'{where}: {error} [{cause}: {count} frame{"s" if count > 1 else ""} dropped]'
        )
