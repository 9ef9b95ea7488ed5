# SPDX-License-Identifier: Apache-2.0
"""`evaluate_bag`, offline: the metrics of the dataset of the bag."""

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_files import edited, rewrite, shifted, truncate, unknown_encoding
from random_network import save_random_checkpoint
from replay_results import mask, replay_result

from sgnet_core.cli.runner import run_command
from sgnet_core.evaluation import ConfusionMatrix, evaluate
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.inference.temporal_fusion import TemporalFusion
from sgnet_core.labels import NYU13, NYU40, nyu40_to_nyu13, remap
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.mask_writer import LABELS, MASK, OVERLAY
from sgnet_ros.bag.reader import Bag, with_header_stamp
from sgnet_ros.bag.writer import START_NS, write_bag

TOPICS = FrameTopics()
OTHER_CLASSES = tuple(f'kind {index}' for index in range(40))
NYU40_TO_NYU13 = Path(__file__).resolve().parents[3] / 'config' / 'nyu40_to_nyu13.yaml'


@pytest.fixture
def evaluate_bag(checkpoint, tmp_path, capsys):
    """`evaluate_bag(bag, *options)` returns exit status, metrics (or None), and errors."""

    def run(bag, *options):
        file = tmp_path / 'metrics.json'
        file.unlink(missing_ok=True)
        # ONNX Runtime needs ten seconds for its graph.
        network = ['--checkpoint', checkpoint, '--backend', 'torch']
        argv = [bag, *(() if '--node' in options else network), '--json', file, *options]
        status = run_command('sgnet_ros', 'evaluate_bag', [str(a) for a in argv])
        metrics = json.loads(file.read_text()) if file.exists() else None
        return status, metrics, capsys.readouterr().err

    return run


def check_confusion(metrics, checkpoint, samples):
    expected = evaluate(Segmenter.from_checkpoint(checkpoint, backend='torch'), samples)
    np.testing.assert_array_equal(metrics['confusion'], expected.confusion.counts)
    assert metrics['frames'] == len(samples)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_metrics_equal_those_of_the_dataset(
    tiny_dataset, checkpoint, evaluate_bag, tmp_path, storage
):
    argv = [str(tiny_dataset.root), str(tmp_path / 'bag'), '--storage', storage]
    assert run_command('sgnet_ros', 'frames_to_bag', argv) == 0
    status, metrics, _ = evaluate_bag(tmp_path / 'bag')
    assert status == 0
    file = tmp_path / 'expected.json'
    argv = ['--data', tiny_dataset.root, '--checkpoint', checkpoint, '--json', file]
    argv += ['--backend', 'torch']
    assert run_command('sgnet_core', 'evaluate', [str(a) for a in argv]) == 0
    expected = json.loads(file.read_text())
    assert np.count_nonzero(np.sum(expected['confusion'], axis=0)) > 5
    # A bag has neither the ids nor the poses of the dataset.
    differs = {'frame_scores', 'latency_ms', 'temporal_consistency', 'provenance'}
    for key in set(expected) & set(metrics) - differs:
        assert metrics[key] == expected[key], key
    assert (metrics['frames'], metrics['unpaired']) == (len(tiny_dataset), {})
    accuracies = {'pixel_accuracy', 'mean_accuracy', 'frequency_weighted_iou', 'per_class_iou'}
    assert accuracies | {'protocol', 'confusion'} <= set(metrics) & set(expected)


@pytest.mark.parametrize('labelled', [True, False])
def test_temporal_mode_is_compared_with_off(
    tiny_samples, checkpoint, evaluate_bag, tmp_path, labelled
):
    """Five images of one scene, without labels only temporal consistency."""
    first, pose = tiny_samples[0], np.eye(4)
    samples = [
        replace(
            s,
            frame=replace(first.frame, rgb=s.frame.rgb),
            pose=pose,
            labels=s.labels if labelled else None,
        )
        for s in tiny_samples
    ]
    write_bag(samples, tmp_path / 'bag', 10.0, NYU40.class_names if labelled else None)
    status, metrics, _ = evaluate_bag(tmp_path / 'bag', '--temporal')
    assert (status, metrics['frames']) == (0, 5)
    segmenter, fusion = Segmenter.from_checkpoint(checkpoint, backend='torch'), TemporalFusion()
    expected = evaluate(
        segmenter, samples, fuse_of=lambda s: lambda x, frame: fusion.fuse(x, frame, s.pose)
    ).to_json()
    off = evaluate(segmenter, samples).to_json()
    for key in ('miou', 'temporal_consistency'):
        assert metrics[key] == pytest.approx(expected[key])
        assert metrics['temporal']['off'][key] == pytest.approx(off[key])
    assert (metrics['miou'] is not None) == labelled
    agreement = [m['temporal_consistency']['agreement'] for m in (off, metrics)]
    assert agreement[1] > agreement[0]


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (('--temporal', '--live'), 'give --param temporal.mode:=scores'),
        (('--fixed-frame', 'map'), '--fixed-frame needs --temporal'),
        (('--temporal', '--fixed-frame', 'map'), "no transform from 'map' in TF; .*: odom"),
    ],
)
def test_invalid_temporal_options_are_errors(bag_path, evaluate_bag, options, text):
    status, _, error = evaluate_bag(bag_path, *options)
    assert status == 2
    assert re.search(text, error)


def test_truncated_bag_is_evaluated_and_fails(tiny_samples, checkpoint, evaluate_bag, tmp_path):
    write_bag(tiny_samples * 4, tmp_path / 'bag', 10.0, NYU40.class_names)
    truncate(tmp_path / 'bag')
    status, metrics, error = evaluate_bag(tmp_path / 'bag')
    assert status == 1
    assert 7 <= metrics['frames'] <= 12
    assert 'truncated: bag.mcap' in error
    assert f'evaluated the {metrics["frames"]} frames' in error
    check_confusion(metrics, checkpoint, (tiny_samples * 4)[: metrics['frames']])


def test_invalid_frames_are_left_out(bag_path, tiny_samples, checkpoint, evaluate_bag, tmp_path):
    bag = edited(bag_path, tmp_path / 'new', TOPICS.rgb, unknown_encoding, (1, 3))
    status, metrics, error = evaluate_bag(bag)
    assert (status, metrics['pairs'], metrics['unusable']) == (1, 5, 2)
    assert '2 invalid frames, the first: ' in error
    assert 'frame 1000000000.033333333' in error
    check_confusion(metrics, checkpoint, tiny_samples[::2])


@pytest.mark.parametrize('options', [(), ('--live', '--node', '/any')])
def test_ctrl_c_reports_the_frames_so_far(
    tiny_samples, checkpoint, evaluate_bag, tmp_path, monkeypatch, options
):
    samples = tiny_samples * 8
    write_bag(samples, tmp_path / 'bag', 1000.0, NYU40.class_names)
    stamps = [START_NS + index * 1_000_000 for index in range(40)]
    masks = {stamp: mask(sample.labels) for stamp, sample in zip(stamps, samples, strict=True)}
    replayed = replay_result(masks, stamps=stamps)
    seen = []

    def interrupt(self, sample, result):
        seen.append(sample.id)
        if len(seen) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setenv('ROS_DOMAIN_ID', '1')
    monkeypatch.setattr('sgnet_ros.replay.session.ReplaySession.run', lambda self: replayed)
    monkeypatch.setattr('sgnet_ros.bag.mask_writer.MaskWriter.write', interrupt)
    options = ('--write-bag', tmp_path / 'masks', *options)
    status, metrics, _ = evaluate_bag(tmp_path / 'bag', *options)
    assert (status, metrics['interrupted'], metrics['frames']) == (130, True, len(seen))
    assert 7 <= len(seen) < 40
    with Bag(tmp_path / 'masks') as bag:
        assert bag.damage is None


def test_report_shows_the_frames(bag_path, evaluate_bag, tmp_path):
    assert evaluate_bag(bag_path, '--out', tmp_path / 'report')[0] == 0
    metrics = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert metrics['pairs'] == metrics['frames'] == 5
    assert metrics['provenance']['data'] == {'name': 'bag'}
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert page.count('<img ') == 5 * 5 and metrics['data_sha256'] in page


def test_labels_can_be_in_a_folder(tiny_samples, tiny_dataset, checkpoint, evaluate_bag, tmp_path):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0)
    status, metrics, _ = evaluate_bag(tmp_path / 'bag', '--labels', tiny_dataset.root)
    assert status == 0
    check_confusion(metrics, checkpoint, tiny_samples)


def messages(path, *topics):
    with Bag(path) as bag:
        return list(bag.messages(topics or [t for t in bag.topics if 'segmentation' not in t]))


def test_written_bag_has_masks_at_the_time_of_their_images(
    bag_path, checkpoint, evaluate_bag, tmp_path
):
    """The stamps are not the times of recording. Earlier masks are replaced."""

    def stamped_by_the_sensor(topic, index, cdr, time_ns):
        return (cdr if 'names' in topic else with_header_stamp(cdr, time_ns - 10**17)), time_ns

    source = rewrite(bag_path, tmp_path / 'source', stamped_by_the_sensor)
    once, twice = tmp_path / 'once', tmp_path / 'twice'
    assert evaluate_bag(source, '--write-bag', once)[0] == 0
    assert evaluate_bag(once, '--write-bag', once)[0] == 2, 'the bag exists'
    assert evaluate_bag(once, '--write-bag', twice)[0] == 0
    assert messages(once) == messages(twice) == messages(source)
    assert messages(once, MASK, OVERLAY, LABELS) == messages(twice, MASK, OVERLAY, LABELS)
    segmenter = Segmenter.from_checkpoint(checkpoint, backend='torch')
    with Bag(once) as bag:
        frames = BagFrames(bag, FrameTopics(labels=MASK, label_names=LABELS))
        assert frames.class_names == NYU40.class_names
        assert bag.topics[LABELS].latched
        for sample in frames:
            np.testing.assert_array_equal(sample.labels, segmenter.segment(sample.frame).labels)
        for topic in (MASK, OVERLAY):
            for made, image in zip(messages(once, topic), messages(once, TOPICS.rgb), strict=True):
                assert made.time_ns == image.time_ns
                assert bag.deserialize(made).header == bag.deserialize(image).header


def test_remap_merges_classes(bag_path, evaluate_bag, checkpoint, tiny_samples):
    status, metrics, _ = evaluate_bag(bag_path, '--remap', NYU40_TO_NYU13)
    assert (status, metrics['calibration'] is None) == (0, False)
    assert tuple(metrics['per_class_iou']) == NYU13.class_names
    segmenter = Segmenter.from_checkpoint(checkpoint, backend='torch')
    segmenter = segmenter.mapped(read_class_mapping(NYU40_TO_NYU13))
    expected = ConfusionMatrix(NYU13.class_names)
    for sample in tiny_samples:
        labels = remap(sample.labels, nyu40_to_nyu13)
        expected.update(labels, segmenter.segment(sample.frame).labels)
    np.testing.assert_array_equal(metrics['confusion'], expected.counts)
    assert metrics['provenance']['data']['remap'] == NYU40_TO_NYU13.name


def test_other_classes_need_remap(tiny_samples, evaluate_bag, tmp_path):
    bag, mapping = tmp_path / 'bag', tmp_path / 'remap.yaml'
    write_bag(tiny_samples, bag, 10.0, OTHER_CLASSES)
    status, _, error = evaluate_bag(bag)
    assert status == 2
    assert "class 0 is 'kind 0' there and 'wall' here" in error
    mapping.write_text('some: [kind 0, kind 7, wall]\nother: [kind 1, floor, bed]\n')
    status, metrics, _ = evaluate_bag(bag, '--remap', mapping)
    labelled = sum(np.isin(sample.labels, (0, 1, 7)).sum() for sample in tiny_samples)
    assert np.sum(metrics['confusion']) + sum(metrics['unpredicted']) == labelled
    mapping.write_text('some: [wal]\n')
    assert "did you mean 'wall'?" in evaluate_bag(bag, '--remap', mapping)[2]


def test_labels_without_class_names_warn(bag_path, evaluate_bag, tmp_path, caplog):
    assert evaluate_bag(bag_path, '--label-names-topic', '/none')[0] == 0
    assert 'class names of the labels are unknown (no /none)' in caplog.text
    small = save_random_checkpoint(tmp_path / 'small.safetensors', ('a', 'b', 'c'))
    options = ('--checkpoint', small)
    assert '40 classes against 3' in evaluate_bag(bag_path, *options)[2]
    assert evaluate_bag(bag_path, *options, '--label-names-topic', '/none')[0] == 2


def test_bag_without_labels_is_rejected(tiny_samples, evaluate_bag, tmp_path):
    samples = [replace(tiny_samples[0], labels=None)] * 2
    write_bag(samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    status, _, error = evaluate_bag(tmp_path / 'bag')
    assert status == 2
    assert '2 pairs of colour and depth' in error
    assert 'no pair has labels of its stamp' in error
    assert f'0 labels in {TOPICS.labels}' in error


def test_bag_without_pairs_is_rejected(bag_path, evaluate_bag, tmp_path):
    bag = shifted(bag_path, tmp_path / 'new', TOPICS.depth, stamp_ns=16_000_000)
    status, _, error = evaluate_bag(bag)
    assert status == 2
    for text in ('0 pairs of colour and depth', 'rgb_unmatched 5', '--sync-slop'):
        assert text in error


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--camera 0,0,10,10', 'focal lengths must be positive'),
        ('--checkpoint none.safetensors', 'none.safetensors'),
        ('--backend tensorrt', "unknown backend 'tensorrt'; there are auto, torch"),
        ('--remap /no/file.yaml', '/no/file.yaml cannot be read'),
        ('--labels /no/folder', 'no file matches'),
        ('--rate 2', '--rate needs --live'),
        ('--lossless', '--lossless needs --live'),
        ('--live --rate 0', '--rate must be above 0'),
        ('--live --params-file /no/file.yaml', '/no/file.yaml cannot be read'),
        ('--live --node segmentation', '--node must begin with /'),
        ('--live --node /a --device cpu', 'is for a node that is started'),
        ('--live --param max_rate=5', '--param must be NAME:=VALUE'),
        ('--live --param sync.slop:=0.1', 'use --sync-mode, --sync-slop'),
    ],
)
def test_invalid_options_are_rejected(bag_path, evaluate_bag, options, message):
    status, _, error = evaluate_bag(bag_path, *options.split())
    assert status == 2
    assert message in error
    assert error.count('\n') == 1
