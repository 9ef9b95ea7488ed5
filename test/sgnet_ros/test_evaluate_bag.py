# SPDX-License-Identifier: Apache-2.0
"""`evaluate_bag` gives the figures of the data set that the bag was made of, entry by entry."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from bag_files import rewrite
from random_network import save_random_checkpoint

from sgnet_core.cli import run_command
from sgnet_core.evaluation import evaluate
from sgnet_core.labels import NYU40
from sgnet_core.segmenter import Segmenter
from sgnet_ros.__main__ import COMMANDS
from sgnet_ros.bags import with_header_stamp
from sgnet_ros.bags_writer import write_bag
from sgnet_ros.frame_topics import FrameTopics


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A network of random weights whose predictions differ from pixel to pixel."""
    return save_random_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'random.safetensors')


def command(*argv):
    return run_command('sgnet_ros', 'evaluate_bag', [str(a) for a in argv])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_same_confusion_matrix_as_the_data_set(tiny_dataset, checkpoint, tmp_path, storage):
    bag, figures = tmp_path / 'bag', tmp_path / 'figures.json'
    argv = [tiny_dataset.root, bag, '--storage', storage]
    assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 0
    assert command(bag, '--checkpoint', checkpoint, '--json', figures) == 0
    written = json.loads(figures.read_text())
    argv = ['--data', tiny_dataset.root, '--checkpoint', checkpoint, '--json', figures]
    assert run_command('sgnet_core', 'evaluate', [str(a) for a in argv]) == 0
    expected = json.loads(figures.read_text())
    np.testing.assert_array_equal(written['confusion'], expected['confusion'])
    assert np.count_nonzero(np.sum(expected['confusion'], axis=0)) > 5, 'one answer proves little'
    # Times differ, and a bag has neither the ids nor the poses of the data set.
    differs = {'frame_scores', 'latency_ms', 'temporal_consistency', 'provenance'}
    for key in set(expected) & set(written) - differs:
        assert written[key] == expected[key], key
    assert written['frames'] == len(tiny_dataset)
    assert written['unpaired'] == {}
    for key in (
        'pixel_accuracy',
        'mean_accuracy',
        'frequency_weighted_iou',
        'per_class_iou',
        'protocol',
    ):
        assert key in written


def test_split_and_limit(tiny_dataset, tmp_path, capsys):
    def frames(*argv):
        figures = tmp_path / 'made.json'
        out = tmp_path / f'bag{len(list(tmp_path.iterdir()))}'
        argv = [tiny_dataset.root, out, '--json', figures, *argv]
        assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 0
        return json.loads(figures.read_text())['frames']

    assert frames() == 5
    assert frames('--split', 'val') == 2
    assert frames('--limit', 3) == 3
    argv = [tiny_dataset.root, tmp_path / 'x', '--limit', 0]
    assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 2
    assert 'must be at least 1' in capsys.readouterr().err


def test_cut_off_bag_is_scored_and_fails(tiny_samples, checkpoint, tmp_path, capsys):
    bag, figures = tmp_path / 'bag', tmp_path / 'figures.json'
    write_bag(tiny_samples * 4, bag, 10.0, NYU40.class_names)
    os.truncate(bag / 'bag.mcap', (bag / 'bag.mcap').stat().st_size // 2)
    assert command(bag, '--checkpoint', checkpoint, '--json', figures) == 1
    written = json.loads(figures.read_text())
    assert 7 <= written['frames'] <= 12
    error = capsys.readouterr().err
    assert 'cut off in bag.mcap' in error
    assert f'scored the {written["frames"]} of 20 frames' in error
    # What was scored is what the same frames give.
    segmenter = Segmenter.from_checkpoint(checkpoint)
    expected = evaluate(segmenter, (tiny_samples * 4)[: written['frames']]).confusion
    np.testing.assert_array_equal(written['confusion'], expected.counts)


def test_report_of_a_bag(tiny_samples, checkpoint, tmp_path):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = ['--checkpoint', checkpoint, '--backend', 'torch', '--out', tmp_path / 'report']
    assert command(tmp_path / 'bag', *argv) == 0
    metrics = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert metrics['pairs'] == metrics['frames'] == 5
    assert metrics['provenance']['data'] == {'name': 'bag'}
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert page.count('<img ') == 5 * 5 and metrics['data_sha256'] in page


def test_bag_with_other_classes(tiny_samples, checkpoint, tmp_path, capsys):
    names = tuple(f'kind {index}' for index in range(40))
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, names)
    assert command(tmp_path / 'bag', '--checkpoint', checkpoint) == 2
    assert "class 0 is 'kind 0' there and 'wall' here" in capsys.readouterr().err


def test_bag_that_does_not_name_its_classes(tiny_samples, checkpoint, tmp_path, caplog):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = (tmp_path / 'bag', '--checkpoint', checkpoint, '--label-names-topic', '/none')
    assert command(*argv) == 0
    assert 'no /none says what the labels mean' in caplog.text


def test_topics_by_hand(tiny_samples, checkpoint, tmp_path, capsys):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = (tmp_path / 'bag', '--checkpoint', checkpoint, '--rgb-topic', '/camera/color/image_raw')
    assert command(*argv) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'nearest: /camera/camera/color/image_raw' in error


@pytest.mark.parametrize('text', ['1,2,3', '1,2,3,x', '', '1 2 3 4'])
def test_bad_camera(tmp_path, capsys, text):
    assert command(tmp_path, '--camera', text) == 2
    assert '--camera must be four numbers' in capsys.readouterr().err


def test_zero_focal_length_by_hand(tiny_samples, checkpoint, tmp_path, capsys):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = (tmp_path / 'bag', '--checkpoint', checkpoint, '--camera', '0,0,10,10')
    assert command(*argv) == 2
    assert 'focal lengths must be positive' in capsys.readouterr().err


def test_bag_without_a_labelled_pair(tiny_samples, checkpoint, tmp_path, capsys):
    first, *others = tiny_samples
    samples = [replace(first, labels=None)] * 2
    write_bag(samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    assert command(tmp_path / 'bag', '--checkpoint', checkpoint) == 2
    error = capsys.readouterr().err
    assert '2 pairs of colour and depth' in error
    assert 'no pair has labels of its stamp' in error
    assert '0 labels in /camera/camera/labels/image_raw' in error


def test_bag_without_a_pair(tiny_samples, checkpoint, tmp_path, capsys):
    """All stamps are the same, as those of a driver that does not set them."""

    def unstamped(topic, index, cdr, time_ns):
        return (cdr if topic == FrameTopics().label_names else with_header_stamp(cdr, 0)), time_ns

    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    rewrite(tmp_path / 'bag', tmp_path / 'new', unstamped)
    figures = tmp_path / 'figures.json'
    assert command(tmp_path / 'new', '--checkpoint', checkpoint, '--json', figures) == 0
    assert json.loads(figures.read_text())['unpaired'] == {'duplicate_stamp': 8}

    def far_apart(topic, index, cdr, time_ns):
        if topic == FrameTopics().depth:
            cdr = with_header_stamp(cdr, time_ns + 40_000_000)
        return cdr, time_ns

    rewrite(tmp_path / 'bag', tmp_path / 'apart', far_apart)
    assert command(tmp_path / 'apart', '--checkpoint', checkpoint) == 2
    error = capsys.readouterr().err
    assert '0 pairs of colour and depth' in error
    assert 'rgb_unmatched 5' in error
    assert '--sync-slop' in error


def test_label_ids_that_the_classes_do_not_have(tiny_samples, tmp_path, capsys):
    """Labels of 40 classes against a network for 3."""
    small = save_random_checkpoint(tmp_path / 'small.safetensors', ('a', 'b', 'c'))
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    assert command(tmp_path / 'bag', '--checkpoint', small) == 2
    assert '40 classes against 3' in capsys.readouterr().err
    assert command(tmp_path / 'bag', '--checkpoint', small, '--label-names-topic', '/none') == 2


def test_missing_bag_and_checkpoint(tiny_samples, tmp_path, capsys):
    assert command(tmp_path / 'nothing') == 2
    assert 'no bag at' in capsys.readouterr().err
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    assert command(tmp_path / 'bag', '--checkpoint', tmp_path / 'none.safetensors') == 2
    assert 'none.safetensors' in capsys.readouterr().err


def test_unknown_backend(tiny_samples, tmp_path, capsys):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    assert command(tmp_path / 'bag', '--backend', 'tensorrt') == 2
    assert "unknown backend 'tensorrt'; there are auto, torch" in capsys.readouterr().err


def test_command_is_listed():
    assert 'evaluate_bag' in COMMANDS
