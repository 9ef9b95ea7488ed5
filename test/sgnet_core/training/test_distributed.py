# SPDX-License-Identifier: Apache-2.0
"""Several processes train like a single one."""

import dataclasses
import os
import subprocess
import sys

import torch
import numpy as np
import pytest
import torch.multiprocessing
from torch import nn
from distributed_workers import normalise_in_two, train, train_in_two

from sgnet_core.checkpoint.checkpoint import save_checkpoint
from sgnet_core.errors import ConfigError
from sgnet_core.runtime.distributed import DistributedContext
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.dataset import check_batch_size, epoch_addresses
from sgnet_core.training.trainer import Trainer

CONFIG = TrainConfig(
    pretrained=False,
    input_size=(32, 64),
    crop_size=(32, 64),
    epochs=2,
    batch_size=2,
    auxiliary_weight=0.4,
    class_weight_exponent=0.3,
    warmup_epochs=0.5,
    # AdamW divides by the size of a gradient and would amplify rounding errors.
    optimizer='sgd',
    learning_rate=0.02,
)


def weights(out):
    state = torch.load(out / 'last.pt', weights_only=True)
    return {k: v for k, v in state['network'].items() if v.is_floating_point()}


def confident_teacher(config, root, path):
    """A random network with confident predictions."""
    checkpoint = Trainer(config, root, path.parent, 'cpu')._averaged_checkpoint()
    checkpoint.weights['head.classifier.weight'] *= 200
    save_checkpoint(path, checkpoint)
    return path


def test_two_processes_train_like_one_with_the_same_batch(tiny_dataset, tmp_path):
    root, two = tiny_dataset.root, tmp_path / 'two'
    frozen = dataclasses.replace(CONFIG, frozen_norms=True, teacher_weight=0.9)
    runs = {
        'all': (dataclasses.replace(CONFIG, spatial='xyz'), []),
        'distilled': (frozen, [confident_teacher(frozen, root, tmp_path / 'teacher.safetensors')]),
    }
    torch.multiprocessing.spawn(train_in_two, (tmp_path / 'store', runs, root, two), 2)
    for name, (config, teachers) in runs.items():
        one = tmp_path / 'one' / name
        train(config, root, one, teachers)
        start = Trainer(config, root, tmp_path / 'x', 'cpu').network.state_dict()
        ours, theirs = weights(one), weights(two / name)
        moved = sum((ours[k] - start[k]).square().sum() for k in ours).sqrt()
        apart = sum((ours[k] - theirs[k]).square().sum() for k in ours).sqrt()
        assert moved > 1
        assert apart < 0.001 * moved
        logs = [(of / 'log.jsonl').read_text().splitlines() for of in (one, two / name)]
        assert len(logs[0]) == len(logs[1]) == config.epochs


def test_sync_batchnorm_equals_batchnorm_over_the_whole_batch(tmp_path):
    torch.multiprocessing.spawn(normalise_in_two, (tmp_path / 'store', tmp_path), 2)
    halves = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    x = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(3)) * 2 + 1
    x.requires_grad_()
    norm = nn.BatchNorm2d(3)
    y = norm(x)
    (y**3).sum().backward()
    close = {'rtol': 1e-4, 'atol': 1e-5}
    torch.testing.assert_close(torch.cat([h['y'] for h in halves]), y.detach(), **close)
    torch.testing.assert_close(torch.cat([h['gx'] for h in halves]), x.grad, **close)
    torch.testing.assert_close(halves[0]['gw'] + halves[1]['gw'], norm.weight.grad, **close)
    for name in ('running_mean', 'running_var'):
        for half in halves:
            torch.testing.assert_close(half[f'0.{name}'], norm.state_dict()[name], **close)


@pytest.mark.parametrize('count', [2, 3])
def test_processes_share_the_batches_of_one(count):
    config = dataclasses.replace(CONFIG, batch_size=6)
    whole = np.array(list(epoch_addresses(20, config, 3))).reshape(-1, 6, 2)
    parts = [
        np.array(list(epoch_addresses(20, config, 3, DistributedContext(rank, count)))).reshape(
            3, -1, 2
        )
        for rank in range(count)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_indivisible_batch_is_refused():
    with pytest.raises(ConfigError, match='make it a multiple of 3'):
        check_batch_size(CONFIG, 20, 3)


def test_torchrun_trains_with_the_command(tiny_dataset, tmp_path):
    (tmp_path / 'tiny.yaml').write_text(
        'pretrained: false\ninput_size: [32, 64]\ncrop_size: [32, 64]\nbatch_size: 2\nepochs: 1\n'
    )
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    command += ['-m', 'sgnet_core', 'train', '--config', tmp_path / 'tiny.yaml', '--device', 'cpu']
    command += ['--data', tiny_dataset.root, '--out', tmp_path / 'run', '--workers', '0']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('best mIoU') == 1
    assert (tmp_path / 'run/best.safetensors').is_file()
