# SPDX-License-Identifier: Apache-2.0
"""Trainer, resume and configuration."""

import json
import re

import torch
import numpy as np
import pytest
import yaml

from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.errors import ConfigError, DataError
from sgnet_core.preprocessing import InputSpec
from sgnet_core.training.augmentation import augment
from sgnet_core.training.config import TrainConfig, as_plain, load_train_config
from sgnet_core.training.resume import load_training_state, restoring, save_training_state
from sgnet_core.training.trainer import Trainer
from sgnet_core.types import Sample

TINY = {
    'variant': 'sgnet_lite0',
    'pretrained': False,
    'input_size': [32, 64],
    'crop_size': [32, 64],
    'joint_bilateral': True,
    'scale': [0.8, 1.2],
    'epochs': 3,
    'batch_size': 2,
    'paste_probability': 0.5,
    'seed': 4,
}


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'tiny.yaml'
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def training(config_file, tiny_dataset, tmp_path):
    """`training(folder, **changes)`: a run of TINY, with settings changed."""

    def make(folder='run', **changes) -> Trainer:
        config = load_train_config(config_file, **changes)
        return Trainer(config, tiny_dataset.root, tmp_path / folder, 'cpu', workers=0)

    return make


@pytest.fixture(scope='module')
def room() -> Sample:
    return RoomDataset(frames=1, size=(96, 128), seed=3)[0]


@pytest.mark.parametrize('spatial', ['xyz', 'hha'])
def test_crop_depends_on_its_seed_only(room, spatial):
    spec = InputSpec(32, 64, 'rgb', (127.0,) * 3, (128.0,) * 3, spatial)
    config = TrainConfig(crop_size=(32, 64), scale=(0.5, 2.0))
    views = [augment(room, spec, config, np.random.default_rng(s)) for s in (8, 8, 9)]
    image, spatial, labels = views[0]
    assert image.shape == (3, 32, 64)
    assert spatial.shape == (3, 32, 64)
    assert labels.shape == (32, 64)
    assert torch.isfinite(spatial).all()
    assert all(torch.equal(a, b) for a, b in zip(views[0], views[1], strict=True))
    assert not torch.equal(views[0][0], views[2][0])


def test_augment_pastes_classes_of_the_source(room):
    spec = InputSpec(32, 64, 'rgb', (127.0,) * 3, (128.0,) * 3, 'depth')
    other = RoomDataset(frames=1, size=(90, 120), seed=8)[0]
    config = TrainConfig(crop_size=(32, 64), scale=(0.5, 2.0))
    alone, mixed = (
        augment(room, spec, config, np.random.default_rng(8), source)[2] for source in (None, other)
    )
    pasted = alone != mixed
    assert 0 < pasted.sum() < pasted.numel()
    assert np.isin(mixed[pasted], other.labels).all()


def test_resumed_run_ends_with_the_same_weights(training, tmp_path):
    """The first run is killed when it saves its second epoch."""
    straight = training('straight')
    straight.fit()

    class KilledError(Exception):
        pass

    killed = training('killed')
    save = killed._save_state

    def save_or_die():
        if killed.epoch == 2:
            raise KilledError
        save()

    killed._save_state = save_or_die
    with pytest.raises(KilledError):
        killed.fit()
    resumed = training('killed')
    resumed.resume()
    assert resumed.epoch == 1
    assert load_checkpoint(tmp_path / 'killed/last.safetensors').provenance['epochs'] == 1
    resumed.fit()
    last = load_checkpoint(tmp_path / 'killed/last.safetensors')
    assert last.provenance['epochs'] == 3
    assert 'scores' not in last.provenance
    average = straight.average.module.state_dict()
    assert all(torch.equal(tensor, average[name]) for name, tensor in last.weights.items())
    for network in ('network', 'average'):
        ours = getattr(straight, network).state_dict()
        theirs = getattr(resumed, network).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    log = [json.loads(line) for line in (tmp_path / 'killed/log.jsonl').read_text().splitlines()]
    assert [record['epoch'] for record in log] == [1, 2, 3]


def test_train_evaluate_and_predict_commands(config_file, tiny_dataset, tmp_path, capsys):
    data, out = str(tiny_dataset.root), tmp_path / 'run'
    arguments = ['--config', str(config_file), '--data', data, '--out', str(out), '--epochs', '1']
    assert run_command('sgnet_core', 'train', [*arguments, '--workers', '0']) == 0
    best = out / 'best.safetensors'
    assert load_checkpoint(best).config.joint_bilateral
    about = tmp_path / 'info.json'
    assert run_command('sgnet_core', 'info', [str(best), '--json', str(about)]) == 0
    assert json.loads(about.read_text())['joint_bilateral'] is True
    assert re.search(r'joint bilateral upsampling: +yes', capsys.readouterr().out)
    provenance = load_checkpoint(best).provenance
    assert provenance['epochs'] == 1
    assert provenance['start'] == 'random weights'

    assert run_command('sgnet_core', 'train', arguments) == 2
    assert 'holds a run; continue it with --resume' in capsys.readouterr().err

    evaluate = ['--data', data, '--split', 'val', '--checkpoint', str(best), '--json']
    assert run_command('sgnet_core', 'evaluate', [*evaluate, str(tmp_path / 'e.json')]) == 0
    metrics = json.loads((tmp_path / 'e.json').read_text())
    assert metrics['frames'] == 2
    assert metrics['miou'] == pytest.approx(provenance['scores']['miou'])

    predict = ['--data', data, '--limit', '1', '--out', str(tmp_path / 'p'), '--checkpoint']
    assert run_command('sgnet_core', 'predict', [*predict, str(best)]) == 0
    assert {p.name for p in (tmp_path / 'p').iterdir()} == {'0_mask.png', '0_overlay.png'}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'pretrained': True, 'variant': 'sgnet_r18'}, 'no pretrained backbone for sgnet_r18'),
        ({'batch_size': 9}, '3 frames are less than one batch'),
        ({'variant': 'sgnet_r18', 'frozen_blocks': 1}, 'frozen_blocks: 1 needs a lite variant'),
    ],
)
def test_unusable_settings_are_refused(training, changes, message):
    with pytest.raises(ConfigError, match=message):
        training(**changes).fit()


@pytest.mark.parametrize('workers', ['0', '1'])
def test_broken_image_is_one_line_and_status_2(
    config_file, tiny_dataset, tmp_path, capsys, workers
):
    """A loader process must not print a traceback."""
    broken = next((tiny_dataset.root / 'depth').glob('0*'))
    arguments = ['--config', str(config_file), '--data', str(tiny_dataset.root)]
    broken.write_bytes(broken.read_bytes()[:100])
    arguments += ['--out', str(tmp_path / 'run'), '--workers', workers]
    assert run_command('sgnet_core', 'train', arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert '1 of 3 frames cannot be read, more than 1%' in error
    assert str(broken) in error
    assert 'Traceback' not in error


def test_resume_refuses_a_damaged_state(training, tmp_path):
    run = training('.')
    run._save_state()
    state = tmp_path / 'last.pt'
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(ConfigError, match='cannot be read'):
        run.resume()


def test_resume_refuses_other_settings_and_knows_their_old_names(training, caplog):
    run = training('.', depth_fill='constant')
    run.settings['holes'] = run.settings.pop('depth_fill')
    run._save_state()
    with pytest.raises(ConfigError, match='trained with depth_fill: constant, now it is smooth'):
        training('.').resume()
    training('.', depth_fill='constant').resume()
    assert "'holes' is now called 'depth_fill'" in caplog.text


def test_frozen_blocks_do_not_change(training):
    run = training(frozen_blocks=2, epochs=1)
    before = {k: v.clone() for k, v in run.network.backbone.state_dict().items()}
    run.fit()
    after = run.network.backbone.state_dict()
    moved = {k.split('.')[1] if k.startswith('_blocks') else k.split('.')[0]
             for k in before if not torch.equal(before[k], after[k])}  # fmt: skip
    assert not moved & {'_conv_stem', '_bn0', '0', '1'}
    assert {'2', '15'} <= moved


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('learning_rat: 0.1', "unknown key 'learning_rat'.*did you mean 'learning_rate'"),
        ('learning_rate: 1e-3', 'must be float.*1.0e-3'),
        ('crop_size: [32]', 'crop_size must be a list of 2'),
        ('epochs: 0', 'epochs must be above 0'),
        ('seed: -1', 'seed must be at least 0'),
        ('crop_size: [32, 33]', 'crop_size must be multiples of 32'),
        ('variant: sgnet_lite9', "unknown variant 'sgnet_lite9'"),
        ('optimizer: adam', "optimizer must be one of adamw, sgd, got 'adam'"),
        ('epochs: many', 'epochs must be int'),
        ('[1, 2]', 'must be a mapping'),
        (f'seed: {10**30}', 'line 1: .*is not a valid int of 64 bits'),
        (f'seed: {2**63}', 'seed must be at least 0 and below 2'),
        (f'epochs: {10**9}', 'epochs must be above 0, up to 1000000'),
        (f'loss_stride: {10**6}', 'loss_stride must be from 1 to 32'),
        (f'crop_size: [{2**40}, 32]', 'crop_size must be multiples of 32 up to 8192'),
        ('learning_rate: .inf', 'learning_rate must be finite'),
        ('weight_decay: .nan', 'weight_decay must be finite'),
        ('warmup_epochs: -1', 'warmup_epochs must be at least 0'),
        ('scale: [1.0e-9, 1.0]', r'scale must be \[low, high\] with 0.1'),
        ('class_weight_exponent: 1.0e+3', 'class_weight_exponent must be from 0 to 4'),
        ('epochs: 2001-99-99', "line 1: '2001-99-99' is not a valid timestamp"),
        ('epochs: 1\nepochs: 2', "line 2: the key 'epochs' is repeated"),
        ('a: [', 'not YAML: line 1: '),
    ],
)
def test_invalid_configuration_is_refused(tmp_path, text, message):
    path = tmp_path / 'wrong.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_train_config(path)


@pytest.mark.parametrize(
    'state',
    [
        [1],
        {'epoch': 1},
        {'settings': [1], 'epoch': 0},
        {'settings': {'seed': torch.ones(2)}, 'epoch': 0},
        {'settings': {}, 'epoch': 'x'},
        {'settings': {}, 'epoch': 0, 'network': {}},
        {'settings': {}, 'epoch': 0, 'network': 3},
    ],
)
def test_state_of_wrong_types_is_refused(config_file, tmp_path, state):
    settings = as_plain(load_train_config(config_file))
    if isinstance(state, dict) and state.get('settings') == {}:
        state = {**state, 'settings': settings}
    torch.save(state, tmp_path / 'last.pt')
    with pytest.raises(ConfigError, match=r'last\.pt') as caught, restoring(tmp_path / 'last.pt'):
        found = load_training_state(tmp_path / 'last.pt', settings)
        torch.nn.Linear(2, 2).load_state_dict(found['network'])
    assert '\n' not in str(caught.value)


def test_state_without_a_newer_setting_resumes_with_its_default(tmp_path):
    settings = as_plain(TrainConfig(epochs=5))
    older = {name: value for name, value in settings.items() if name != 'optimizer'}
    state = {'settings': older, 'epoch': 1}
    save_training_state(tmp_path / 'last.pt', state)
    assert load_training_state(tmp_path / 'last.pt', settings)['epoch'] == 1
    with pytest.raises(ConfigError, match='was trained with optimizer: adamw, now it is sgd'):
        load_training_state(tmp_path / 'last.pt', {**settings, 'optimizer': 'sgd'})


def test_dataset_without_labels_is_refused(config_file, tiny_samples, tmp_path):
    camera = tiny_samples[0].frame.intrinsics
    with FolderWriter(tmp_path / 'bare', 'bare', camera) as writer:
        writer.write(Sample('0', tiny_samples[0].frame))
        writer.write_split('fit', ['0'])
        writer.write_split('val', ['0'])
    with pytest.raises(DataError, match='has no labels to train on'):
        Trainer(load_train_config(config_file), tmp_path / 'bare', tmp_path / 'out', 'cpu')
