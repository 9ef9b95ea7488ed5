# SPDX-License-Identifier: Apache-2.0
"""BatchNorm with the statistics of all processes on CPUs; `nn.SyncBatchNorm` needs GPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn


def convert_sync_batchnorm(network: nn.Module) -> nn.Module:
    """Replace each BatchNorm2d by a synchronised one with the same parameters.

    All processes must have the same number of pixels.
    """
    if next(network.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in list(network.modules()):
        for name, norm in module.named_children():
            if type(norm) is nn.BatchNorm2d:
                shared = SyncBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
                shared._parameters, shared._buffers = norm._parameters, norm._buffers
                setattr(module, name, shared)
    return network


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over a batch that is divided equally between processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        moments = torch.stack([mean, variance + mean.square()])
        count = torch.distributed.get_world_size()
        mean, square = _SumOverProcesses.apply(moments) / count
        variance = square - mean.square()
        with torch.no_grad():
            pixels = count * x.numel() / x.shape[1]
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (pixels / (pixels - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(x.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """Each process depends on the values of all; the gradient is therefore also their sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _SumOverProcesses.forward(ctx, grad)
