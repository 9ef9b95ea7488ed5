# SPDX-License-Identifier: Apache-2.0
"""A small, fast checkpoint with random weights whose labels differ from pixel to pixel."""

import torch

from sgnet_core.checkpoint.checkpoint import Checkpoint, save_checkpoint
from sgnet_core.labels import NYU40, label_set_of
from sgnet_core.model.sgnet import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec

HEIGHT, WIDTH = 64, 96


def save_random_checkpoint(path, class_names=NYU40.class_names, seed=11):
    """Write one and return its path."""
    torch.manual_seed(seed)
    config = SGNetConfig('sgnet_lite0', num_classes=len(class_names))
    network = SGNet(config).train()
    for _ in range(3):
        # Normalisation learns the spread of the features: without, all pixels look alike.
        network(torch.randn(2, 3, HEIGHT, WIDTH), torch.rand(2, 1, HEIGHT, WIDTH) * 4 + 1)
    # No class is the favourite everywhere.
    network.eval()
    with torch.no_grad():
        scores = network(torch.randn(4, 3, HEIGHT, WIDTH), torch.rand(4, 1, HEIGHT, WIDTH) * 4 + 1)
    classifier = [m for m in network.modules() if getattr(m, 'out_channels', 0) == len(class_names)]
    classifier[-1].bias.data -= scores.mean(dim=(0, 2, 3))
    spec = InputSpec(HEIGHT, WIDTH, 'rgb', (127.0,) * 3, (60.0,) * 3, 'depth')
    label_set = label_set_of(tuple(class_names))
    save_checkpoint(path, Checkpoint(config, spec, label_set, network.state_dict()))
    return path
