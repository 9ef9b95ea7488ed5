# SPDX-License-Identifier: Apache-2.0
"""Arms of a comparison: what they leave out stays out, and their figures are put together right."""

import json

import torch
import pytest
import yaml
from networks import bend, untrained

from sgnet_core.checkpoint import load_checkpoint
from sgnet_core.cli import run_command
from sgnet_core.errors import ConfigError
from sgnet_core.training.ablation import ARMS, as_markdown, silence, tabulate

TINY = {
    'pretrained': False,
    'input_size': [32, 64],
    'crop_size': [32, 64],
    'epochs': 1,
    'batch_size': 2,
    'learning_rate': 0.01,
    'warmup_epochs': 0.0,
}


def test_a_silenced_half_of_s_conv_does_nothing():
    spatial, image = torch.rand(2, 1, 64, 96) * 5, torch.rand(2, 3, 64, 96)
    for name, arm in ARMS.items():
        if arm.silenced is None:
            continue
        network = bend(untrained(spatial=arm.spatial).build())
        silence(network, arm.silenced)
        for offset, mask in network.geometry(image, spatial).values():
            assert (offset == 0).all() == (name == 'weights_only')
            assert (mask == 0.5).all() == (name == 'offsets_only')


def test_the_command_trains_arms_and_goes_on_where_it_stopped(tiny_dataset, tmp_path, capsys):
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(TINY))
    out = tmp_path / 'study'
    command = ['--config', str(tmp_path / 'tiny.yaml'), '--data', str(tiny_dataset.root)]
    command += ['--out', str(out), '--seeds', '3', '--workers', '0', '--device', 'cpu', '--arms']
    assert run_command('sgnet_core', 'ablation', [*command, 'weights_only']) == 0
    trained = load_checkpoint(out / 'weights_only_seed3/best.safetensors')
    assert trained.config.spatial == 'depth'
    offsets = {k: v for k, v in trained.weights.items() if 'offset_generator' in k}
    assert offsets
    assert all((tensor == 0).all() for tensor in offsets.values())
    before = (out / 'weights_only_seed3/scores.json').stat().st_mtime_ns

    json_file = tmp_path / 'table.json'
    again = [*command, 'weights_only', 'none', '--json', str(json_file)]
    assert run_command('sgnet_core', 'ablation', again) == 0
    assert (out / 'weights_only_seed3/scores.json').stat().st_mtime_ns == before
    assert set(json.loads(json_file.read_text())['arms']) == {'weights_only', 'none'}
    assert '| `none` |' in capsys.readouterr().out

    assert run_command('sgnet_core', 'ablation', [*command, 'dept']) == 2
    assert "no arm 'dept'; there are none, features" in capsys.readouterr().err


def test_mean_and_deviation_are_over_the_seeds_of_an_arm(tmp_path):
    for name, miou in (('depth_seed0', 0.30), ('depth_seed1', 0.34), ('none_seed0', 0.25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'scores.json').write_text(json.dumps({'miou': miou, 'seconds': 1.0}))
    (tmp_path / 'xyz_seed0').mkdir()
    table = tabulate(tmp_path)
    assert list(table) == ['none', 'depth']
    assert table['depth']['mean'] == pytest.approx(0.32)
    assert table['depth']['deviation'] == pytest.approx(0.04 / 2**0.5)
    assert table['none']['deviation'] is None
    assert '| `depth` | 30.00, 34.00 | 32.00 | 2.83 |' in as_markdown(table)


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='holds no finished run'):
        tabulate(tmp_path)
