# SPDX-License-Identifier: Apache-2.0
"""The node as a program: invalid options, signals, failure."""

import itertools
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
from ros_harness import DEADLINE_S, INPUT_NAMES, MASK
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import SetBool, Trigger

from sgnet_core.errors import InputError, SgnetError
from sgnet_ros.compat.dds_profile import large_image_profile, profile_text
from sgnet_ros.compat.distributions import EXECUTORS
from sgnet_ros.compat.ros_node import init_ros
from sgnet_ros.node.process import serve
from sgnet_ros.replay.mask_subscriber import BEFORE_PAIRING

HERE = Path(__file__).resolve().parents[1]
REPOSITORY = HERE.parents[1]
CONFIGURE = Transition(id=Transition.TRANSITION_CONFIGURE)
COMMAND = [sys.executable, '-m', 'sgnet_ros', 'segmentation_node']


def environment():
    path = os.pathsep.join([str(REPOSITORY), os.environ.get('PYTHONPATH', '')])
    return {**os.environ, 'PYTHONPATH': path, 'PYTHONUNBUFFERED': '1'}


def popen(command, environ):
    """A process as a script starts it with `&`: SIGINT is ignored."""
    return subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def ended(process, number):
    """(exit status, stdout, stderr) after this signal."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def statistics(process, number):
    """The counts of a node that this signal ends well."""
    status, out, err = ended(process, number)
    assert status == 0, err
    assert 'Traceback' not in err
    assert '[segmentation]: pairs ' in err.splitlines()[-1]
    counts = json.loads(out)
    paired = [n for cause, n in counts['dropped'].items() if cause not in BEFORE_PAIRING]
    assert counts['pairs'] == counts['masks'] + sum(paired), 'also of the frame in progress'
    return counts


@pytest.mark.parametrize(
    ('parameter', 'words'),
    [
        ('checkpoint:=no/such/file.safetensors', ['no/such/file.safetensors']),
        ('sync.slopp:=0.1', ["'sync.slopp'", "'sync.slop'?"]),
        ('device', ["'-p device'", 'NAME:=VALUE']),
        ('executor:=asyncio', ['executor', "'asyncio'", 'single_threaded, events']),
    ],
)
def test_wrong_usage_prints_one_line(ros_domain_id, monkeypatch, parameter, words):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    process = popen([*COMMAND, '--ros-args', '-p', parameter], environment())
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert all(word in err.splitlines()[-1] for word in words)
    assert err.count(words[0]) == 1
    assert 'Traceback' not in err


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (['-r', 'rgb/image:=/x/'], r"'-r rgb/image:=/x/': names .* do not end with /"),
        (['-r', '__ns:=a b'], "'-r __ns:=a b': names have letters"),
        (['--params-file', '/no/x.yaml'], "'--params-file /no/x.yaml': it must be a YAML file"),
        (['--log-level', 'silly'], 'use debug, info'),
        (['--bogus'], '--bogus'),
    ],
)
def test_invalid_ros_argument_is_named_in_one_line(words, text):
    with pytest.raises(InputError, match=text) as raised:
        init_ros(['--ros-args', *words])
    assert '\n' not in str(raised.value)


@pytest.fixture
def program(ros, ros_domain_id, monkeypatch):
    """Starts a node as a program of its own, wired to the camera; ends it in the end.

    `start(behaviour)` runs it with the fake segmenter, `start(None, ...)` is the real command.
    """
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    running = []

    def start(behaviour, *options):
        command = [sys.executable, str(HERE / 'fake_node.py'), behaviour] if behaviour else COMMAND
        topics = [f'{topic}:=/cam/{name}' for topic, name in INPUT_NAMES.items()]
        words = [word for topic in topics for word in ('-r', topic)]
        words += [word for option in ('qos.input:=reliable', *options) for word in ('-p', option)]
        running.append(popen([*command, '--ros-args', *words], environment()))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def connected(ros):
    camera = ros.camera()
    camera.listen(Image, MASK)
    camera.connect(MASK)
    return camera


def send_until(ros, camera, happened, *messages):
    """Send again and again: the program may see its subscriber later than we see the program."""
    stamps = itertools.count(10**9, 10**9)
    ros.spin_until(lambda: camera.send(next(stamps), *messages) or happened(), 'what was sent for')


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_node_with_one_line_of_statistics(ros, program, number, executor):
    process = program('work', f'executor:={executor}')
    camera = connected(ros)
    masks = camera.received[MASK]
    send_until(ros, camera, lambda: masks)
    counts = statistics(process, number)
    assert counts['masks'] >= len(masks)


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
    send_until(ros, camera, lambda: hangs(process))
    return process, camera


def deactivating(ros, program):
    """The executor waits for the frame, and hears nothing more."""
    process, camera = at_a_frame(ros, program)
    asked(ros, camera, SetBool, 'enable', data=False)
    ros.spin_until(lambda: not camera.rgb.get_subscription_count(), 'the end of the inputs')
    return process, camera


def loading(behaviour, service=None, kind=None, **request):
    def state(ros, program):
        process = program(behaviour, f'autostart:={str("transition" not in request).lower()}')
        if service:
            asked(ros, ros.camera(), kind, service, **request)
        ros.spin_until(lambda: hangs(process), 'the loading')
        return process, None

    return state


@pytest.mark.parametrize(
    ('state', 'number'),
    [
        (at_a_frame, signal.SIGTERM),
        (deactivating, signal.SIGINT),
        (loading('load'), signal.SIGINT),
        (loading('load', 'change_state', ChangeState, transition=CONFIGURE), signal.SIGTERM),
        (loading('reload', 'reload_model', Trigger), signal.SIGINT),
    ],
)
def test_signal_ends_a_busy_node(ros, program, state, number):
    """The interrupted work never ends."""
    process, _ = state(ros, program)
    assert statistics(process, number)['masks'] == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_node_during_imports(tmp_path, number):
    """An exception there once ended the process by SIGINT although it was caught."""
    (tmp_path / 'torch.py').write_text(
        'import threading\nprint("hanging", flush=True)\nthreading.Event().wait()\n'
    )
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    process = popen(COMMAND, {**environment(), 'PYTHONPATH': path})
    assert process.stdout.readline() == 'hanging\n'
    assert ended(process, number) == (0, '', '')


def test_signal_at_the_start_of_the_process_waits_for_its_handler():
    """As the launch files start the node; Python itself would end with a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the process inherits it
    try:
        process = popen(COMMAND, environment())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert ended(process, signal.SIGINT) == (0, '', '')


def test_serve_adds_one_callback_only(ros):
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


def test_defect_ends_the_node_with_status_1_and_traceback(ros, program):
    process = program('fail')
    send_until(ros, connected(ros), lambda: process.poll() is not None)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert 'RuntimeError: a defect in the network' in err
    assert 'the node has failed' in err.splitlines()[-1]


def test_command_publishes_the_mask_of_the_segmenter(ros, program, tiny_samples, tmp_path):
    """A real network in a process of its own: the mask on the wire is that of the library."""
    from random_network import save_random_checkpoint

    from sgnet_core.inference.segmenter import Segmenter
    from sgnet_ros.conversions.camera_info import camera_info_to_msg
    from sgnet_ros.conversions.images import depth_to_msg, rgb_to_msg
    from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg

    checkpoint = save_random_checkpoint(tmp_path / 'random.safetensors')
    options = (f'checkpoint:={checkpoint}', 'device:=cpu', 'backend:=torch')
    process = program(None, *options)
    camera = ros.camera()
    camera.listen(Image, MASK)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(String, '/segmentation/labels', latched)
    camera.connect(MASK)
    frame = tiny_samples[0].frame
    messages = (
        rgb_to_msg(frame.rgb, Header()),
        depth_to_msg(frame.depth_m, Header()),
        camera_info_to_msg(frame.intrinsics, Header()),
    )

    send_until(ros, camera, lambda: camera.received[MASK], *messages)
    segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
    expected = segmenter.segment(frame).labels
    mask = mask_from_msg(camera.received[MASK][0])
    # Another number of threads may round otherwise where two classes are as probable.
    assert (mask == expected).mean() > 0.99
    assert len(np.unique(expected)) > 2
    (labels,) = camera.wait(1, '/segmentation/labels')
    assert label_names_from_msg(labels) == segmenter.class_names
    status, _, err = ended(process, signal.SIGTERM)
    assert status == 0, err
    assert segmenter.description in err
    chosen = {**os.environ, **large_image_profile(os.environ)}
    assert profile_text(chosen, get_rmw_implementation_identifier()) in err
