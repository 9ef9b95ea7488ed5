# SPDX-License-Identifier: Apache-2.0
"""Starts, watches and ends child processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sgnet_core.errors import SgnetError
from sgnet_core.io.files import no_follow
from sgnet_ros.compat.signals import ended_with_parent

TAIL_LINES = 15
READY_TIMEOUT_S = 120.0
"""Time for a node to load its network from a slow disk."""
SETTLE_S = 1.0
"""From the discovery of the node to the first message: the node must discover the player, too."""
STOP_TIMEOUT_S = 30.0


class ChildProcess(contextlib.AbstractContextManager):
    """`python -m MODULE ARGV` in a new process, with its output in the file `log`.

    The context manager always ends the process: SIGTERM first, because a shell makes background
    processes ignore SIGINT, then SIGKILL. A parent that is killed ends the process, too.
    """

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, module: str = 'sgnet_ros'
    ) -> None:
        self.name = name
        self.log = log
        with open(log, 'wb', opener=no_follow) as output:
            self._process = subprocess.Popen(
                [*ended_with_parent(), sys.executable, '-m', module, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C must not reach the child: the parent ends it.
                start_new_session=True,
            )

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def stop(
        self, timeout_s: float = STOP_TIMEOUT_S, signum: signal.Signals = signal.SIGTERM
    ) -> int:
        """End the process with this signal, or SIGKILL after the timeout; returns its status."""
        if self.running:
            self._process.send_signal(signum)
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout_s)
            finally:  # also after a second Ctrl-C
                if self.running:
                    # The whole session, with the children of the process.
                    os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def check(self) -> None:
        """Raise SgnetError with the end of the log if the process has failed."""
        if self._process.poll():
            raise SgnetError(f'{self.name} has ended: {self.describe_end()}')

    def describe_end(self) -> str:
        """Exit status and end of the log."""
        lines = self.log.read_text(errors='replace').strip().splitlines()[-TAIL_LINES:]
        tail = '\n'.join(f'    {line}' for line in lines) or '    (empty)'
        status = 'it is running' if self.running else f'exit status {self._process.returncode}'
        return f'{status}; the end of its log:\n{tail}'
