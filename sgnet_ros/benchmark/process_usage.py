# SPDX-License-Identifier: Apache-2.0
"""What a process uses of the machine, as Linux tells it in /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_USER_TIME, _SYSTEM_TIME, _RESIDENT_PAGES = 11, 12, 21
"""Of the fields of /proc/PID/stat, from 0, after the name of the program (proc(5): 14, 15, 24)."""


class Usage(NamedTuple):
    """Attributes:
    cpu_s: seconds of all cores since it started, all its threads.
    resident_mb: memory that it has touched, shared memory included, 10^6 bytes.
    """

    cpu_s: float
    resident_mb: float


def usage_of(pid: int) -> Usage | None:
    """Now; None where there is no such process, or no /proc."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    # The name is in brackets and may hold spaces and brackets itself.
    fields = text.rpartition(')')[2].split()
    ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
    resident = int(fields[_RESIDENT_PAGES]) * os.sysconf('SC_PAGE_SIZE')
    return Usage(ticks / os.sysconf('SC_CLK_TCK'), resident / 1e6)
