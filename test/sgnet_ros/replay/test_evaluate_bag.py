# SPDX-License-Identifier: Apache-2.0
"""`evaluate_bag` gives the metrics of the dataset of the bag."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bag_files import rewrite, shifted, truncate
from random_network import save_random_checkpoint

from sgnet_core.cli.runner import run_command
from sgnet_core.evaluation import evaluate
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.reader import with_header_stamp
from sgnet_ros.bag.writer import write_bag

TOPICS = FrameTopics()


def command(*argv):
    return run_command('sgnet_ros', 'evaluate_bag', [str(a) for a in argv])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_metrics_equal_those_of_the_dataset(tiny_dataset, checkpoint, tmp_path, storage):
    bag, metrics = tmp_path / 'bag', tmp_path / 'metrics.json'
    argv = [tiny_dataset.root, bag, '--storage', storage]
    assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 0
    assert command(bag, '--checkpoint', checkpoint, '--json', metrics) == 0
    written = json.loads(metrics.read_text())
    argv = ['--data', tiny_dataset.root, '--checkpoint', checkpoint, '--json', metrics]
    assert run_command('sgnet_core', 'evaluate', [str(a) for a in argv]) == 0
    expected = json.loads(metrics.read_text())
    np.testing.assert_array_equal(written['confusion'], expected['confusion'])
    assert np.count_nonzero(np.sum(expected['confusion'], axis=0)) > 5
    # A bag has neither the ids nor the poses of the dataset.
    differs = {'frame_scores', 'latency_ms', 'temporal_consistency', 'provenance'}
    for key in set(expected) & set(written) - differs:
        assert written[key] == expected[key], key
    assert written['frames'] == len(tiny_dataset)
    assert written['unpaired'] == {}
    accuracies = {'pixel_accuracy', 'mean_accuracy', 'frequency_weighted_iou', 'per_class_iou'}
    assert accuracies | {'protocol'} <= set(written)


def test_frames_to_bag_applies_split_and_limit(tiny_dataset, tmp_path, capsys):
    def frames(*argv):
        metrics = tmp_path / 'made.json'
        out = tmp_path / f'bag{len(list(tmp_path.iterdir()))}'
        argv = [tiny_dataset.root, out, '--json', metrics, *argv]
        assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 0
        return json.loads(metrics.read_text())['frames']

    assert frames() == 5
    assert frames('--split', 'val') == 2
    assert frames('--limit', 3) == 3
    argv = [tiny_dataset.root, tmp_path / 'x', '--limit', 0]
    assert run_command('sgnet_ros', 'frames_to_bag', [str(a) for a in argv]) == 2
    assert 'must be at least 1' in capsys.readouterr().err


def test_truncated_bag_is_evaluated_and_fails(tiny_samples, checkpoint, tmp_path, capsys):
    bag, metrics = tmp_path / 'bag', tmp_path / 'metrics.json'
    write_bag(tiny_samples * 4, bag, 10.0, NYU40.class_names)
    truncate(bag)
    assert command(bag, '--checkpoint', checkpoint, '--json', metrics) == 1
    written = json.loads(metrics.read_text())
    assert 7 <= written['frames'] <= 12
    error = capsys.readouterr().err
    assert 'truncated: bag.mcap' in error
    assert f'evaluated the {written["frames"]} frames' in error
    segmenter = Segmenter.from_checkpoint(checkpoint)
    expected = evaluate(segmenter, (tiny_samples * 4)[: written['frames']]).confusion
    np.testing.assert_array_equal(written['confusion'], expected.counts)


def test_report_shows_the_frames(bag_path, checkpoint, tmp_path):
    argv = ['--checkpoint', checkpoint, '--backend', 'torch', '--out', tmp_path / 'report']
    assert command(bag_path, *argv) == 0
    metrics = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert metrics['pairs'] == metrics['frames'] == 5
    assert metrics['provenance']['data'] == {'name': 'bag'}
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert page.count('<img ') == 5 * 5 and metrics['data_sha256'] in page


def test_other_classes_are_rejected(tiny_samples, checkpoint, tmp_path, capsys):
    names = tuple(f'kind {index}' for index in range(40))
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, names)
    assert command(tmp_path / 'bag', '--checkpoint', checkpoint) == 2
    assert "class 0 is 'kind 0' there and 'wall' here" in capsys.readouterr().err


def test_labels_without_class_names_warn(bag_path, checkpoint, caplog):
    assert command(bag_path, '--checkpoint', checkpoint, '--label-names-topic', '/none') == 0
    assert 'class names of the labels are unknown (no /none)' in caplog.text


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--rgb-topic', '/color/image_raw'], 'nearest: /camera/camera/color/image_raw'),
        (['--camera', '0,0,10,10'], 'focal lengths must be positive'),
        (['--camera', '1,2,3'], '--camera must be four numbers'),
        (['--checkpoint', 'none.safetensors'], 'none.safetensors'),
        (['--backend', 'tensorrt'], "unknown backend 'tensorrt'; there are auto, torch"),
    ],
)
def test_invalid_options_are_rejected(bag_path, checkpoint, capsys, argv, message):
    assert command(bag_path, '--checkpoint', checkpoint, *argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_bag_without_labels_is_rejected(tiny_samples, checkpoint, tmp_path, capsys):
    samples = [replace(tiny_samples[0], labels=None)] * 2
    write_bag(samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    assert command(tmp_path / 'bag', '--checkpoint', checkpoint) == 2
    error = capsys.readouterr().err
    assert '2 pairs of colour and depth' in error
    assert 'no pair has labels of its stamp' in error
    assert '0 labels in /camera/camera/labels/image_raw' in error


def test_equal_stamps_are_counted(bag_path, checkpoint, tmp_path):
    def unstamped(topic, index, cdr, time_ns):
        return (cdr if topic == TOPICS.label_names else with_header_stamp(cdr, 0)), time_ns

    bag, metrics = rewrite(bag_path, tmp_path / 'new', unstamped), tmp_path / 'metrics.json'
    assert command(bag, '--checkpoint', checkpoint, '--json', metrics) == 0
    assert json.loads(metrics.read_text())['unpaired'] == {'duplicate_stamp': 8}


def test_bag_without_pairs_names_the_slop(bag_path, checkpoint, tmp_path, capsys):
    bag = shifted(bag_path, tmp_path / 'new', TOPICS.depth, stamp_ns=16_000_000)
    assert command(bag, '--checkpoint', checkpoint) == 2
    error = capsys.readouterr().err
    assert '0 pairs of colour and depth' in error
    assert 'rgb_unmatched 5' in error
    assert '--sync-slop' in error


def test_another_number_of_classes_is_rejected(bag_path, tmp_path, capsys):
    small = save_random_checkpoint(tmp_path / 'small.safetensors', ('a', 'b', 'c'))
    assert command(bag_path, '--checkpoint', small) == 2
    assert '40 classes against 3' in capsys.readouterr().err
    assert command(bag_path, '--checkpoint', small, '--label-names-topic', '/none') == 2
