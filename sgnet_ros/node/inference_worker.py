# SPDX-License-Identifier: Apache-2.0
"""A thread that processes queued items; with capacity 1, the newest item wins."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from sgnet_core.errors import InputError

MAX_FAILURES = 30
"""Internal errors in a row that end the thread: a second of frames at the rate of a camera."""


class InferenceWorker:
    """Passes offered items to `handle`, one at a time, in its own thread, until `stop()`.

    Args:
        handle: called with each item, in the thread.
        on_error: called in the thread with the exception of one item.
        on_failure: called in the thread with the last of `MAX_FAILURES` exceptions that are not
            InputError, without a handled item between them; then the thread ends.
        on_dropped: called with a cause: 'newer_frame' (replaced, capacity 1), 'queue_full'
            (replaced, larger capacity), 'stopped' (or failed).
        capacity: number of items that may wait, in order.
        max_rate_hz: called before each item: the largest number of items per second; 0 = no limit.
    """

    def __init__(
        self,
        handle: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        on_failure: Callable[[BaseException], None],
        on_dropped: Callable[[str], None],
        capacity: int = 1,
        max_rate_hz: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._handle = handle
        self._on_error = on_error
        self._on_failure = on_failure
        self._on_dropped = on_dropped
        self._capacity = capacity
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._failures = 0
        self._busy_since: float | None = None
        self._max_rate_hz = max_rate_hz
        self._thread = threading.Thread(target=self._run, name='sgnet_worker', daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """Seconds since the current item was started; 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def offer(self, item: Any) -> None:
        """Queue an item and return immediately."""
        cause = None
        with self._changed:
            if self._stopping:
                cause = 'stopped'
            else:
                if len(self._waiting) >= self._capacity:
                    self._waiting.popleft()
                    cause = 'newer_frame' if self._capacity == 1 else 'queue_full'
                self._waiting.append(item)
                self._changed.notify()
        if cause:
            self._on_dropped(cause)

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread after its current item; returns False after the timeout."""
        with self._changed:
            self._stopping = True
            waiting = len(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for _ in range(waiting):
            self._on_dropped('stopped')
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        started = float('-inf')
        while self._wait_for_turn(started):
            with self._changed:
                if not self._waiting:
                    continue
                item = self._waiting.popleft()
            started = self._busy_since = time.monotonic()
            try:
                self._handle(item)
                self._failures = 0
            except InputError as error:
                self._on_error(error)
            except Exception as error:
                self._count_failure(error)
            finally:
                self._busy_since = None
                del item  # it would keep its network alive until the next item

    def _count_failure(self, error: Exception) -> None:
        """A defect that one item revealed; end the thread if nothing else works either."""
        self._failures += 1
        with self._changed:
            stopped = self._stopping
            self._stopping = stopped or self._failures >= MAX_FAILURES
        if stopped:  # the resources of `handle` may be released
            self._on_dropped('stopped')
            return
        self._on_error(error)
        if self._stopping:
            self._on_failure(error)

    def _wait_for_turn(self, last_started: float) -> bool:
        """Wait for an item and for `max_rate_hz`; returns False when stopping."""
        with self._changed:
            while not self._stopping:
                pause = None
                if self._waiting:
                    rate = self._max_rate_hz()
                    period = 1.0 / rate if rate > 0 else 0.0
                    pause = last_started + period - time.monotonic()
                    if pause <= 0:
                        return True
                self._changed.wait(pause)
            return False
