# SPDX-License-Identifier: Apache-2.0
"""Functions of worker processes; they live here because spawned processes import them by name."""

import torch
import torch.distributed
from torch import nn

from sgnet_core.runtime.distributed import SINGLE_PROCESS, DistributedContext
from sgnet_core.runtime.sync_batchnorm import convert_sync_batchnorm
from sgnet_core.training.trainer import Trainer


def join(rank, store):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=2
    )
    return DistributedContext(rank, 2)


def train(config, root, out, teachers, distributed=SINGLE_PROCESS):
    trainer = Trainer(
        config, root, out, 'cpu', workers=0, distributed=distributed, teachers=teachers
    )
    for module in trainer.network.modules():
        # Every process draws its own dropout.
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    trainer.fit()


def train_in_two(rank, store, runs, root, out):
    distributed = join(rank, store)
    for name, (config, teachers) in runs.items():
        train(config, root, out / name, teachers, distributed)
    torch.distributed.destroy_process_group()


def normalise_in_two(rank, store, out):
    join(rank, store)
    x = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(3)) * 2 + 1
    norm = convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(3)))
    half = x.chunk(2)[rank].clone().requires_grad_()
    y = norm(half)
    (y**3).sum().backward()
    state = {'y': y.detach(), 'gx': half.grad, 'gw': norm[0].weight.grad, **norm.state_dict()}
    torch.save(state, out / f'{rank}.pt')
    torch.distributed.destroy_process_group()
