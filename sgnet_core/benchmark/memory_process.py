# SPDX-License-Identifier: Apache-2.0
"""Measures the peak memory of a call in a process that has done nothing else.

On a GPU the allocator of PyTorch counts. On a CPU the kernel does, as the resident high-water mark.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from sgnet_core.errors import SgnetError

Result = TypeVar('Result')


def in_fresh_process(function: Callable[..., Result], *args: object) -> Result:
    """`function(*args)`, a function of a module, in a process that has only imported modules.

    Raises:
        Exception: whatever `function` raises.
        SgnetError: the process was killed, for example because memory ran out.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__, function.__module__])
    ignore_sigint = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(1, context, signal.signal, ignore_sigint) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool:
            raise SgnetError('the process that measures memory was killed') from None
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def peak_mb(call: Callable[[], object], device: str) -> float | None:
    """Highest memory of `call` above the level before it, 10^6 bytes; None if unknown here."""
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    # Without glibc there is no malloc_trim: the level before is then a little higher.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path('/proc/self/clear_refs').write_text('5')  # reset VmHWM, see proc(5)
        before = memory_status('VmRSS')
        result = call()
        peak = memory_status('VmHWM')
    except OSError:
        return None
    del result
    return max(peak - before, 0) / 1e6


def memory_status(field: str) -> int:
    """Bytes in a field of /proc/self/status, for example `VmRSS`; OSError if there is none."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field + ':'):
            return 1024 * int(line.split()[1])
    raise OSError(f'/proc/self/status has no {field}')
