# SPDX-License-Identifier: Apache-2.0
"""Small untrained checkpoints for tests that need some network and not a good one."""

from dataclasses import replace
from functools import cache

import torch
from torch import nn

from sgnet_core.checkpoint.checkpoint import Checkpoint
from sgnet_core.labels import NYU40, LabelSet
from sgnet_core.model import SConv2d, SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec


def untrained(label_set: LabelSet = NYU40, spatial: str = 'depth') -> Checkpoint:
    """`sgnet_lite0` with the same random weights every time, seeing 96x64 pixels."""
    torch.manual_seed(5)
    config = SGNetConfig('sgnet_lite0', len(label_set), spatial)
    spec = InputSpec(64, 96, 'rgb', (127.0,) * 3, (128.0,) * 3, spatial)
    return Checkpoint(config, spec, label_set, SGNet(config).state_dict(), {'data': 'none'})


def randomize_offsets(network: nn.Module) -> nn.Module:
    """Draw offsets of some pixels for S-Convs, and statistics for BatchNorms."""
    generator = torch.Generator().manual_seed(11)

    def draw(tensor: torch.Tensor, mean: float, std: float) -> None:
        tensor.data.normal_(mean, std, generator=generator)

    for module in network.modules():
        if isinstance(module, SConv2d):
            draw(module.offset_generator.weight, 0.0, 0.1)
            draw(module.offset_generator.bias, 0.0, 2.0)
        if isinstance(module, nn.BatchNorm2d):
            draw(module.running_mean, 0.0, 0.1)
            draw(module.running_var, 1.0, 0.1)
    return network.eval()


def with_offsets(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint with random offsets in its S-Convs."""
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    copy = replace(checkpoint, weights=weights)
    return replace(copy, weights=randomize_offsets(copy.build()).state_dict())


def guided_graph(spatial: str = 'depth') -> bytes:
    """`with_offsets(untrained())` as an ONNX graph of batch 1, made once for all tests."""
    return _guided_graph(spatial)


@cache
def _guided_graph(spatial: str) -> bytes:
    from sgnet_core.onnx.export import checkpoint_to_onnx

    return checkpoint_to_onnx(with_offsets(untrained(spatial=spatial))).SerializeToString()
