# SPDX-License-Identifier: Apache-2.0
"""The node as a program: help, bad options, signals, failure.

Over 300 lines: all of them share one way to start and to end it.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_node import FakeSegmenter
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from rclpy.utilities import get_rmw_implementation_identifier
from ros_world import DEADLINE_S
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import SetBool, Trigger

from sgnet_core.errors import SgnetError
from sgnet_ros.dds_profile import large_image_profile, profile_text
from sgnet_ros.node_process import serve

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DROPPED_BEFORE_PAIRING = {'rgb_unmatched', 'depth_unmatched', 'duplicate_stamp', 'time_jump'}
COMMAND = [sys.executable, '-m', 'sgnet_ros', 'segmentation_node']


def environment(ros_domain_id=0):
    path = os.pathsep.join([str(REPOSITORY), os.environ.get('PYTHONPATH', '')])
    return {
        **os.environ,
        'PYTHONPATH': path,
        'ROS_DOMAIN_ID': str(ros_domain_id),
        'PYTHONUNBUFFERED': '1',
    }


def ignoring_ctrl_c():
    """As programs start that a script starts with `&`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(arguments, ros_domain_id=0):
    return subprocess.run(
        arguments,
        env=environment(ros_domain_id),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_needs_neither_torch_nor_ros():
    program = (
        'import sys; from sgnet_ros.__main__ import COMMANDS; from sgnet_core.cli import main\n'
        'try: main("sgnet_ros", COMMANDS, ["segmentation_node", "--help"])\n'
        'except SystemExit as end: assert end.code == 0\n'
        'print(sorted({"torch", "cv2", "rclpy"} & set(sys.modules)))'
    )
    done = run([sys.executable, '-c', program])
    assert '--ros-args' in done.stdout
    assert done.stdout.splitlines()[-1] == '[]', done.stderr


def test_a_missing_checkpoint_is_wrong_usage(ros_domain_id):
    done = run(
        [*COMMAND, '--ros-args', '-p', 'checkpoint:=no/such/file.safetensors'], ros_domain_id
    )
    assert done.returncode == 2
    assert 'no/such/file.safetensors' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr


def test_an_unknown_parameter_is_wrong_usage_and_named(ros_domain_id):
    done = run([*COMMAND, '--ros-args', '-p', 'sync.slopp:=0.1'], ros_domain_id)
    assert done.returncode == 2
    assert "'sync.slopp'" in done.stderr.splitlines()[-1]
    assert "'sync.slop'?" in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr


@pytest.fixture
def program(ros, ros_domain_id):
    """Starts a node as a program of its own, wired to the camera; ends it in the end.

    `start(behaviour)` runs it with the fake segmenter, `start(None, ...)` is the real command.
    """
    running = []

    def start(behaviour, *options):
        command = [sys.executable, str(HERE / 'fake_node.py'), behaviour] if behaviour else COMMAND
        process = subprocess.Popen(
            [*command, '--ros-args', '-r', 'rgb/image:=/cam/rgb', '-r', 'depth/image:=/cam/depth',
             '-r', 'rgb/camera_info:=/cam/info', '-p', 'qos.input:=reliable', *options],
            env=environment(ros_domain_id),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=ignoring_ctrl_c,
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def connected(ros):
    camera = ros.camera()
    camera.listen(Image, '/segmentation/mask')
    camera.connect('/segmentation/mask')
    return camera


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_one_line_of_statistics(ros, program, number):
    process = program('work')
    camera = connected(ros)
    masks = camera.received['/segmentation/mask']
    stamps = iter(range(10**9, 10**12, 10**9))

    def mask_came():
        # Sent again and again: the program may see its subscriber later than we see the program.
        camera.send(next(stamps))
        return masks

    ros.spin_until(mask_came, 'a mask')
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert 'Traceback' not in err
    assert '[segmentation]: pairs ' in err.splitlines()[-1]
    counts = json.loads(out)
    assert counts['masks'] >= len(masks)
    paired = [n for cause, n in counts['dropped'].items() if cause not in DROPPED_BEFORE_PAIRING]
    assert counts['pairs'] == counts['masks'] + sum(paired)


def hangs(process):
    ready, _, _ = select.select([process.stdout], [], [], 0)
    return ready and process.stdout.readline() == 'hanging\n'


def asked(ros, camera, kind, name, **request):
    """Ask for a service, and do not wait for the answer."""
    client = camera.node.create_client(kind, f'/segmentation/{name}')
    ros.spin_until(client.service_is_ready, name)
    client.call_async(kind.Request(**request))


def at_a_frame(ros, program):
    process, camera = program('hang'), connected(ros)
    stamps = iter(range(10**9, 10**12, 10**9))
    ros.spin_until(lambda: camera.send(next(stamps)) or hangs(process), 'the frame')
    return process, camera


def deactivating(ros, program):
    """The executor waits for the frame, and hears nothing more."""
    process, camera = at_a_frame(ros, program)
    asked(ros, camera, SetBool, 'enable', data=False)
    ros.spin_until(lambda: not camera.rgb.get_subscription_count(), 'the end of the inputs')
    return process, camera


def configuring(ros, program):
    process, camera = program('load', '-p', 'autostart:=false'), ros.camera()
    transition = Transition(id=Transition.TRANSITION_CONFIGURE)
    asked(ros, camera, ChangeState, 'change_state', transition=transition)
    ros.spin_until(lambda: hangs(process), 'the loading')
    return process, camera


def starting(ros, program):
    process = program('load')
    ros.spin_until(lambda: hangs(process), 'the loading')
    return process, None


def reloading(ros, program):
    process, camera = program('reload'), ros.camera()
    asked(ros, camera, Trigger, 'reload_model')
    ros.spin_until(lambda: hangs(process), 'the loading')
    return process, camera


@pytest.mark.parametrize(
    ('state', 'number'),
    [
        (at_a_frame, signal.SIGTERM),
        (deactivating, signal.SIGINT),
        (starting, signal.SIGINT),
        (configuring, signal.SIGTERM),
        (reloading, signal.SIGINT),
    ],
)
def test_signals_end_it_whatever_it_is_at(ros, program, state, number):
    """What it is at here never ends; so this would hang."""
    process, _ = state(ros, program)
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert 'Traceback' not in err
    assert '[segmentation]: pairs ' in err.splitlines()[-1]
    assert json.loads(out)['masks'] == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_while_it_imports(tmp_path, number):
    """An exception there once came out as death by SIGINT although it was caught."""
    (tmp_path / 'torch.py').write_text(
        'import threading\nprint("hanging", flush=True)\nthreading.Event().wait()\n'
    )
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    process = subprocess.Popen(
        COMMAND,
        env={**environment(), 'PYTHONPATH': path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=ignoring_ctrl_c,
    )
    assert process.stdout.readline() == 'hanging\n'
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, err) == (-number, '')


def test_serving_leaves_nothing_behind_at_each_message(ros):
    """As many callbacks as messages on the future of failure were 95 MB an hour."""

    class CountingFuture(Future):
        added = 0

        def add_done_callback(self, callback):
            self.added += 1
            super().add_done_callback(callback)

    node = ros.segmentation(FakeSegmenter(), autostart=False)
    ros.executor.remove_node(node)
    ros.nodes.remove(node)
    node.failed = CountingFuture()
    ticks = iter(range(100))

    def tick():
        if next(ticks) == 99:
            node.failed.set_result(None)

    node.create_timer(0.001, tick)
    with pytest.raises(SgnetError, match='the node has failed'):
        serve(node)
    assert node.failed.added == 1


def test_a_defect_ends_it_with_status_1_and_its_traceback(ros, program):
    process = program('fail')
    camera = connected(ros)
    stamps = iter(range(10**9, 10**12, 10**9))

    def ended():
        camera.send(next(stamps))
        return process.poll() is not None

    ros.spin_until(ended, 'the end of the program')
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert 'RuntimeError: a defect in the network' in err
    assert 'the node has failed' in err.splitlines()[-1]


def test_the_command_segments_as_the_segmenter_does(ros, program, tiny_samples, tmp_path):
    """A real network in a process of its own: the mask on the wire is that of the library."""
    from random_network import save_random_checkpoint

    from sgnet_core.segmenter import Segmenter
    from sgnet_ros.camera_info_conversion import camera_info_to_msg
    from sgnet_ros.conversions import depth_to_msg, rgb_to_msg
    from sgnet_ros.mask_conversion import label_names_from_msg, mask_from_msg

    checkpoint = save_random_checkpoint(tmp_path / 'random.safetensors')
    options = (f'checkpoint:={checkpoint}', 'device:=cpu', 'backend:=torch')
    process = program(None, *(word for option in options for word in ('-p', option)))
    camera = ros.camera()
    camera.listen(Image, '/segmentation/mask')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(String, '/segmentation/labels', latched)
    camera.connect('/segmentation/mask')
    frame = tiny_samples[0].frame
    stamps = iter(range(10**9, 10**12, 10**9))
    messages = (
        rgb_to_msg(frame.rgb, Header()),
        depth_to_msg(frame.depth_m, Header()),
        camera_info_to_msg(frame.intrinsics, Header()),
    )

    def mask_came():
        camera.send(next(stamps), *messages)
        return camera.received['/segmentation/mask']

    ros.spin_until(mask_came, 'a mask')
    segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
    expected = segmenter.segment(frame).labels
    mask = mask_from_msg(camera.received['/segmentation/mask'][0])
    # Another number of threads may round otherwise where two classes are as probable.
    assert (mask == expected).mean() > 0.99
    assert len(np.unique(expected)) > 2
    ros.spin_until(lambda: camera.received['/segmentation/labels'], 'the labels')
    (labels,) = camera.received['/segmentation/labels']
    assert label_names_from_msg(labels) == segmenter.class_names
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert segmenter.description in err
    chosen = {**os.environ, **large_image_profile(os.environ)}
    assert profile_text(chosen, get_rmw_implementation_identifier()) in err
