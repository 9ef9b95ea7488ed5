# SPDX-License-Identifier: Apache-2.0
"""The highest memory of a call above the level before it.

On a GPU PyTorch's allocator counts. On a CPU the kernel does: the resident high-water mark, which
means something only where freed memory goes back at once; `memory_process` sees to that.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

# glibc: blocks of 64 KiB and more are mapped one by one and unmapped when they are freed.
MALLOC = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_MMAP_MAX_': '1000000'}
RESET_HIGH_WATER_MARK = '5'
"""What Linux wants written into /proc/self/clear_refs."""

NOT_TOLD = 'the system does not tell its peak memory (/proc/self/clear_refs cannot be written)'

DEFINITION = (
    'peak_mb: highest memory above the level before, 10^6 bytes. cpu: resident high-water mark '
    '(VmHWM) in a process of its own; operator and training with '
    + ' '.join(f'{name}={value}' for name, value in MALLOC.items())
    + ', network as Segmenter sets the heap. cuda: torch.cuda.max_memory_allocated. operator: '
    'inputs are there before; network: building it is inside, so weights count; training: network '
    'and inputs are there before, gradients count; geometry: all that the process holds (VmRSS; '
    'cuda: torch.cuda.memory_reserved)'
)


def peak_mb(call: Callable[[], object], device: str) -> float | None:
    """10^6 bytes at the highest point of `call`; None where the system does not tell."""
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    _return_free_memory()
    try:
        Path('/proc/self/clear_refs').write_text(RESET_HIGH_WATER_MARK)
        before = _status_bytes('VmRSS')
        result = call()
        peak = _status_bytes('VmHWM')
    except OSError:
        return None
    del result
    return max(peak - before, 0) / 1e6


def resident_mb(device: str) -> float | None:
    """10^6 bytes that this process holds now; None where the system does not tell."""
    if device.startswith('cuda'):
        return torch.cuda.memory_reserved() / 1e6
    try:
        return _status_bytes('VmRSS') / 1e6
    except OSError:
        return None


def _return_free_memory() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        # Another C library: the level before is a little higher, the peak a little lower.
        return


def _status_bytes(field: str) -> int:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field + ':'):
            return 1024 * int(line.split()[1])
    raise OSError(f'/proc/self/status has no {field}')
