# SPDX-License-Identifier: Apache-2.0
"""The viewer: its recordings read back, and a real node that it must not disturb."""

import itertools
import signal
import sys
import threading
from collections import defaultdict

import numpy as np
import pytest
from fake_node import CLASS_NAMES, FakeSegmenter
from ros_harness import camera_messages

from sgnet_core.cli.runner import run_command
from sgnet_core.inference.segmenter import Segmenter
from sgnet_ros.viewer.live import LiveView
from sgnet_ros.viewer.scene import Scene


def columns(recording):
    """Entity -> component -> the values of all rows."""
    reader = pytest.importorskip('rerun.chunk').RrdReader(recording)
    found = defaultdict(lambda: defaultdict(list))
    for chunk in reader.stream():
        batch = chunk.to_record_batch()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if ':' in name:  # not a time
                found[chunk.entity_path][name.partition(':')[2]] += column.to_pylist()
    return found


def class_names(recorded):
    (((*entries, unlabelled),),) = recorded['/']['context']
    assert unlabelled['class_description']['info']['label'] == 'unlabelled'
    return [entry['class_description']['info']['label'] for entry in entries]


@pytest.mark.parametrize('kind', ['folder', 'bag'])
def test_recording_has_masks_points_and_curves(
    kind, tiny_dataset, tiny_samples, bag_path, checkpoint, tmp_path
):
    pytest.importorskip('rerun')
    source = tiny_dataset.root if kind == 'folder' else bag_path
    options = ['--save', str(tmp_path / 'a.rrd'), '--checkpoint', str(checkpoint)]
    assert run_command('sgnet_ros', 'view', [str(source), *options, '--device', 'cpu']) == 0
    recorded = columns(tmp_path / 'a.rrd')
    segmenter = Segmenter.from_checkpoint(checkpoint, 'cpu')
    assert class_names(recorded) == list(segmenter.class_names)
    assert len(recorded['/camera/mask']['buffer']) == len(tiny_samples)
    for row, sample in enumerate(tiny_samples):
        labels = segmenter.segment(sample.frame).labels
        mask = np.array(recorded['/camera/mask']['buffer'][row][0], np.uint8)
        assert (mask.reshape(labels.shape) == labels).mean() > 0.99  # JPEG in the folder
        measured = np.isfinite(sample.frame.depth_m)
        assert len(recorded['/points']['positions'][row]) == measured.sum()
        depth = np.array(recorded['/camera/depth']['buffer'][row][0], np.uint8).view(np.uint16)
        np.testing.assert_allclose(
            depth[measured.ravel()], 1000 * sample.frame.depth_m[measured], atol=1
        )
        assert recorded['/curves/latency_ms/segment']['scalars'][row][0] > 0


def feed(ros, node, stamps):
    """One pair for each stamp, and until each is a mask."""
    for stamp in stamps:
        for subscription, message in zip(
            node._subscriber._subscriptions, camera_messages(64, 48).values(), strict=False
        ):
            message.header.stamp.sec = stamp
            subscription.callback(message)
        pairs = node.counters.counts().pairs
        ros.spin_until(lambda n=pairs: node.counters.counts().masks == n, 'the mask')


class WatchedScene(Scene):
    """Remembers what it has shown."""

    def __init__(self):
        super().__init__()
        self.shown = set()

    def set_classes(self, *values):
        super().set_classes(*values)
        self.shown.add('classes')

    def log_frame(self, *values):
        super().log_frame(*values)
        self.shown.add('frame')

    def log_curves(self, stamp_ns, values):
        super().log_curves(stamp_ns, values)
        self.shown.update(values)


def test_viewer_shows_a_running_node(ros, tmp_path):
    pytest.importorskip('rerun')
    node = ros.segmentation(FakeSegmenter(), 'watched', diagnostics__period=0.1)
    scene, stop = WatchedScene(), threading.Event()
    scene.save(tmp_path / 'a.rrd')
    view = LiveView(ros.external_node('viewer'), '/watched', scene, 1000.0)
    thread = threading.Thread(target=view.run, args=(stop,))
    thread.start()
    ros.spin_until(lambda: node._output_publishers.subscribed() == {'~/points'}, 'the viewer')
    stamps = itertools.count(1)
    while not {'classes', 'frame', 'latency_ms/p50'} <= scene.shown:
        feed(ros, node, itertools.islice(stamps, 1))
    stop.set()
    thread.join()
    scene.close()
    recorded = columns(tmp_path / 'a.rrd')
    assert class_names(recorded) == list(CLASS_NAMES)
    assert {*recorded['/camera/mask']['buffer'][0][0]} == {0}  # all is one metre away
    assert len(recorded['/points']['class_ids'][0]) == 64 * 48
    assert recorded['/curves/latency_ms/p50']['scalars'][0][0] > 0


@pytest.mark.parametrize('end', [signal.SIGSTOP, signal.SIGKILL])
def test_viewer_that_hangs_or_is_killed_does_not_delay_the_node(ros, start_command, tmp_path, end):
    pytest.importorskip('rerun')
    node = ros.segmentation(FakeSegmenter(), 'watched')
    view = start_command('view', '--node', 'watched', '--save', tmp_path / 'a.rrd')
    ros.spin_until(lambda: node._output_publishers.subscribed() == {'~/points'}, 'the viewer')
    stamps = itertools.count(1)
    feed(ros, node, itertools.islice(stamps, 1))
    view.send_signal(end)
    feed(ros, node, itertools.islice(stamps, 60))
    publish_ms = sorted(node.counters.counts().stages_ms['publish'][-60:])
    assert publish_ms[30] < 50
    view.kill()


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--save', '/no/such/folder/a.rrd'], 'there is no folder /no/such/folder'),
        (['/no/such/bag', '--save', 'a.rrd'], 'no bag or dataset folder at /no/such/bag'),
    ],
)
def test_invalid_options_are_one_line(argv, message, capsys, tmp_path, monkeypatch):
    pytest.importorskip('rerun')
    monkeypatch.chdir(tmp_path)
    assert run_command('sgnet_ros', 'view', argv) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('argv', [['view'], ['demo', '--view']])
def test_missing_rerun_is_one_line_with_the_command(argv, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    assert run_command('sgnet_ros', argv[0], argv[1:]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'rerun-sdk" in line
