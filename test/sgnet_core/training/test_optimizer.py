# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters for the optimiser, and the averaging of the weights."""

import torch
import pytest
from torch.optim.swa_utils import AveragedModel

from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.optimizer import averaging, make_optimizer


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


def test_steps_are_averaged_alike_until_the_decay_forgets_faster():
    network = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, multi_avg_fn=averaging(0.75))
    values = [3.0, 1.0, 8.0, 4.0, 5.0, 2.0]
    seen = []
    for value in values:
        torch.nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        seen.append(average.module.weight.item())
    # Up to four steps a plain mean: a quarter of it is the newest, as 0.75 has it from then on.
    expected = [3, 2, 4, 4, 0.75 * 4 + 0.25 * 5, 0.75 * 4.25 + 0.25 * 2]
    assert seen == pytest.approx(expected)
