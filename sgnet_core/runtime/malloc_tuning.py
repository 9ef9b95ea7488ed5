# SPDX-License-Identifier: Apache-2.0
"""Keeps the memory of one frame for the next."""

from __future__ import annotations

import ctypes
import functools

# mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 1 << 30


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc's heap keep up to 1 GiB of freed memory in this process; False without glibc.

    PyTorch takes and frees every feature map of every frame. By default glibc returns those above
    some megabytes to the kernel, which has to clear their pages again for the next frame: a sixth
    of the time of a network on two cores.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)) and bool(
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    )
