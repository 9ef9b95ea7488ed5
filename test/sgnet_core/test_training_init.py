# SPDX-License-Identifier: Apache-2.0
"""What a run that starts from a checkpoint takes from it, and which checkpoints it refuses."""

import dataclasses

import torch
import pytest
from networks import untrained

from sgnet_core.checkpoint import Checkpoint, save_checkpoint
from sgnet_core.errors import CheckpointError, ConfigError
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.fit import Training

CONFIG = TrainConfig(
    pretrained=False, input_size=(32, 64), crop_size=(32, 64), batch_size=2, auxiliary_weight=0.4
)


def test_an_auxiliary_head_is_taken_where_it_was_kept(tiny_dataset, tmp_path):
    donor = Training(CONFIG, tiny_dataset.root, tmp_path / 'a', 'cpu')
    weights = donor.network.state_dict()
    kept = Checkpoint(donor.network.config, donor.spec, donor.label_set, weights)
    save_checkpoint(tmp_path / 'kept.safetensors', kept)
    for weight in (0.4, 0.0):
        config = dataclasses.replace(CONFIG, auxiliary_weight=weight, seed=9)
        init = tmp_path / 'kept.safetensors'
        state = Training(
            config, tiny_dataset.root, tmp_path / 'b', 'cpu', init=init
        ).network.state_dict()
        assert ('auxiliary_head.0.weight' in state) == (weight > 0)
        assert all(torch.equal(state[name], weights[name]) for name in state)


def test_a_checkpoint_of_other_shape_is_refused(tiny_dataset, tmp_path):
    save_checkpoint(tmp_path / 'x.safetensors', untrained(spatial='xyz'))
    with pytest.raises((ConfigError, CheckpointError), match='xyz'):
        Training(CONFIG, tiny_dataset.root, tmp_path / 'o', 'cpu', init=tmp_path / 'x.safetensors')
