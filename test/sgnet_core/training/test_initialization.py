# SPDX-License-Identifier: Apache-2.0
"""Initialisation from a checkpoint."""

import dataclasses
import logging

import torch
import pytest
import yaml
from networks import untrained

from sgnet_core.checkpoint.checkpoint import (
    DEFAULT_CHECKPOINT,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import CheckpointError, ConfigError
from sgnet_core.labels import label_set_of
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec
from sgnet_core.training.config import TrainConfig, as_plain, load_train_config
from sgnet_core.training.initialization import Initialization, class_tensors, inherited_settings
from sgnet_core.training.trainer import Trainer

CONFIG = TrainConfig(
    pretrained=False,
    input_size=(32, 64),
    crop_size=(32, 64),
    epochs=1,
    batch_size=2,
    auxiliary_weight=0.4,
)
SOURCE_CLASSES = ('wall', 'night stand', 'floor', 'chair', 'box')
CLASSES = ('Pallet', 'Floor', 'night_stand', 'fork-lift', 'BOX', 'robot')
TAKEN = {1: 2, 2: 1, 4: 4}  # row of CLASSES -> row of SOURCE_CLASSES


@pytest.fixture
def source(tmp_path):
    """`source(**changes)`: the path of a checkpoint of SOURCE_CLASSES with an auxiliary head."""

    def make(variant='sgnet_lite0', spatial='depth', auxiliary=True, joint_bilateral=False, **spec):
        torch.manual_seed(1)
        config = SGNetConfig(variant, len(SOURCE_CLASSES), spatial, joint_bilateral)
        values = {'channel_order': 'rgb', 'mean': (127.0,) * 3, 'std': (128.0,) * 3}
        values = values | {'depth_fill': 'smooth'} | spec
        checkpoint = Checkpoint(
            config,
            InputSpec(64, 96, spatial=spatial, **values),
            label_set_of(SOURCE_CLASSES),
            SGNet(config, auxiliary).state_dict(),
            {'data': 'elsewhere'},
        )
        save_checkpoint(tmp_path / 'source.safetensors', checkpoint)
        return tmp_path / 'source.safetensors'

    return make


def start(init, auxiliary=True, **changes):
    """Initialise a network of CLASSES -> its state, the state before, the origin, the input."""
    config = dataclasses.replace(CONFIG, **changes)
    torch.manual_seed(2)
    network = SGNet(config.architecture(len(CLASSES)), auxiliary)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    initialization = Initialization(config, init)
    origin = initialization.initialize(network, label_set_of(CLASSES))
    return network.state_dict(), before, origin, initialization.spec


@pytest.mark.parametrize(
    ('variant', 'layers'),
    [('sgnet_lite0', ('head.classifier', 'auxiliary_head.4')), ('sgnet_r18', ('head.4',))],
)
def test_classifier_rows_are_matched_by_class_name(source, caplog, variant, layers):
    caplog.set_level(logging.INFO)
    path = source(variant, auxiliary=len(layers) == 2)
    weights = load_checkpoint(path).weights
    state, before, origin, _ = start(path, auxiliary=len(layers) == 2, variant=variant)
    for name in (f'{layer}.{leaf}' for layer in layers for leaf in ('weight', 'bias')):
        assert len(state[name]) == len(CLASSES)
        for row in range(len(CLASSES)):
            expected = weights[name][TAKEN[row]] if row in TAKEN else before[name][row]
            assert torch.equal(state[name][row], expected), (name, row)
    rest = [name for name in state if not name.startswith(layers)]
    assert len(rest) > 100
    assert all(torch.equal(state[name], weights[name]) for name in rest)
    assert origin == {
        'checkpoint': 'source.safetensors',
        'classes_taken': ['Floor', 'night_stand', 'BOX'],
        'classes_new': ['Pallet', 'fork-lift', 'robot'],
        'classes_dropped': ['wall', 'chair'],
        'data': 'elsewhere',
    }
    assert caplog.messages == [
        'head: 3 of 6 classes from source.safetensors by name; new: Pallet, fork-lift, robot; '
        'dropped: wall, chair'
    ]


@pytest.mark.parametrize(('theirs', 'ours'), [(True, False), (False, True), (False, False)])
def test_auxiliary_head_of_one_side_is_dropped_or_untrained(source, theirs, ours):
    path = source(auxiliary=theirs)
    state, before, *_ = start(path, auxiliary=ours)
    assert any(name.startswith('auxiliary_head') for name in state) == ours
    assert all(torch.equal(state[n], before[n]) for n in state if n.startswith('auxiliary_head'))
    weights = load_checkpoint(path).weights
    assert torch.equal(state['backbone._conv_stem.weight'], weights['backbone._conv_stem.weight'])


def test_class_tensors_are_those_that_grow_with_the_classes():
    for variant in ('sgnet_lite0', 'sgnet_r18', 'sgnet_aspp_r101'):
        few, many = (SGNet(SGNetConfig(variant, n), auxiliary=True) for n in (2, 3))
        shapes = {name: tensor.shape for name, tensor in many.state_dict().items()}
        growing = [n for n, tensor in few.state_dict().items() if tensor.shape != shapes[n]]
        assert class_tensors(few) == growing


def test_input_of_the_checkpoint_is_inherited_except_its_size(source):
    """The authors' checkpoints, for example, expect BGR without division."""
    authors = {'channel_order': 'bgr', 'mean': (104.0, 116.7, 122.7), 'std': (1.0,) * 3}
    *_, spec = start(source(**authors, depth_fill_m=0.5, depth_fill='constant'))
    assert spec == InputSpec(32, 64, spatial='depth', **authors, depth_fill_m=0.5)


def test_other_architecture_is_refused_with_the_first_tensors(source):
    with pytest.raises(CheckpointError) as error:
        start(source('sgnet_lite2'))
    assert 'is a sgnet_lite2 and does not fit the sgnet_lite0 of this run' in str(error.value)
    assert 'tensor backbone._conv_stem.weight' not in str(error.value)  # equal in both
    assert str(error.value).count('tensor ') == 3
    assert 'inherit sgnet_lite2' in str(error.value)


def test_checkpoint_without_a_tensor_is_refused(source):
    path = source()
    whole = load_checkpoint(path)
    for name in ('head.norms.1.bias', 'auxiliary_head.1.weight', 'head.classifier.bias'):
        weights = {n: t for n, t in whole.weights.items() if n != name}
        save_checkpoint(path, dataclasses.replace(whole, weights=weights))
        with pytest.raises(CheckpointError, match=f'tensor {name} is missing; another version'):
            start(path)


def test_other_spatial_is_refused(source):
    with pytest.raises(ConfigError, match="has spatial 'xyz'.*'depth'.*remove spatial from"):
        start(source(spatial='xyz'))


def test_backbone_of_a_checkpoint_learns_slower(tiny_dataset, tmp_path):
    save_checkpoint(tmp_path / 'c.safetensors', untrained())

    def rates(init):
        trainer = Trainer(CONFIG, tiny_dataset.root, tmp_path / 'o', 'cpu', init=init)
        return {group['peak_lr'] for group in trainer.optimizer.param_groups}

    assert rates(None) == {CONFIG.learning_rate}
    slower = CONFIG.learning_rate * CONFIG.backbone_rate_factor
    assert rates(tmp_path / 'c.safetensors') == {CONFIG.learning_rate, slower}


def test_train_command_fine_tunes_to_other_classes(source, tmp_path, tiny_samples):
    camera = tiny_samples[0].frame.intrinsics
    with FolderWriter(tmp_path / 'own', 'own', camera, CLASSES) as writer:
        for sample in tiny_samples:
            labels = sample.labels % len(CLASSES)
            writer.write(dataclasses.replace(sample, labels=labels, pose=None))
        writer.write_split('fit', ['0', '1', '2'])
        writer.write_split('val', ['3', '4'])
    settings = tmp_path / 'settings.yaml'
    settings.write_text(yaml.safe_dump(as_plain(CONFIG)))
    arguments = ['--config', str(settings), '--data', str(tmp_path / 'own'), '--workers', '0']
    arguments += ['--device', 'cpu', '--out', str(tmp_path / 'run')]
    init = source(channel_order='bgr')
    assert run_command('sgnet_core', 'train', [*arguments, '--init', str(init)]) == 0
    best = load_checkpoint(tmp_path / 'run' / 'best.safetensors')
    assert best.label_set.class_names == CLASSES
    assert best.input_spec.channel_order == 'bgr'
    assert best.provenance['start']['classes_new'] == ['Pallet', 'fork-lift', 'robot']


def test_settings_missing_from_the_file_are_inherited(source, tmp_path):
    path = source('sgnet_lite1', 'xyz', joint_bilateral=True)
    settings = tmp_path / 'settings.yaml'
    settings.write_text('epochs: 3')
    config = load_train_config(settings, inherited_settings(path))
    assert config.architecture(5) == load_checkpoint(path).config
    assert (config.input_size, config.crop_size) == ((64, 96), (64, 96))
    assert (config.depth_fill, config.epochs) == ('smooth', 3)
    settings.write_text('input_size: [32, 64]')
    config = load_train_config(settings, inherited_settings(path))
    assert (config.input_size, config.crop_size, config.spatial) == ((32, 64), (32, 64), 'xyz')


def test_init_without_a_file_uses_the_bundled_checkpoint(tmp_path, monkeypatch):
    taken = []

    def trainer(*args):
        taken.extend(args)
        raise KeyboardInterrupt

    monkeypatch.setattr('sgnet_core.training.trainer.Trainer', trainer)
    arguments = ['--config', str(tmp_path / 's.yaml'), '--data', 'nowhere', '--init']
    (tmp_path / 's.yaml').write_text('')
    run_command('sgnet_core', 'train', [*arguments, '--out', str(tmp_path / 'run')])
    assert taken[0].architecture(40) == load_checkpoint().config
    assert DEFAULT_CHECKPOINT in taken
