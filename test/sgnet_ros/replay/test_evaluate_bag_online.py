# SPDX-License-Identifier: Apache-2.0
"""`evaluate_bag --live`: through the node, over real DDS."""

import json
import os
import signal
import threading

import numpy as np
import pytest
from bag_files import shifted
from fake_node import FakeSegmenter

from sgnet_core.cli.runner import run_command
from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.writer import write_bag

TOPICS = FrameTopics()


@pytest.fixture
def bag(tmp_path, tiny_samples):
    """Fifteen frames at 1 kHz."""
    write_bag(tiny_samples * 3, tmp_path / 'bag', 1000.0, NYU40.class_names)
    return tmp_path / 'bag'


@pytest.fixture
def evaluate(ros_domain_id, tmp_path, monkeypatch):
    """Runs evaluate_bag in this domain; returns exit status and metrics."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))

    def run(*argv):
        metrics = tmp_path / 'metrics.json'
        status = run_command('sgnet_ros', 'evaluate_bag', [*map(str, argv), '--json', str(metrics)])
        return status, json.loads(metrics.read_text()) if metrics.exists() else None

    return run


@pytest.fixture
def running_node(ros):
    """A running node in a thread; `on_frame` gets its frames, `leave` ends it."""
    ended, threads = threading.Event(), []

    def start(name, on_frame=lambda frame: None, leave=None, **parameters):
        namespace, _, name = name.rpartition('/')
        segmenter = FakeSegmenter(on_frame)
        segmenter.class_names, segmenter.palette = NYU40.class_names, NYU40.palette
        parameters = {'qos__input': 'reliable', 'diagnostics__period': 0.2} | parameters
        inputs = (TOPICS.rgb, TOPICS.depth, TOPICS.camera_info)
        node = ros.segmentation(segmenter, name, namespace or '/', inputs=inputs, **parameters)

        def spin():
            while not ended.is_set():
                ros.executor.spin_once(timeout_sec=0.05)
                if leave is not None and leave.is_set():
                    ros.executor.remove_node(node)
                    ros.nodes.remove(node)
                    node.destroy_node()
                    leave.clear()

        threads.append(threading.Thread(target=spin))
        threads[0].start()
        return node

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def adds_up(metrics):
    return metrics['masks'] + sum(metrics['dropped'].values()) == metrics['pairs']


def test_lossless_metrics_equal_offline_metrics(bag, tmp_path, checkpoint, evaluate):
    """Depth is stamped later than colour."""
    bag = shifted(bag, tmp_path / 'late', TOPICS.depth, stamp_ns=300_000, time_ns=300_000)
    # ONNX Runtime needs ten seconds for its graph.
    argv = (bag, '--checkpoint', checkpoint, '--backend', 'torch')
    status, offline = evaluate(*argv)
    assert status == 0
    status, live = evaluate(*argv, '--live', '--lossless', '--param', 'warmup_iterations:=0')
    assert status == 0
    assert np.count_nonzero(np.sum(offline['confusion'], axis=0)) > 5
    np.testing.assert_array_equal(live['confusion'], offline['confusion'])
    for key in ('frames', 'pairs', 'unpaired', 'unlabelled', 'boundary_iou', 'by_distance'):
        assert live[key] == offline[key], key
    assert (live['frames_sent'], live['masks'], live['dropped']) == (15, 15, {})
    assert live['calibration'] is None
    assert live['fps'] > 0
    for key in ('latency_ms', 'label_age_ms'):
        assert 0 < live[key]['p50'] <= live[key]['p95'] <= live[key]['p99']


def test_drops_of_a_running_node_are_counted(bag, evaluate, running_node, capfd):
    node = running_node('/left/picky', max_rate=4.0)
    # Counts from before the replay are excluded.
    for _ in range(7):
        node.counters.paired()
    node.counters.dropped('newer_frame', 7)
    status, metrics = evaluate(bag, '--live', '--lossless', '--node', '/left/picky')
    assert status == 1
    lost = 15 - metrics['frames']
    assert f'not lossless: {lost} of 15 labelled frames have no mask' in capfd.readouterr().err
    assert metrics['pairs'] == 15
    assert 1 <= metrics['masks'] == metrics['frames'] < 15
    assert metrics['dropped'] == {'newer_frame': lost}
    assert adds_up(metrics)


@pytest.mark.parametrize('name', ['interrupted', 'interrupted_and_left'])
def test_ctrl_c_reports_the_masks_so_far(bag, evaluate, running_node, name):
    """In a launch file, Ctrl-C ends the node as well."""
    frames, leave = [], threading.Event()

    def interrupt(frame):
        frames.append(frame)
        if len(frames) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            if name == 'interrupted_and_left':
                leave.set()

    running_node(name, interrupt, leave, queue__policy='all', max_rate=5.0)
    status, metrics = evaluate(bag, '--live', '--lossless', '--node', f'/{name}')
    assert status == 130
    assert metrics['interrupted'] is True
    assert 2 <= metrics['frames'] == metrics['masks'] < 15
    assert min(metrics['dropped'].values(), default=1) > 0
    assert adds_up(metrics)


def test_end_of_a_running_node_is_an_error(bag, evaluate, running_node, capfd):
    leave = threading.Event()
    running_node('leaving', lambda frame: leave.set(), leave)
    assert evaluate(bag, '--live', '--lossless', '--node', '/leaving') == (1, None)
    assert 'no publisher on /leaving/mask' in capfd.readouterr().err


def test_other_classes_are_rejected_before_the_first_frame(
    tiny_samples, tmp_path, evaluate, running_node, capfd
):
    write_bag(tiny_samples, tmp_path / 'other', 10.0, tuple(f'kind {i}' for i in range(40)))
    frames = []
    running_node('unused', frames.append)
    assert evaluate(tmp_path / 'other', '--live', '--node', '/unused') == (2, None)
    assert "class 0 is 'kind 0' there and 'wall' here" in capfd.readouterr().err
    assert frames == []
