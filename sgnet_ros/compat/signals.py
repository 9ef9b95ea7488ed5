# SPDX-License-Identifier: Apache-2.0
"""SIGINT, SIGTERM and SIGHUP as an event, for loops that must finish their work."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP: closing the terminal must also end the processes of a demo."""


def ended_with_parent() -> list[str]:
    """The words before a command that end its process with SIGTERM if the parent ends in any way.

    Empty on systems without `setpriv`.
    """
    return ['setpriv', '--pdeathsig', 'TERM'] if shutil.which('setpriv') else []


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Inside, SIGINT, SIGTERM and SIGHUP set the yielded event and raise nothing.

    This includes a SIGINT that the shell ignores for background processes, but not a SIGHUP that
    `nohup` ignores. A second signal raises KeyboardInterrupt.
    """
    stop = threading.Event()

    def handle(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handled(handle):
        yield stop


@contextmanager
def exit_within(grace_s: float, force_exit: Callable[[], None]) -> Iterator[threading.Event]:
    """Like `interruptible`, for a process that must end in time even if its main thread is blocked.

    A thread sets the event immediately; Python's own handlers wait for the main thread. If the
    body still runs after `grace_s`, or at a second signal, this thread calls `force_exit`, which
    must end the process.
    """
    stop = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        if not reader.recv(1):
            return
        stop.set()
        reader.settimeout(grace_s)
        with suppress(TimeoutError):
            if not reader.recv(1):  # the body has ended
                return
        force_exit()

    thread = threading.Thread(target=watch, name='sgnet_signals', daemon=True)
    with reader, _handled(lambda signum, frame: None):
        before = signal.set_wakeup_fd(writer.fileno())
        thread.start()
        # The launch file blocks SIGINT for the start of the process.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(before)
            writer.close()
            thread.join()


def exit_now(status: int) -> NoReturn:
    """End the process without the clean-up of Python, which takes almost a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Inside, `handler` handles `SIGNALS` in the main thread."""
    handles_sighup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    signals = SIGNALS if handles_sighup else SIGNALS[:2]
    previous = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
