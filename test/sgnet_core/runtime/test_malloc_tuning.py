# SPDX-License-Identifier: Apache-2.0
"""Freed memory of one thread serves the others."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from pathlib import Path
from sgnet_core.runtime.malloc_tuning import keep_freed_memory, use_one_heap

keep_freed_memory()
if sys.argv[1] == 'one heap':
    assert use_one_heap()
end = threading.Event()

def allocate(done):
    kept = [bytearray(100_000) for _ in range(500)]
    del kept
    done.set()
    end.wait()

for _ in range(6):
    done = threading.Event()
    threading.Thread(target=allocate, args=(done,)).start()
    done.wait()
print(int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6)
end.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')
def test_one_heap_keeps_less_memory():
    used_mb = [
        float(subprocess.check_output([sys.executable, '-c', PROGRAM, heaps], timeout=60))
        for heaps in ('one heap', 'a heap for each thread')
    ]
    assert used_mb[0] < used_mb[1] - 100
