# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as an event, for loops that must finish what they hold before they end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Inside, SIGINT, SIGTERM and SIGHUP set the event that this yields, and raise nothing.

    Also where the shell that started this process in the background had SIGINT ignored. A second
    signal raises KeyboardInterrupt: somebody is impatient.
    """
    stop = threading.Event()

    def handle(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    # A terminal that closes (SIGHUP) must not leave the processes of a demo behind.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
