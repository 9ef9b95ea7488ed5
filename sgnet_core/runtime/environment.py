# SPDX-License-Identifier: Apache-2.0
"""What kind of machine measured: its class and versions, never its name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path

import torch

PACKAGES = {
    'torch': ('torch',),
    'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'),
    'triton': ('triton',),
    'torchvision': ('torchvision',),
    'numpy': ('numpy',),
}
"""What is imported -> the names it is installed under."""

OPENMP = ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
"""What decides how threads wait for each other. Where other processes want the same cores, threads
that spin (the default) make an operator of many short steps several times slower."""

# As the Linux kernel names them, best first within a family.
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
    return f'{_usable_cores()} CPU cores, {platform.machine()}{vectors}'


def load_average() -> float | None:
    """Processes that wanted a core during the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None


def installed_version(package: str) -> str | None:
    """Of one of `PACKAGES`; None where it is not installed."""
    for distribution in PACKAGES[package]:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself."""
    return bool({'amx_bf16', 'avx512_bf16', 'bf16'} & _cpu_flags())


def _usable_cores() -> int:
    # Fewer than the machine has where a container or taskset says so.
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _cpu_flags() -> set[str]:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return set()
    # `flags` on x86, `Features` on ARM.
    found = (line.partition(':')[2] for line in lines if line.startswith(('flags', 'Features')))
    return set(next(found, '').split())
