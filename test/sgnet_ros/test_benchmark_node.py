# SPDX-License-Identifier: Apache-2.0
"""What benchmark_node measures is what it says, and its figures add up."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.node import Node
from ros_world import image

from sgnet_core.cli import run_command
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.benchmark import plan, report, targets
from sgnet_ros.benchmark.listener import Listener
from sgnet_ros.benchmark.process_usage import Usage, usage_of
from sgnet_ros.benchmark.run import Observation
from sgnet_ros.benchmark.stand_in import StandIn

TIMEOUT_S = 240.0
CASE = plan.Case((480, 640), 10.0, ('mask',), 4.0)
STAGE = {'p50': 50.0, 'p95': 60.0}
NODE = {
    'received': {'rgb': 40, 'depth': 40},
    'pairs': 39,
    'masks': 37,
    'dropped': {'newer_frame': 2, 'rgb_unmatched': 1},
    'processing_ms': {'p50': 52.0, 'p95': 63.0},
    'stages_ms': {'segment': STAGE},
}
SAMPLES = [
    (10.0 + second, {'node': Usage(3.0 + 0.5 * second, 100.0 + second)}) for second in range(5)
]


def observed(latency_ms=tuple(range(55, 92)), **node):
    return Observation(40, list(latency_ms), {'mask': list(latency_ms)}, {**NODE, **node}, SAMPLES)


def row(seen=None, **changes):
    return report.row(CASE, seen or observed()) | changes


def test_a_row_adds_up():
    made = row()
    assert made['masks'] + sum(made['dropped'].values()) == made['pairs']
    assert (made['unaccounted'], made['unpaired']) == (0, {'rgb_unmatched': 1})
    assert made['latency_ms']['p50'] == 73
    assert made['overhead_ms'] == 73 - 50
    assert (made['first_ms'], made['tenth_ms']) == (55, 64)
    assert made['fps'] == 37 / 4
    assert made['cores'] == {'node': 0.5}
    assert made['memory_mb'] == {'middle': 102.0, 'end': 104.0}
    json.dumps(made, allow_nan=False)


def test_what_is_missing_shows():
    assert row(observed(pairs=41))['unaccounted'] == 2
    assert row(observed(latency_ms=range(30)))['not_received'] == 7
    (target,) = (t for t in targets.judge([row(unaccounted=-1)], {}) if 'unaccounted' in t['name'])
    assert (target['value'], target['met']) == (1, False)


def test_a_row_of_nothing_is_no_error():
    nothing = row(observed((), pairs=2, masks=0, stages_ms={'segment': None}, processing_ms=None))
    nothing = nothing | {'cores': None, 'memory_mb': None, 'name': plan.MEMORY}
    assert nothing['latency_ms'] is None
    assert targets.ratios_of([nothing]) == {}
    assert all(target['met'] is not False for target in targets.judge([nothing], {}))
    figures = {'protocol': {}, 'rows': [nothing], 'ratios': {}, 'targets': []}
    assert plan.MEMORY in report.text(figures)


def test_overhead_is_that_of_cameras_the_node_keeps_up_with():
    calm, faster = row(overhead_ms=7.0), row(overhead_ms=7.5)
    busy = row(overhead_ms=40.0, sent=4 * 30)
    other = row(overhead_ms=9.0, outputs=['mask', 'color', 'overlay'])
    rows = [calm, busy, faster, other]
    assert targets.overhead_ms(rows, '480x640', ('mask',)) == 7.5
    assert targets.overhead_ms([busy], '480x640', ('mask',)) is None
    by_name = {target['name']: target for target in targets.judge(rows, {})}
    assert by_name['overhead 480x640 mask, ms']['met']
    assert by_name['overhead 480x640 mask,color,overlay, ms']['value'] == 9.0
    assert not targets.judge([row(overhead_ms=8.1)], {})[0]['met']


@pytest.mark.parametrize(('p99', 'met'), [(80.0, True), (84.0, False)])
def test_overload_is_judged_by_the_time_of_the_network(p99, met):
    rows = [row(overhead_ms=6.0), row(name='fast', sent=4 * 80, overhead_ms=30.0)]
    rows[1]['latency_ms'] = {'p50': 70.0, 'p95': 75.0, 'p99': p99}
    ratios = targets.ratios_of(rows)
    assert ratios['overload_model_times.fast'] == round((p99 - 6) / 50, 4)
    (target,) = (t for t in targets.judge(rows, ratios) if 'overload' in t['name'])
    assert target['met'] == met
    rows[1]['sent'] = 4 * 79
    assert 'overload_model_times.fast' not in targets.ratios_of(rows)


def test_memory_and_the_first_frame_have_their_ratios():
    rows = [row(first_ms=90.0, tenth_ms=60.0), row(name=plan.MEMORY, first_ms=1e3, sent=4)]
    assert targets.ratios_of(rows) == {'first_over_tenth': 1.5, 'memory_end_over_middle': 1.0196}


def test_every_combination_is_a_case_of_its_own():
    cases = plan.make_cases(
        ['7', 'max', '7.0'], [(48, 64), (30, 50)], ['mask', 'points'], 2.0, None
    )
    assert len(cases) == len({case.name for case in cases}) == 2 * 2 * 2
    assert {case.rate_hz for case in cases} == {7.0, math.inf}
    assert plan.memory_case(10_000).seconds * plan.MEMORY_RATE_HZ == 10_000


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--rate', '0'], "--rate must be above 0 Hz, or max for flat out, got '0'"),
        (['--rate', 'fast'], "got 'fast'"),
        (['--outputs', 'mask,colour'], "knows mask, color, overlay, .* got 'colour'"),
        (['--seconds', '-1'], '--seconds must be above 0'),
        (['--seconds', 'nan'], '--seconds must be above 0'),
        (['--stand-in', '-5'], '--stand-in must be 0 ms or more'),
        (['--memory-frames', '-1'], '--memory-frames must be 0 or more'),
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
    ros.strangers.append(listener._executor.get_nodes()[0])
    for output, stamp in (('mask', 5), ('color', 5), ('mask', 7), ('color', 9), ('mask', 9)):
        message = image('mono8', bytes(24))
        message.header.stamp.nanosec = stamp
        listener._store(output, message)
    mask, color = listener.latency_ms['mask'], listener.latency_ms['color']
    assert listener.end_to_end_ms() == [color[5], mask[9]], '7 has no colours'
    assert color[5] >= mask[5]
    assert mask[9] >= color[9]


def test_usage_is_that_of_the_process():
    """Also where its name looks like the fields behind it."""
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


def test_the_stand_in_answers_at_the_size_of_the_frame():
    stand_in = StandIn(0.0)
    for height, width in ((30, 50), (48, 64)):
        camera = CameraIntrinsics(width, height, 50.0, 50.0, 25.0, 15.0)
        rgb, depth_m = np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32)
        result = stand_in.segment(RgbdFrame(rgb, depth_m, camera))
        assert result.labels.shape == (height, width)
        assert len(np.unique(result.labels)) > 10
        assert result.labels.max() < len(result.class_names)


def test_three_processes_over_dds(ros_domain_id, tmp_path):
    """The whole command, with a node that has no network to load."""
    done = subprocess.run(
        [sys.executable, '-m', 'sgnet_ros', 'benchmark_node', '--quick', '--rate', '30']
        + ['--outputs', 'mask,overlay', '--json', tmp_path / 'figures.json'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'figures.json').read_text())
    (made,) = figures['rows']
    assert made['sent'] == 30
    assert made['masks'] > 0
    assert made['masks'] + sum(made['dropped'].values()) == made['pairs'] <= 30
    assert made['latency_ms']['p50'] > made['segment_ms']['p50']
    assert made['latency_ms']['p50'] >= made['outputs_ms']['mask']['p50']
    assert figures['protocol']['interrupted'] is False
    assert made['name'] in done.stdout
    assert {'protocol', 'rows', 'ratios', 'targets'} <= set(figures)
