# SPDX-License-Identifier: Apache-2.0
"""Parameter groups of the optimizer and averaged weights."""

import torch
import pytest
from torch.optim.swa_utils import AveragedModel

from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.optimizer import ema_update, make_optimizer


def test_sgd_has_momentum_and_the_same_groups_as_adamw():
    network = SGNet(SGNetConfig('sgnet_r18', 5, 'depth'))
    groups = {}
    for name, kind in (('sgd', torch.optim.SGD), ('adamw', torch.optim.AdamW)):
        config = TrainConfig(optimizer=name, weight_decay=5e-4)
        optimizer = make_optimizer(network, config, slow=True)
        assert type(optimizer) is kind
        groups[name] = [
            (len(group['params']), group['peak_lr'], group['weight_decay'])
            for group in optimizer.param_groups
        ]
        if name == 'sgd':
            assert {group['momentum'] for group in optimizer.param_groups} == {0.9}
    assert groups['sgd'] == groups['adamw']
    assert {decay for _, _, decay in groups['sgd']} == {0.0, 5e-4}


def test_rates_of_a_vision_transformer_fall_from_block_to_block():
    with torch.device('meta'):
        network = SGNet(SGNetConfig('sgnet_vits'))
    config = TrainConfig(learning_rate=1.0, backbone_rate_factor=0.5)
    rates = {
        parameter: group['peak_lr']
        for group in make_optimizer(network, config, slow=True).param_groups
        for parameter in group['params']
    }
    backbone = network.backbone
    assert rates[network.head.classifier.weight] == rates[backbone.stem[0].weight] == 1
    assert rates[backbone.stem_embedding.weight] == 0.5
    of_blocks = [rates[block.fc1.weight] for block in backbone.blocks]
    assert of_blocks[-1] == 0.5
    assert of_blocks == pytest.approx([0.5 * 0.85**i for i in range(11, -1, -1)])
    assert rates[backbone.patch_embedding.weight] == pytest.approx(0.5 * 0.85**12)


def test_ema_update_forgets_the_first_steps():
    network = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, multi_avg_fn=ema_update(0.25))
    values = [3.0, 14.0, 8.0, 4.0]
    seen = []
    for value in values:
        torch.nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        seen.append(average.module.weight.item())
    # Decays of 2/11 and 3/12 in the second and third step, then the configured one.
    assert seen == pytest.approx([3, 12, 0.25 * 12 + 0.75 * 8, 0.25 * 9 + 0.75 * 4])
