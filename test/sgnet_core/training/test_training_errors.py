# SPDX-License-Identifier: Apache-2.0
"""Training with damaged files, a full disk, or a diverging loss."""

import logging

import torch
import pytest

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import DataError, SgnetError
from sgnet_core.preprocessing import InputSpec
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.dataset import TrainingDataset, collate, skip_unreadable
from sgnet_core.training.resume import save_training_state
from sgnet_core.training.trainer import Trainer

CONFIG = TrainConfig(
    pretrained=False, input_size=(32, 64), crop_size=(32, 64), epochs=2, batch_size=2
)


def test_nonfinite_loss_ends_the_run_and_keeps_the_last_state(tiny_dataset, tmp_path):
    trainer = Trainer(CONFIG, tiny_dataset.root, tmp_path, 'cpu', workers=0)
    train = trainer._train_one_epoch

    def diverge_in_epoch_2(*arguments):
        if trainer.epoch == 1:
            trainer.network.head.classifier.bias.data.fill_(torch.inf)
        return train(*arguments)

    trainer._train_one_epoch = diverge_in_epoch_2
    with pytest.raises(SgnetError, match=r'not finite in epoch 2 \(main nan, .*after epoch 1'):
        trainer.fit()
    again = Trainer(CONFIG, tiny_dataset.root, tmp_path, 'cpu', workers=0)
    again.resume()
    assert again.epoch == 1
    assert all(tensor.isfinite().all() for tensor in again.network.state_dict().values())


def test_full_disk_keeps_the_previous_state(tmp_path, file_size_limit):
    path = tmp_path / 'last.pt'
    with file_size_limit(5000), pytest.raises(SgnetError, match='no state to resume') as error:
        save_training_state(path, {'weights': torch.zeros(3000)})
    assert '--resume' not in str(error.value)
    save_training_state(path, {'weights': torch.arange(3000)})
    before = path.read_bytes()
    with (
        file_size_limit(5000),
        pytest.raises(SgnetError, match=r'last\.pt: cannot be .*continue with --resume'),
    ):
        save_training_state(path, {'weights': torch.zeros(3000)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['last.pt']


def test_another_frame_replaces_a_damaged_one(tiny_dataset):
    data = FolderDataset(tiny_dataset.root, 'fit')
    (data.root / 'image/1.png').write_bytes(b'not an image')
    spec = InputSpec(32, 64, 'rgb', (127.0,) * 3, (128.0,) * 3, 'depth')
    dataset = TrainingDataset(data, spec, CONFIG)
    crop, problems = dataset[(0, 1)]
    assert [tuple(tensor.shape) for tensor in crop] == [(3, 32, 64), (1, 32, 64), (32, 64)]
    assert problems
    assert all('image/1.png' in problem for problem in problems)
    batch, problems = collate([dataset[(0, position)] for position in range(3)])
    assert len(batch[0]) == 3
    assert dataset[(0, 2)][1] == []


def test_damaged_frames_are_logged_once_and_limited(caplog):
    caplog.set_level(logging.WARNING)
    batch = [torch.zeros(1)]
    loader = [(batch, ['a: cut off']), (batch, []), (batch, ['a: cut off', 'b: empty'])]
    assert list(skip_unreadable(loader, crops=200)) == [batch] * 3
    assert [record.getMessage() for record in caplog.records] == [
        'skipped: a: cut off',
        'skipped: b: empty',
    ]
    with pytest.raises(DataError, match='2 of 199 frames cannot be read, more than 1%.*b: empty'):
        list(skip_unreadable(loader, crops=199))
