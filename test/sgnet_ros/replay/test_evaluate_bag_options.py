# SPDX-License-Identifier: Apache-2.0
"""`evaluate_bag` with --labels, --remap, --write-bag, and Ctrl-C."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from bag_files import edited, unknown_encoding

from sgnet_core.cli.runner import run_command
from sgnet_core.evaluation import evaluate
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU13, NYU40, nyu40_to_nyu13
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.mask_writer import LABELS, MASK
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import write_bag

NYU13_OF_40 = Path(__file__).resolve().parents[3] / 'config' / 'nyu40_to_nyu13.yaml'

TORCH = ('--backend', 'torch')
"""ONNX Runtime needs ten seconds for its graph."""


def command(*argv):
    return run_command('sgnet_ros', 'evaluate_bag', [str(a) for a in argv])


def test_remap_merges_classes(bag_path, checkpoint, tmp_path):
    metrics = tmp_path / 'metrics.json'
    argv = (bag_path, '--checkpoint', checkpoint, *TORCH, '--json', metrics)
    assert command(*argv) == 0
    of_40 = np.array(json.loads(metrics.read_text())['confusion'])
    assert command(*argv, '--remap', NYU13_OF_40) == 0
    written = json.loads(metrics.read_text())
    assert tuple(written['per_class_iou']) == NYU13.class_names
    expected = np.zeros((13, 13), np.int64)
    np.add.at(expected, (nyu40_to_nyu13[:, None], nyu40_to_nyu13[None, :]), of_40)
    np.testing.assert_array_equal(written['confusion'], expected)
    assert written['provenance']['data']['remap'] == NYU13_OF_40.name
    assert written['calibration'] is None


def test_remap_joins_other_classes(tiny_samples, checkpoint, tmp_path, capsys):
    names = tuple(f'kind {index}' for index in range(40))
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, names)
    remap = tmp_path / 'remap.yaml'
    remap.write_text('some: [kind 0, kind 7, wall]\nother: [kind 1, floor, bed]\n')
    metrics = tmp_path / 'metrics.json'
    argv = ('--checkpoint', checkpoint, *TORCH, '--json', metrics, '--remap', remap)
    assert command(tmp_path / 'bag', *argv) == 0
    written = json.loads(metrics.read_text())
    labelled = sum(np.isin(sample.labels, (0, 1, 7)).sum() for sample in tiny_samples)
    assert np.sum(written['confusion']) + sum(written['unpredicted']) == labelled
    remap.write_text('some: [wal]\n')
    assert command(tmp_path / 'bag', *argv) == 2
    assert "did you mean 'wall'?" in capsys.readouterr().err


def test_folder_labels_and_written_masks(tiny_samples, tiny_dataset, checkpoint, tmp_path):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0)
    metrics, masks = tmp_path / 'metrics.json', tmp_path / 'masks'
    argv = (tmp_path / 'bag', '--checkpoint', checkpoint, *TORCH, '--json', metrics)
    assert command(*argv, '--labels', tiny_dataset.root, '--write-bag', masks) == 0
    written = json.loads(metrics.read_text())
    segmenter = Segmenter.from_checkpoint(checkpoint, backend='torch')
    expected = evaluate(segmenter, tiny_samples).confusion
    np.testing.assert_array_equal(written['confusion'], expected.counts)
    with Bag(masks) as bag:
        for sample in BagFrames(bag, FrameTopics(labels=MASK, label_names=LABELS)):
            np.testing.assert_array_equal(sample.labels, segmenter.segment(sample.frame).labels)
    assert command(*argv, '--labels', tiny_dataset.root, '--write-bag', masks) == 2


def test_ctrl_c_reports_the_frames_so_far(tiny_samples, checkpoint, tmp_path, monkeypatch, capsys):
    write_bag(tiny_samples * 8, tmp_path / 'bag', 10.0, NYU40.class_names)
    seen = []

    def interrupted(self, sample, result):
        seen.append(sample.id)
        if len(seen) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr('sgnet_ros.bag.mask_writer.MaskWriter.write', interrupted)
    metrics, masks = tmp_path / 'metrics.json', tmp_path / 'masks'
    argv = (tmp_path / 'bag', '--checkpoint', checkpoint, *TORCH, '--write-bag', masks)
    assert command(*argv, '--json', metrics) == 130
    written = json.loads(metrics.read_text())
    assert written['interrupted'] is True
    assert 7 <= written['frames'] == len(seen) < 40
    segmenter = Segmenter.from_checkpoint(checkpoint, backend='torch')
    expected = evaluate(segmenter, (tiny_samples * 8)[: len(seen)]).confusion
    np.testing.assert_array_equal(written['confusion'], expected.counts)
    assert f'{len(seen)} frames evaluated' in capsys.readouterr().out
    with Bag(masks) as bag:
        assert bag.damage is None


def test_invalid_frames_are_left_out(bag_path, tiny_samples, checkpoint, tmp_path, capsys):
    bag = edited(bag_path, tmp_path / 'new', FrameTopics().rgb, unknown_encoding, (1, 3))
    metrics = tmp_path / 'metrics.json'
    assert command(bag, '--checkpoint', checkpoint, *TORCH, '--json', metrics) == 1
    error = capsys.readouterr().err
    assert '2 invalid frames, the first: ' in error
    assert 'frame 1000000000.033333333' in error
    written = json.loads(metrics.read_text())
    assert (written['frames'], written['pairs'], written['unusable']) == (3, 5, 2)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--rate', '2'], '--rate needs --live'),
        (['--lossless'], '--lossless needs --live'),
        (['--live', '--rate', '0'], '--rate must be above 0'),
        (['--live', '--params-file', '/no/file.yaml'], 'no parameter file at /no/file.yaml'),
        (['--live', '--node', 'segmentation'], '--node must begin with /'),
        (['--live', '--node', '/a', '--device', 'cpu'], '--device is for a node that is started'),
        (['--live', '--param', 'max_rate=5'], '--param must be NAME:=VALUE'),
        (['--live', '--param', 'sync.slop:=0.1'], 'use --sync-mode, --sync-slop'),
        (['--remap', '/no/file.yaml'], '/no/file.yaml cannot be read'),
        (['--labels', '/no/folder'], 'no file matches'),
    ],
)
def test_invalid_options_are_rejected(bag_path, capsys, argv, message):
    assert command(bag_path, *argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
