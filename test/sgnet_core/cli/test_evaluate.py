# SPDX-License-Identifier: Apache-2.0
"""The command `evaluate`: what it reads, shows and writes, alone and in several processes."""

import dataclasses
import json

import numpy as np
import pytest
from evaluate_processes import (
    InterruptingSegmenter,
    command,
    evaluate_process,
    in_two_processes,
    interrupted_process,
)
from networks import untrained, with_offsets

from sgnet_core.checkpoint.checkpoint import save_checkpoint
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.evaluation import ConfusionMatrix, evaluate
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU13, NYU40

TIMES = {'frame_scores', 'latency_ms', 'provenance'}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('checkpoint') / 'guided.safetensors'
    save_checkpoint(path, with_offsets(untrained()))
    return path


def metrics_of(data, tmp_path, *argv, status=0):
    command(data, *argv, '--json', tmp_path / 'metrics.json', status=status)
    return json.loads((tmp_path / 'metrics.json').read_text())


@pytest.fixture
def unlabelled_sequence(tmp_path, tiny_samples):
    root = tmp_path / 'sequence'
    camera = tiny_samples[0].frame.intrinsics
    with FolderWriter(root, 'sequence', camera, None, 30.0, with_pose=True) as writer:
        for sample in tiny_samples:
            sample.pose[:3, 3] = 0
            writer.write(dataclasses.replace(sample, labels=None))
    return root


def test_json_has_all_metrics(tiny_dataset, checkpoint, tmp_path, capsys):
    metrics = metrics_of(tiny_dataset.root, tmp_path, '--checkpoint', checkpoint)
    evaluation = evaluate(Segmenter.from_checkpoint(checkpoint, backend='torch'), tiny_dataset)
    expected = evaluation.to_json()
    assert {key: metrics[key] for key in set(expected) - TIMES} == {
        key: expected[key] for key in set(expected) - TIMES
    }
    assert metrics['interrupted'] is False
    text = capsys.readouterr().out
    assert 'tiny, split all, 5 frames' in text
    assert 'boundary IoU' in text
    assert '95 % of resampled frames' in text


def test_two_processes_give_the_same_metrics(tiny_dataset, checkpoint, tmp_path):
    """As torchrun starts them."""
    argv = [tiny_dataset.root, '--checkpoint', checkpoint, '--out', tmp_path / 'two']
    argv += ['--robustness']
    in_two_processes(evaluate_process, argv)
    two = json.loads((tmp_path / 'two' / 'metrics.json').read_text())
    one = metrics_of(tiny_dataset.root, tmp_path, '--checkpoint', checkpoint, '--robustness')
    assert [score['id'] for score in two['frame_scores']] == list(tiny_dataset.ids)
    assert {k: two[k] for k in set(one) - TIMES} == {k: one[k] for k in set(one) - TIMES}
    assert one['frames'] == 5
    # Pictures are of the frames of both.
    assert (tmp_path / 'two' / 'report.html').read_text().count('<img ') == 5 * 5


def test_checkpoints_side_by_side(tiny_dataset, checkpoint, tmp_path, capsys):
    other = tmp_path / 'other.safetensors'
    save_checkpoint(other, untrained())
    both = metrics_of(tiny_dataset.root, tmp_path, '--checkpoint', checkpoint, other)
    assert list(both['checkpoints']) == [str(checkpoint), str(other)]
    for path, metrics in both['checkpoints'].items():
        alone = metrics_of(tiny_dataset.root, tmp_path, '--checkpoint', path)
        assert metrics['confusion'] == alone['confusion']
    text = capsys.readouterr().out
    assert f'[2] {other}' in text
    first, second = (f'{100 * f["miou"]:.2f}' for f in both['checkpoints'].values())
    lines = [line.split() for line in text.splitlines()]
    assert ['mIoU', first, second] in lines and ['frames', '5', '5'] in lines


def test_missing_checkpoint_is_found_before_the_first_evaluation(
    tiny_dataset, checkpoint, tmp_path, capsys
):
    both = checkpoint, tmp_path / 'typo.safetensors'
    command(tiny_dataset.root, '--checkpoint', *both, status=2)
    shown = capsys.readouterr()
    assert 'typo.safetensors' in shown.err and shown.out == ''


def test_protocol_names_missing_depth(tiny_dataset, checkpoint, tmp_path):
    argv = ['--checkpoint', checkpoint, '--missing-depth', '0.25', '--limit', 2]
    metrics = metrics_of(tiny_dataset.root, tmp_path, *argv)
    assert metrics['protocol'].endswith(', without 25% of the depth')


def test_unusable_onnx_files_are_errors(tiny_dataset, tmp_path, capsys):
    for name, argv, message in (
        ('none.onnx', ['--backend', 'auto'], 'no exported network at'),
        ('none.onnx', [], 'runs in ONNX Runtime'),
        ('none.onnx', ['--scales', '0.5,1'], 'has one input size: for scales give'),
    ):
        command(tiny_dataset.root, '--checkpoint', tmp_path / name, *argv, status=2)
        assert message in capsys.readouterr().err


def test_robustness_has_every_corruption(tiny_dataset, checkpoint, tmp_path, capsys):
    metrics = metrics_of(
        tiny_dataset.root, tmp_path, '--checkpoint', checkpoint, '--robustness', '--limit', 2
    )
    rows = [(row['corruption'], row['severity']) for row in metrics['robustness']]
    # Without poses, consecutive frames are unknown.
    known = [name for name in CORRUPTIONS if name != 'depth_delay']
    assert rows == [(name, severity) for name in known for severity in SEVERITIES]
    kept = metrics['retained_miou']
    for name in known:
        found = [r['miou'] for r in metrics['robustness'] if r['corruption'] == name]
        assert kept[name] == pytest.approx(np.mean(found) / metrics['miou'])
    assert kept['mean'] == pytest.approx(np.mean([kept[name] for name in known]))
    assert f'{100 * kept["mean"]:.1f}' in capsys.readouterr().out.splitlines()[-1]


def test_unlabelled_sequence_has_consistency_only(
    unlabelled_sequence, checkpoint, tmp_path, capsys
):
    metrics = metrics_of(unlabelled_sequence, tmp_path, '--checkpoint', checkpoint)
    assert metrics['miou'] is None
    assert metrics['temporal_consistency']['frames'] == 4
    assert metrics['frames'] == 5
    assert 'temporal consistency' in capsys.readouterr().out
    command(unlabelled_sequence, '--robustness', status=2)
    assert 'has no labels: there is nothing' in capsys.readouterr().err


def test_checkpoint_of_other_classes_is_an_error(tiny_dataset, tmp_path, capsys):
    save_checkpoint(tmp_path / 'c.safetensors', untrained(NYU13))
    command(tiny_dataset.root, '--checkpoint', tmp_path / 'c.safetensors', status=2)
    assert '40 classes against 13' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--scales', '0.1'], 'scales must be from 0.25 to 4, got 0.1'),
        (['--limit', '0'], '--limit must be at least 1, got 0'),
        (['--missing-depth', '2'], '--missing-depth must be from 0 to 1, got 2.0'),
        (['--robustness', '--missing-depth', '0.5'], 'give it without --missing-depth'),
        (['--json', '/proc/none/a.json'], 'cannot be written'),
    ],
)
def test_invalid_arguments_are_errors(tiny_dataset, capsys, argv, message):
    command(tiny_dataset.root, *argv, status=2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_ctrl_c_reports_the_frames_seen(tiny_dataset, tmp_path, monkeypatch, capsys):
    from sgnet_core.evaluation import multi_scale

    data = FolderDataset(tiny_dataset.root, ids=list(tiny_dataset.ids) * 40)
    monkeypatch.setattr('sgnet_core.data.folder_dataset.FolderDataset', lambda *_: data)
    monkeypatch.setattr(multi_scale, 'load_segmenter', lambda *_: InterruptingSegmenter())
    metrics = metrics_of(tiny_dataset.root, tmp_path, status=130)
    assert metrics['interrupted'] is True
    assert 2 <= metrics['frames'] < 150
    assert 'frames seen' in capsys.readouterr().out
    expected = ConfusionMatrix(NYU40.class_names)
    for number in range(metrics['frames']):
        truth = data[number].labels
        expected.update(truth, np.full_like(truth, min(number + 1, 39)))
    assert metrics['confusion'] == expected.counts.tolist()


def test_ctrl_c_joins_the_counts_of_all_processes(tiny_dataset, tmp_path):
    in_two_processes(interrupted_process, tiny_dataset.root, tmp_path / 'two.json')
    metrics = json.loads((tmp_path / 'two.json').read_text())
    assert metrics['interrupted'] is True
    ids = [score['id'] for score in metrics['frame_scores']]
    assert len(ids) == metrics['frames']
    assert 2 + 4 <= len(ids) < 150


def test_ctrl_c_keeps_complete_corruptions(tiny_dataset, tmp_path, monkeypatch):
    """With five frames the second corruption begins after twenty."""
    monkeypatch.setattr(
        'sgnet_core.evaluation.multi_scale.load_segmenter',
        lambda *_: InterruptingSegmenter(last=5 + 15 + 7),
    )
    metrics = metrics_of(tiny_dataset.root, tmp_path, '--robustness', status=130)
    assert metrics['frames'] == 5 and metrics['interrupted'] is False
    assert metrics['robustness_interrupted'] is True
    first = next(iter(CORRUPTIONS))
    assert [row['corruption'] for row in metrics['robustness']] == 3 * [first]
    assert metrics['retained_miou'].keys() == {'mean', first}
    assert metrics['retained_miou']['mean'] is None
