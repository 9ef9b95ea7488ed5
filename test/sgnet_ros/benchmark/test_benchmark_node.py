# SPDX-License-Identifier: Apache-2.0
"""benchmark_node measures what it reports, and its counts add up."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from rclpy.node import Node
from ros_harness import MASK, image
from sensor_msgs.msg import Image

from sgnet_core.cli.runner import run_command
from sgnet_core.errors import SgnetError
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.benchmark import report
from sgnet_ros.benchmark.fake_network import FakeNetwork
from sgnet_ros.benchmark.listener import Listener
from sgnet_ros.benchmark.suite import Case, Observation, Usage, usage_of

TIMEOUT_S = 240.0
CASE = Case((480, 640), 10.0, ('mask',), 4.0)
STAGE = {'p50': 50.0, 'p95': 60.0}
NODE = {
    'pairs': 39,
    'masks': 37,
    'dropped': {'newer_frame': 2, 'rgb_unmatched': 1},
    'stages_ms': {'segment': STAGE},
}
SAMPLES = [
    (10.0 + second, {'node': Usage(3.0 + 0.5 * second, 100.0 + second)}) for second in range(5)
]


def observed(latency_ms=tuple(range(55, 92)), **node):
    return Observation(40, list(latency_ms), {**NODE, **node}, SAMPLES)


def row(seen=None):
    return report.row(CASE, seen or observed())


def test_a_row_adds_up():
    made = row()
    assert made['masks'] + sum(made['dropped'].values()) == made['pairs']
    assert (made['unaccounted'], made['unpaired']) == (0, {'rgb_unmatched': 1})
    assert made['latency_ms']['p50'] == 73
    assert made['overhead_ms'] == 73 - 50
    assert made['fps'] == 37 / 4
    assert made['cores'] == {'node': 0.5}
    assert made['memory_mb'] == {'middle': 102.0, 'end': 104.0}
    json.dumps(made, allow_nan=False)


def test_missing_masks_are_counted():
    assert row(observed(pairs=41))['unaccounted'] == 2
    assert row(observed(latency_ms=range(30)))['not_received'] == 7


@pytest.mark.parametrize(
    'seen', [observed(range(40)), observed(pairs=41), observed(pairs=41, masks=39)]
)
def test_contradictory_counts_fail(seen):
    report.check_counts(row())
    with pytest.raises(SgnetError, match='counts contradict each other .40 sent, '):
        report.check_counts(row(seen))


def test_a_row_without_masks_is_valid():
    empty = row(observed((), pairs=2, masks=0, stages_ms={'segment': None}))
    assert empty['latency_ms'] is empty['overhead_ms'] is None
    assert CASE.name in report.as_text({'protocol': {}, 'rows': [empty | {'cores': None}]})


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--rate', '0'], '--rate must be above 0 Hz, got 0'),
        (['--rate', 'fast'], "--rate must be a number of Hz or max, got 'fast'"),
        (['--outputs', 'mask,colour'], "unknown output 'colour'; choose from mask, color, overlay"),
        (['--seconds', '-1'], '--seconds must be above 0'),
        (['--seconds', 'nan'], '--seconds must be above 0'),
        (['--stand-in', '-5'], '--stand-in must be 0 ms or more'),
        (['--device', 'tpu'], "unknown device 'tpu'"),
        (['--json', '/dev/null/x.json'], '--json /dev/null/x.json cannot be written'),
    ],
)
def test_wrong_usage(argv, message, capsys):
    assert run_command('sgnet_ros', 'benchmark_node', argv) == 2
    error = capsys.readouterr().err
    assert re.search(message, error.splitlines()[-1]), error


def test_the_listener_waits_for_the_last_output(ros):
    listener = Listener(Node('benchmark_test', context=ros.context), ['mask', 'color'])
    ros.external_nodes.append(listener._executor.get_nodes()[0])
    for output, stamp in (('mask', 5), ('color', 5), ('mask', 7), ('color', 9), ('mask', 9)):
        message = image('mono8', bytes(24))
        message.header.stamp.nanosec = stamp
        listener._store(output, message)
    mask, color = listener.latency_ms['mask'], listener.latency_ms['color']
    assert listener.end_to_end_ms() == [color[5], mask[9]], '7 has no colours'
    assert color[5] >= mask[5]
    assert mask[9] >= color[9]


def test_usage_reads_the_process():
    """Also if the name of the process looks like the fields after it."""
    program = (
        'import sys\nfrom pathlib import Path\n'
        "Path('/proc/self/comm').write_text('a) S 1 (b')\n"
        'kept = bytearray(40_000_000)\nfor _ in range(3_000_000): pass\n'
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, '-c', program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        used = usage_of(process.pid)
        process.stdin.close()
    assert 0.03 < used.cpu_s < 60
    assert 40 < used.resident_mb < 200
    assert usage_of(process.pid) is None


def test_fake_network_returns_labels_at_frame_size():
    network = FakeNetwork(0.0)
    for height, width in ((30, 50), (48, 64)):
        camera = CameraIntrinsics(width, height, 50.0, 50.0, 25.0, 15.0)
        rgb, depth_m = np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32)
        result = network.segment(RgbdFrame(rgb, depth_m, camera))
        assert result.labels.shape == (height, width)
        assert len(np.unique(result.labels)) > 10
        assert result.labels.max() < len(result.class_names)


@pytest.fixture
def other_masks(ros):
    """Another node of the domain publishes masks, each with a new stamp."""
    publisher = ros.external_node('segmentation').create_publisher(Image, MASK, 1)
    other = image('mono8', bytes(24))
    ended = threading.Event()

    def publish():
        while not ended.wait(0.01):
            other.header.stamp.sec += 1
            publisher.publish(other)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_command_runs_three_processes_over_dds(ros_domain_id, other_masks, tmp_path):
    """The whole command with a fake network, beside another node."""
    done = subprocess.run(
        [sys.executable, '-m', 'sgnet_ros', 'benchmark_node', '--size', '96x128', '--seconds', '1']
        + ['--stand-in', '0', '--rate', '30', '--rate', '30.0', '--outputs', 'mask']
        + ['--json', tmp_path / 'results.json'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / 'results.json').read_text())
    (made,) = results['rows']
    assert made['sent'] == 30
    assert made['masks'] > 0
    assert made['masks'] + sum(made['dropped'].values()) == made['pairs'] <= 30
    assert made['not_received'] >= 0
    assert made['latency_ms']['p50'] > made['segment_ms']['p50']
    assert results['protocol']['interrupted'] is False
    assert made['name'] in done.stdout
    assert set(results) == {'protocol', 'rows'}
