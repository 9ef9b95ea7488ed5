# SPDX-License-Identifier: Apache-2.0
"""Optimizer, parameter groups, learning rate schedule and weight averaging of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sgnet_core.errors import ConfigError
from sgnet_core.model.efficientnet_lite import EfficientNetLite
from sgnet_core.model.sgnet import SGNet
from sgnet_core.model.vision_transformer import VisionTransformer
from sgnet_core.training.config import TrainConfig

POLY_POWER = 0.9
SGD_MOMENTUM = 0.9
VIT_LAYER_DECAY = 0.85
"""Factor of the learning rate from one block of a vision transformer to the block before it."""
VIT_NEW_LAYERS = ('backbone.stem.', 'backbone.spatial_norm', 'backbone.norms')
"""Layers of the transformer that use the learning rate of the head."""


def make_optimizer(network: SGNet, config: TrainConfig, slow: bool) -> torch.optim.Optimizer:
    """The optimizer of a run with its `parameter_groups`."""
    groups = parameter_groups(network, config, slow)
    if config.optimizer == 'sgd':
        return torch.optim.SGD(groups, momentum=SGD_MOMENTUM)
    return torch.optim.AdamW(groups)


def parameter_groups(network: SGNet, config: TrainConfig, slow: bool) -> list[dict[str, object]]:
    """Parameters of one learning rate and weight decay, with `peak_lr` of each group.

    Frozen modules are excluded and need no gradients. `slow`: the backbone is pretrained and uses
    a lower learning rate than the head; in a vision transformer it falls from block to block
    (layer-wise decay, as in Bao et al., "BEiT", ICLR 2022).
    """
    for module in frozen_modules(network, config.frozen_blocks):
        module.requires_grad_(False)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = _rate_factor(network, name, config) if slow else 1.0, parameter.ndim > 1
            groups.setdefault(key, []).append(parameter)
    return [
        {
            'params': parameters,
            'lr': 0.0,
            'peak_lr': config.learning_rate * factor,
            'weight_decay': config.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]


def _rate_factor(network: SGNet, name: str, config: TrainConfig) -> float:
    """Learning rate of a parameter, relative to that of the head."""
    if not name.startswith('backbone.') or name.startswith(VIT_NEW_LAYERS):
        return 1.0
    if not isinstance(network.backbone, VisionTransformer):
        return config.backbone_rate_factor
    blocks, block = len(network.backbone.blocks), 0
    if name.startswith('backbone.blocks.'):
        block = int(name.split('.')[2]) + 1
    elif name.startswith('backbone.stem_embedding'):
        # It adds to the pretrained tokens: at the rate of the head, a few steps outweigh them.
        block = blocks
    return config.backbone_rate_factor * VIT_LAYER_DECAY ** (blocks - block)


def learning_rate_factor(epoch: float, config: TrainConfig) -> float:
    """Poly decay after a linear warm-up, in [0, 1]; `epoch` counts fractions."""
    warmup = min(epoch / max(config.warmup_epochs, 1e-9), 1.0)
    return warmup * math.pow(1 - epoch / config.epochs, POLY_POWER)


def ema_update(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential moving average for `AveragedModel`, over fewer steps at the start of a run.

    In the first steps the decay is (1 + steps) / (10 + steps), as in TensorFlow's
    `ExponentialMovingAverage`. A constant `decay` or a plain mean would keep the untrained head in
    the average for epochs.
    """

    def update(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        steps = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averages, values, count)

    return update


def frozen_modules(network: SGNet, blocks: int) -> list[nn.Module]:
    """The stem and the first blocks of a lite backbone; none for 0 blocks.

    Raises:
        ConfigError: the backbone is not a lite one or has fewer blocks.
    """
    if blocks == 0:
        return []
    backbone = network.backbone
    if not isinstance(backbone, EfficientNetLite) or blocks > len(backbone._blocks):
        raise ConfigError(
            f'frozen_blocks: {blocks} needs a lite variant with at least {blocks} blocks, got '
            f'{network.config.variant}; set it to 0'
        )
    return [backbone._conv_stem, backbone._bn0, *backbone._blocks[:blocks]]
