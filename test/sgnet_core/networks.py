# SPDX-License-Identifier: Apache-2.0
"""A small untrained checkpoint for tests that need some network and not a good one."""

import torch

from sgnet_core.checkpoint import Checkpoint
from sgnet_core.input_spec import InputSpec
from sgnet_core.labels import NYU40, LabelSet
from sgnet_core.model import SGNet, SGNetConfig


def untrained(label_set: LabelSet = NYU40, spatial: str = 'depth') -> Checkpoint:
    """`sgnet_lite0` with the same random weights every time, seeing 96x64 pixels."""
    torch.manual_seed(5)
    config = SGNetConfig('sgnet_lite0', len(label_set), spatial)
    spec = InputSpec(64, 96, 'rgb', (127.0,) * 3, (128.0,) * 3, spatial)
    return Checkpoint(config, spec, label_set, SGNet(config).state_dict(), {'data': 'none'})
