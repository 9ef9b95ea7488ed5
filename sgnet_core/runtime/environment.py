# SPDX-License-Identifier: Apache-2.0
"""Description of the machine for measurements: hardware class and versions, not its name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path

import torch

PACKAGES = ('torch', 'onnxruntime', 'triton', 'torchvision', 'numpy')

OPENMP = ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
"""Variables that decide how threads wait. If other processes use the same cores, spinning threads
(the default) slow down operators with many short steps several times."""

# Names of the Linux kernel, best first within a family.
VECTOR_FLAGS = {
    'amx_bf16': 'AMX',
    'avx512_bf16': 'AVX-512 BF16',
    'avx512f': 'AVX-512',
    'avx2': 'AVX2',
    'sve': 'SVE',
    'asimd': 'NEON',
}


def describe(device: str) -> dict[str, object]:
    """Device, CPU, threads and versions, as JSON values."""
    return {
        'device': device if device == 'cpu' else f'{device}: {torch.cuda.get_device_name(device)}',
        'cpu': cpu_class(),
        'threads': torch.get_num_threads(),
        'openmp': {name: os.environ[name] for name in OPENMP if name in os.environ},
        'python': platform.python_version(),
        'versions': {name: installed_version(name) for name in PACKAGES},
    }


def cpu_class() -> str:
    """For example `2 CPU cores, x86_64 with AMX, AVX-512 BF16, AVX-512, AVX2`."""
    flags = _cpu_flags()
    known = [name for flag, name in VECTOR_FLAGS.items() if flag in flags]
    vectors = f' with {", ".join(known)}' if known else ''
    # A container or taskset can allow fewer cores than the machine has.
    limited = hasattr(os, 'sched_getaffinity')
    cores = len(os.sched_getaffinity(0)) if limited else os.cpu_count() or 1
    return f'{cores} CPU cores, {platform.machine()}{vectors}'


def load_average() -> float | None:
    """Load average of the last minute; None if the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None


def installed_version(package: str) -> str | None:
    """Version of a package or of its `-gpu` build; None if it is not installed."""
    for distribution in (package, f'{package}-gpu'):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def bf16_is_fast() -> bool:
    """True if this CPU has bfloat16 matrix instructions."""
    return bool({'amx_bf16', 'avx512_bf16', 'bf16'} & _cpu_flags())


def _cpu_flags() -> set[str]:
    with suppress(OSError), Path('/proc/cpuinfo').open() as file:
        for line in file:
            if line.startswith(('flags', 'Features')):  # x86, ARM
                return set(line.partition(':')[2].split())
    return set()
