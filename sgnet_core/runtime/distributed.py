# SPDX-License-Identifier: Apache-2.0
"""The processes that share one run: `torchrun --nproc-per-node N -m sgnet_core train ...`, or
`evaluate`."""

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
    """This process among those that share a run; alone by default.

    Attributes:
        rank: 0 to world_size - 1; 0 is the one that writes and speaks.
        world_size: how many they are.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in each of them; in place."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in each of them."""
        values = [value] * self.world_size
        if self.world_size > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def shard(self, length: int) -> range:
        """The part of `length` things, in order, that is this process's: neighbours."""
        return range(
            length * self.rank // self.world_size, length * (self.rank + 1) // self.world_size
        )

    def barrier(self) -> None:
        """Go on when all processes have come here."""
        if self.world_size > 1:
            torch.distributed.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """A wrapper that averages gradients over the processes; the module itself for one.

        BatchNorms in `network` compute with the statistics of all processes from then on.
        """
        if self.world_size == 1:
            return network
        return DistributedDataParallel(convert_sync_batchnorm(network))


SINGLE_PROCESS = DistributedContext()


@contextmanager
def distributed_context(device: str) -> Iterator[tuple[DistributedContext, str]]:
    """This process among those that torchrun started, and the device it is to use.

    Raises:
        InputError: the device is not there.
    """
    count = int(os.environ.get('WORLD_SIZE', '1'))
    device = resolve_device(device)
    if count == 1:
        yield SINGLE_PROCESS, device
        return
    if device == 'cuda':
        device = resolve_device(f'cuda:{os.environ["LOCAL_RANK"]}')
        torch.cuda.set_device(device)
    torch.distributed.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    try:
        yield DistributedContext(torch.distributed.get_rank(), count), device
    finally:
        torch.distributed.destroy_process_group()
