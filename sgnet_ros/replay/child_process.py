# SPDX-License-Identifier: Apache-2.0
"""Processes that are started for a purpose, watched, and always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgnet_core.errors import SgnetError

TAIL_LINES = 15
READY_TIMEOUT_S = 120.0
"""For a node to load its network: a cold disk is slow."""
SETTLE_S = 1.0
"""Between "we see the node" and the first message: the node must see us, too."""
STOP_TIMEOUT_S = 30.0
"""A busy machine takes its time to end a process that holds a network and DDS."""


class ChildProcess:
    """A module of this package in a process of its own, its output in a file.

    As a context manager it ends the process, whatever happens: SIGTERM first, which a shell that
    starts things in the background does not have ignored, then SIGKILL.

    Args:
        name: for messages.
        argv: its arguments.
        log: what it prints goes here.
        environ: its environment.
        module: what Python runs, as after `python -m`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        environ: Mapping[str, str],
        module: str = 'sgnet_ros',
    ) -> None:
        self.name = name
        self.log = log
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                [sys.executable, '-m', module, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                # Ctrl-C in the terminal is for us; we end our children in order.
                start_new_session=True,
            )

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process, also after its end."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_status is None

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it if it still runs; returns its exit status."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._kill()
            except BaseException:
                # A second Ctrl-C: leave at once, but leave nothing behind.
                self._kill()
                raise
        return self._process.wait()

    def check(self) -> None:
        """Raise if it has ended by itself with an error.

        Raises:
            SgnetError: with the end of its log.
        """
        if self.exit_status:
            raise SgnetError(f'{self.name} ended: {self.describe_end()}')

    def describe_end(self) -> str:
        """How it ended, or that it has not, and the last lines it printed."""
        lines = self.log.read_text(errors='replace').strip().splitlines()[-TAIL_LINES:]
        tail = '\n'.join(f'    {line}' for line in lines) or '    (it printed nothing)'
        status = 'it still runs' if self.running else f'exit status {self.exit_status}'
        return f'{status}; the end of its log:\n{tail}'

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            # Its session, so that nothing it started stays behind.
            os.killpg(self._process.pid, signal.SIGKILL)
