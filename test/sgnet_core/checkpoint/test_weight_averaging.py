# SPDX-License-Identifier: Apache-2.0
"""Weight averaging of checkpoints."""

import dataclasses

import torch
import pytest
from networks import untrained

from sgnet_core.checkpoint.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU13


def shifted(by: int) -> Checkpoint:
    """A network with all weights increased by `by`."""
    checkpoint = untrained()
    weights = {name: tensor + by for name, tensor in checkpoint.weights.items()}
    return dataclasses.replace(checkpoint, weights=weights, provenance={'epochs': by})


@pytest.fixture
def average(tmp_path):
    """Run the command on checkpoints, saved as 0.safetensors ... -> exit status, OUT."""

    def run(*checkpoints: Checkpoint):
        paths = [tmp_path / f'{i}.safetensors' for i in range(len(checkpoints))]
        for path, checkpoint in zip(paths, checkpoints, strict=True):
            save_checkpoint(path, checkpoint)
        out = tmp_path / 'new' / 'mean.safetensors'
        return run_command('sgnet_core', 'average', [*map(str, paths), '--out', str(out)]), out

    return run


def test_average_command_writes_the_mean_of_three(average, capsys, tiny_samples):
    status, out = average(shifted(0), shifted(3), shifted(6))
    assert status == 0
    assert capsys.readouterr().out == f'mean of 3 checkpoints, sgnet_lite0: {out}\n'
    mean, start = load_checkpoint(out), untrained().weights
    for name, tensor in mean.weights.items():
        expected = start[name] + (3 if tensor.is_floating_point() else 0)
        assert tensor.dtype == start[name].dtype
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-5, msg=name)
    parts = mean.provenance['mean_of']
    assert [part['checkpoint'] for part in parts] == [f'{i}.safetensors' for i in range(3)]
    assert [part['epochs'] for part in parts] == [0, 3, 6]
    assert len({part['sha256'] for part in parts}) == 3
    Segmenter.from_checkpoint(out, device='cpu').segment(tiny_samples[0].frame)

    assert run_command('sgnet_core', 'info', [str(out)]) == 0
    shown = ' '.join(capsys.readouterr().out.split())
    for part in parts:
        assert f'mean of {part["checkpoint"]}: epochs {part["epochs"]}' in shown


BASE = untrained()
RENAMED = dataclasses.replace(BASE.label_set, class_names=tuple(f'thing {i}' for i in range(40)))


@pytest.mark.parametrize(
    ('others', 'problem'),
    [
        ([], 'averaging needs at least two checkpoints, got 1'),
        ([untrained(NYU13)], 'num_classes: 13, not 40'),
        ([untrained(spatial='xyz')], "spatial: 'xyz', not 'depth'"),
        ([dataclasses.replace(BASE, weights={})], 'is missing'),
        ([BASE.at_size((96, 96))], '1.safetensors: height: 96, not 64'),
        ([dataclasses.replace(BASE, label_set=RENAMED)], '1.safetensors: different classes'),
    ],
)
def test_different_checkpoints_are_refused(average, capsys, others, problem):
    status, out = average(BASE, *others)
    assert status == 2
    assert problem in capsys.readouterr().err
    assert not out.exists()


def test_folder_as_output_is_refused(average, capsys, tmp_path):
    (tmp_path / 'new' / 'mean.safetensors').mkdir(parents=True)
    status, out = average(shifted(0), shifted(1))
    assert status == 2
    assert f'{out} cannot be written to; give the path of a new' in capsys.readouterr().err
