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
from sgnet_core.runtime.sync_batchnorm import synchronise_norms

T = TypeVar('T')


@dataclass(frozen=True)
class Processes:
    """This process among those that share a run; alone by default.

    Attributes:
        rank: 0 to count - 1; 0 is the one that writes and speaks.
        count: how many they are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in each of them; in place."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in each of them."""
        values = [value] * self.count
        if self.count > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def part(self, length: int) -> range:
        """The part of `length` things, in order, that is this process's: neighbours."""
        return range(length * self.rank // self.count, length * (self.rank + 1) // self.count)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            torch.distributed.barrier()

    def share(self, network: nn.Module) -> nn.Module:
        """A wrapper that averages gradients over the processes; the module itself for one.

        BatchNorms in `network` compute with the statistics of all processes from then on.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(synchronise_norms(network))


ALONE = Processes()


@contextmanager
def joined_processes(device: str) -> Iterator[tuple[Processes, str]]:
    """This process among those that torchrun started, and the device it is to use.

    Raises:
        InputError: the device is not there.
    """
    count = int(os.environ.get('WORLD_SIZE', '1'))
    device = resolve_device(device)
    if count == 1:
        yield ALONE, device
        return
    if device == 'cuda':
        device = resolve_device(f'cuda:{os.environ["LOCAL_RANK"]}')
        torch.cuda.set_device(device)
    torch.distributed.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    try:
        yield Processes(torch.distributed.get_rank(), count), device
    finally:
        torch.distributed.destroy_process_group()
