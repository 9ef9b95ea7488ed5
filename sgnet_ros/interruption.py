# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and its like as an event, for loops that must finish what they hold before they end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal that closes (SIGHUP) must not leave the processes of a demo behind."""


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Inside, SIGINT, SIGTERM and SIGHUP set the event that this yields, and raise nothing.

    Also where the shell that started this process in the background had SIGINT ignored; but
    `nohup` keeps SIGHUP away. A second signal raises KeyboardInterrupt: somebody is impatient.
    """
    stop = threading.Event()

    def handle(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handled(handle):
        yield stop


@contextmanager
def ended_in_time(grace_s: float, leave: Callable[[], None]) -> Iterator[threading.Event]:
    """Like `interruptible`, for a process that must end soon, whatever its main thread is at.

    The event is set at once, by a thread: Python would wait until the main thread is back from
    what it loads or waits for. Where the body has not ended `grace_s` later, or at a second
    signal, that thread calls `leave`, which must end the process.
    """
    stop = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        if not reader.recv(1):
            return
        stop.set()
        reader.settimeout(grace_s)
        try:
            body_ended = not reader.recv(1)
        except TimeoutError:
            body_ended = False
        if not body_ended:
            leave()

    thread = threading.Thread(target=watch, name='sgnet_signals', daemon=True)
    with reader, _handled(lambda signum, frame: None):
        before = signal.set_wakeup_fd(writer.fileno())
        thread.start()
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(before)
            writer.close()
            thread.join()


@contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Inside, `handler` handles `SIGNALS`, in the main thread."""
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    signals = SIGNALS if hangs_up else SIGNALS[:2]
    previous = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
