# SPDX-License-Identifier: Apache-2.0
"""Device and precision of a network, and release of its memory."""

from __future__ import annotations

import gc

import torch

from sgnet_core.errors import InputError

PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


def resolve_device(device: str) -> str:
    """Resolve `auto` to `cuda` or `cpu`, and check that another device exists.

    Raises:
        InputError: the device is unknown or not available.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == 'auto':
        return 'cuda' if gpus else 'cpu'
    kind, colon, index = device.partition(':')
    if kind not in ('cpu', 'cuda') or (colon and not index.isdecimal()):
        raise InputError(f'unknown device {device!r}; give auto, cpu, cuda or cuda:N')
    if kind == 'cuda' and int(index or 0) >= gpus:
        raise InputError(
            f'device {device!r} is not available: this PyTorch ({torch.__version__}) sees {gpus} '
            'CUDA devices; use device auto or cpu, or install a CUDA build of torch'
        )
    return device


def resolve_precision(precision: str, device: str) -> str:
    """Resolve `auto` to fp16 on a GPU and fp32 on a CPU.

    Raises:
        InputError: the precision is unknown.
    """
    if precision == 'auto':
        return 'fp16' if device.startswith('cuda') else 'fp32'
    if precision not in PRECISIONS:
        raise InputError(f'unknown precision {precision!r}; give auto, {", ".join(PRECISIONS)}')
    return precision


def single_precision(precision: str, what: str) -> str:
    """fp32, the only precision of `what`.

    Raises:
        InputError: another precision is requested.
    """
    if precision not in ('auto', 'fp32'):
        raise InputError(
            f'{what} computes in fp32, not in {precision!r}; use precision auto, or the backend '
            'torch'
        )
    return 'fp32'


def free_memory() -> None:
    """Collect networks in reference cycles and release PyTorch's cached GPU memory."""
    gc.collect()
    torch.cuda.empty_cache()
