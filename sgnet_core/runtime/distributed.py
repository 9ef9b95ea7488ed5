# SPDX-License-Identifier: Apache-2.0
"""Several processes share a run of `train` or `evaluate`, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sgnet_core.runtime.device import resolve_device
from sgnet_core.runtime.sync_batchnorm import convert_sync_batchnorm

T = TypeVar('T')


@dataclass(frozen=True)
class DistributedContext:
    """Rank of this process and number of processes of the run; a single process by default."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """True for the process that writes files and logs."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, on each of them; in place."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all processes, on each of them; overwrites `tensor`."""
        return self.sum(tensor) / self.world_size

    def gather(self, value: T) -> list[T]:
        """The values of all processes in order of rank, on each of them."""
        values = [value] * self.world_size
        if self.world_size > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def shard(self, length: int) -> range:
        """The contiguous indices of `length` items that this process handles."""
        first, last = (length * rank // self.world_size for rank in (self.rank, self.rank + 1))
        return range(first, last)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            torch.distributed.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average gradients and BatchNorm statistics over the processes; a no-op for one."""
        if self.world_size == 1:
            return network
        return DistributedDataParallel(convert_sync_batchnorm(network))


SINGLE_PROCESS = DistributedContext()


@contextmanager
def distributed_context(device: str) -> Iterator[tuple[DistributedContext, str]]:
    """The context of this process in a torchrun run, and its device.

    Raises:
        InputError: the device is not available.
    """
    world_size = int(os.environ.get('WORLD_SIZE', '1'))
    device = resolve_device(device)
    if world_size == 1:
        yield SINGLE_PROCESS, device
        return
    if device == 'cuda':
        device = resolve_device(f'cuda:{os.environ["LOCAL_RANK"]}')
        torch.cuda.set_device(device)
    torch.distributed.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    try:
        yield DistributedContext(torch.distributed.get_rank(), world_size), device
    finally:
        torch.distributed.destroy_process_group()
