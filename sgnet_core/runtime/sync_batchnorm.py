# SPDX-License-Identifier: Apache-2.0
"""BatchNorm with the statistics of all processes on CPUs; `nn.SyncBatchNorm` needs GPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
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
        return _Normalise.apply(x, self.weight, self.bias, self._statistics(x))

    @torch.no_grad()
    def _statistics(self, x: Tensor) -> Tensor:
        """(2, C) mean and variance over all processes; updates the running statistics."""
        variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        moments = torch.stack([mean, variance + mean.square()])
        torch.distributed.all_reduce(moments)
        count = torch.distributed.get_world_size()
        mean, square = moments / count
        variance = square - mean.square()
        pixels = count * x.numel() / x.shape[1]
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (pixels / (pixels - 1)), self.momentum)
        return torch.stack([mean, variance + self.eps])


class _Normalise(torch.autograd.Function):
    """(x - mean) / deviation * weight + bias; mean and deviation depend on all x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, statistics: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, statistics)
        return F.batch_norm(x, *statistics, weight, bias, eps=0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, (mean, variance) = ctx.saved_tensors
        mean, scale = (t[:, None, None] for t in (mean, variance.rsqrt()))
        normalised = (x - mean) * scale
        grad_weight = (grad * normalised).sum((0, 2, 3))
        grad_bias = grad.sum((0, 2, 3))
        # Gradient through mean and deviation (Ioffe and Szegedy, 2015, section 3), with sums over
        # all processes.
        sums = torch.stack([grad_weight, grad_bias])
        torch.distributed.all_reduce(sums)
        sums /= torch.distributed.get_world_size() * x.numel() / x.shape[1]
        along, constant = sums[:, :, None, None]
        grad_x = (grad - constant - normalised * along) * (scale * weight[:, None, None])
        return grad_x.to(x.dtype), grad_weight, grad_bias, None
