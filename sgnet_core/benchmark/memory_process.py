# SPDX-License-Identifier: Apache-2.0
"""Measures memory where nothing else happens: `with MemoryProcess(device) as memory: ...`.

A server process imports everything once; each request is answered by a fork of it, so that no
request sees what another one left behind. On a GPU the allocator's own count needs none of this.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import sgnet_core
from sgnet_core.benchmark.memory import MALLOC
from sgnet_core.benchmark.memory_tasks import TASKS


class MemoryProcess:
    """Answers `measure` for one device; a context manager that ends what it started."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> MemoryProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()

    def measure(self, task: str, **request: Any) -> tuple[list[Any], str]:
        """`memory_tasks.TASKS[task](device, **request)`; or [] and what went wrong."""
        if self._device.startswith('cuda'):
            try:
                return TASKS[task](self._device, **request), ''
            except torch.cuda.OutOfMemoryError as error:
                return [], f'memory of {task}: {error}'
        if self._server is None:
            self._server = _start()
        try:
            self._server.stdin.write(json.dumps([task, self._device, request]) + '\n')
            self._server.stdin.flush()
            answer = self._server.stdout.readline()
        except BrokenPipeError:
            answer = ''
        if not answer:
            return [], f'memory of {task}: the process that measures it has ended'
        peaks, problem = json.loads(answer)
        return peaks, problem and f'memory of {task}: {problem}'


def _start() -> subprocess.Popen[str]:
    package_root = str(Path(sgnet_core.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get('PYTHONPATH')]))
    return subprocess.Popen(
        [sys.executable, '-m', 'sgnet_core.benchmark.memory_process'],
        env={**os.environ, **MALLOC, 'PYTHONPATH': search_path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Failures come back as answers; what is left are warnings, which the run itself shows.
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C is for the run, which ends this process when it has written what it has.
        start_new_session=True,
    )


def _serve() -> None:
    """Read [task, device, request] lines, write [peaks, problem] lines."""
    # What is imported stays: no collection before a measurement needs to look at it.
    gc.freeze()
    for line in sys.stdin:
        answer = os.fork()
        if answer == 0:
            print(json.dumps(_answer(*json.loads(line))), flush=True)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(answer, 0)[1])
        if status:
            print(json.dumps([[], f'the process ended with {status}']), flush=True)


def _answer(task: str, device: str, request: dict[str, Any]) -> tuple[list[Any], str]:
    try:
        return TASKS[task](device, **request), ''
    except (RuntimeError, ValueError, MemoryError) as error:
        return [], str(error).partition('\n')[0]


if __name__ == '__main__':
    _serve()
