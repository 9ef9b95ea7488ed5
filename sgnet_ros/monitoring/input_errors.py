# SPDX-License-Identifier: Apache-2.0
"""Counts frames with errors, and logs their topic and error at a limited rate."""

from __future__ import annotations

import time
import traceback
from collections import Counter

from rclpy.node import Node

from sgnet_core.errors import InputError, first_line
from sgnet_ros.monitoring.counters import Counters
from sgnet_ros.topics import CAMERA_INFO, DEPTH, RGB, STREAMS, topic_text

WARNING_PERIOD_S = 5.0
INTERNAL_ERROR = 'internal_error'


class InputErrors:
    """Counts every error, and logs each cause at most every `WARNING_PERIOD_S`."""

    def __init__(self, node: Node, counters: Counters) -> None:
        self._node = node
        self._counters = counters
        self._unreported: Counter[str] = Counter()
        self._last_warning_s: dict[str, float] = {}
        self._traced: set[tuple[object, ...]] = set()

    def add(self, error: Exception) -> None:
        """Count a dropped frame; without a cause in `error` it is `bad_` and the stream.

        An exception that is no InputError is an `internal_error`. Its traceback is logged once for
        each type and place.
        """
        stream = getattr(error, 'stream', '')
        if isinstance(error, InputError):
            text = str(error)
            cause = getattr(error, 'cause', '') or f'bad_{STREAMS.get(stream, "frame")}'
        else:
            text, cause = f'{type(error).__name__}: {first_line(error)}', INTERNAL_ERROR
            self._log_traceback(error)
        self._counters.dropped(cause, reason=text)
        self._unreported[cause] += 1
        now_s = time.monotonic()
        if now_s - self._last_warning_s.get(cause, float('-inf')) < WARNING_PERIOD_S:
            return
        self._last_warning_s[cause] = now_s
        topics = [stream] if stream in STREAMS else [RGB, DEPTH, CAMERA_INFO]
        where = ', '.join(topic_text(self._node, topic) for topic in topics)
        count = self._unreported.pop(cause)
        self._node.get_logger().warning(
            f'{where}: {text} [{cause}: {count} frame{"s" if count > 1 else ""} dropped]'
        )

    def _log_traceback(self, error: Exception) -> None:
        place = traceback.extract_tb(error.__traceback__)[-1:]
        kind = (type(error), *((frame.filename, frame.lineno) for frame in place))
        if kind not in self._traced:
            self._traced.add(kind)
            self._node.get_logger().error(''.join(traceback.format_exception(error)))
