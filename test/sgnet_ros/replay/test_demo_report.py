# SPDX-License-Identifier: Apache-2.0
"""Scores and contact sheet of the demo."""

import numpy as np
from replay_results import STAMPS, mask, replay_result

from sgnet_core.cli.runner import run_command
from sgnet_core.labels import NYU40
from sgnet_ros.bag.writer import write_bag
from sgnet_ros.replay.demo_report import compare, contact_sheet_of, evenly_spread, visible_classes


def test_masks_are_compared_with_labels_of_their_stamp(tiny_samples, bag_path):
    exact = {stamp: mask(sample.labels) for stamp, sample in zip(STAMPS, tiny_samples, strict=True)}
    scores, selected = compare(bag_path, replay_result(exact), NYU40.class_names)
    assert scores['pixel_accuracy'] == 1.0
    assert [item.number for item in selected] == [0, 1, 2, 3, 4]
    shifted = dict(zip(STAMPS[1:], exact.values(), strict=False))
    scores, selected = compare(bag_path, replay_result(shifted), NYU40.class_names)
    assert scores['pixel_accuracy'] < 0.1
    assert [item.number for item in selected] == [1, 2, 3, 4]


def test_frames_without_labels_have_no_scores(tiny_samples, tmp_path):
    write_bag(tiny_samples, tmp_path / 'bag', 30.0)
    run = replay_result({STAMPS[2]: mask()})
    scores, selected = compare(tmp_path / 'bag', run, None)
    assert scores == {}
    assert [p.caption() for p in selected] == ['frame 2: latency 10 ms']


def test_labels_of_the_same_classes_are_scored_and_shown(tiny_samples, bag_path):
    labels = tiny_samples[0].labels.copy()
    labels[:12] = (labels[:12] + 1) % 40
    other_classes = replay_result({STAMPS[0]: mask(labels)}, class_names=('this', 'that'))
    assert compare(bag_path, other_classes, NYU40.class_names)[0] == {}
    run = replay_result({STAMPS[0]: mask(labels, 123.4)})
    _, selected = compare(bag_path, run, NYU40.class_names)
    assert selected[0].caption().startswith('frame 0: latency 123 ms, pixel accuracy 5')
    sheet = contact_sheet_of(selected, run, {'source': 'x', 'masks': 1, 'miou': 0.5})
    plain = contact_sheet_of(selected, run, {'source': 'x', 'masks': 1})
    assert sheet.shape[1] > plain.shape[1], 'one more column: the labels'


def test_legend_has_visible_classes():
    labels = np.full((100, 100), 3, np.uint8)
    labels[0, :29] = 7
    labels[1, :31] = 8
    labels[2:4] = 255
    assert visible_classes(labels) == {3, 8, 255}
    assert visible_classes(np.array([[5, 6]], np.uint8)) == {5, 6}


def test_evenly_spread_takes_the_middle_of_each_part():
    assert evenly_spread([7, 8], 5) == [7, 8]
    assert evenly_spread(list(range(100)), 5) == [10, 30, 50, 70, 90]


def test_demo_without_masks_fails(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        'sgnet_ros.replay.session.ReplaySession.run', lambda self: replay_result({})
    )
    monkeypatch.setenv('ROS_DOMAIN_ID', '1')  # so that the demo sets none in this process
    argv = ['--frames', str(tiny_dataset.root), '--out', str(tmp_path / 'out'), '--rate', '10']
    assert run_command('sgnet_ros', 'demo', argv) == 1
    assert 'no mask arrived' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'metrics.json').exists()


def test_demo_rejects_a_folder_with_other_files(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', '1')
    other_file = tmp_path / 'bag' / 'mine.mcap'
    other_file.parent.mkdir()
    other_file.touch()
    argv = ['--frames', str(tiny_dataset.root), '--out', str(tmp_path), '--rate', '10']
    assert run_command('sgnet_ros', 'demo', argv) == 2
    assert 'not an empty folder' in capsys.readouterr().err
    assert other_file.exists()
