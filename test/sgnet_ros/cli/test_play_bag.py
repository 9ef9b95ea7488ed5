# SPDX-License-Identifier: Apache-2.0
"""`play_bag` in a separate process, received over DDS."""

import json
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from bag_files import shifted, truncate

from sgnet_core.cli.runner import run_command
from sgnet_core.errors import DataError
from sgnet_core.labels import NYU40
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.player import BagPlayer
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import START_NS, write_bag
from sgnet_ros.conversions.images import rgb_from_msg, stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg
from sgnet_ros.topics import LATCHED_QOS

TOPICS = FrameTopics()
DEADLINE_S = 60.0
STREAMS = (TOPICS.rgb, TOPICS.depth, TOPICS.camera_info, TOPICS.labels)


@pytest.fixture
def listener(ros):
    return Listener(ros)


@pytest.fixture
def play(start_command):
    return lambda *argv: start_command('play_bag', *argv)


class Listener:
    """Keeps the received messages by topic."""

    def __init__(self, world):
        from rclpy.node import Node

        self.world = world
        self.node = world.add(Node('listener', context=world.context))
        self.received = {}
        self.expected = {}

    def listen(self, *topics, count=5, qos=50):
        """Subscribe to topics of `count` messages each."""
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, Image
        from std_msgs.msg import String

        kinds = {TOPICS.camera_info: CameraInfo, TOPICS.label_names: String, '/clock': Clock}
        for topic in topics:
            messages = self.received[topic] = []
            self.expected[topic] = count
            self.node.create_subscription(kinds.get(topic, Image), topic, messages.append, qos)

    def stamps(self, topic):
        return [stamp_ns(message.header) for message in self.received[topic]]

    def has_all(self):
        return all(len(self.received[topic]) >= n for topic, n in self.expected.items())

    def until_end(self, process, status=0):
        """Spin until the process has ended and all messages have arrived; returns its output."""
        self.world.spin_until(lambda: process.poll() is not None, 'the end of play_bag')
        output = process.communicate(timeout=DEADLINE_S)[0]
        assert process.returncode == status, output
        self.world.spin_until(self.has_all, 'the arrival of the last message')
        return output


RECORDED = [START_NS + round(index * 1e9 / 30.0) for index in range(5)]
WAIT = ('--wait-for-subscribers', 60, '--start-delay', 3)


def test_all_messages_arrive_as_recorded(bag_path, tiny_samples, listener, play, tmp_path):
    listener.listen(*STREAMS)
    listener.listen(TOPICS.label_names, count=1, qos=LATCHED_QOS)
    listener.until_end(play(bag_path, *WAIT, '--json', tmp_path / 'sent.json'))
    for topic in STREAMS:
        assert listener.stamps(topic) == RECORDED
    for message, sample in zip(listener.received[TOPICS.rgb], tiny_samples, strict=True):
        np.testing.assert_array_equal(rgb_from_msg(message), sample.frame.rgb)
    (names,) = listener.received[TOPICS.label_names]
    assert label_names_from_msg(names) == NYU40.class_names
    sent = json.loads((tmp_path / 'sent.json').read_text())
    assert sent['messages'] == {**dict.fromkeys(STREAMS, 5), TOPICS.label_names: 1}
    assert sent['loops'] == 1
    assert sent['damage'] is None


def test_large_images_and_their_camera_info_all_arrive(listener, play, tmp_path):
    """The default shared memory of Fast DDS is smaller than an image and loses small messages."""
    rng = np.random.default_rng(5)
    camera = CameraIntrinsics(640, 480, 500.0, 500.0, 320.0, 240.0)
    rgb = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    frame = RgbdFrame(rgb, np.ones((480, 640), np.float32), camera)
    write_bag([Sample('', frame)] * 12, tmp_path / 'bag', 5.0)
    listener.listen(TOPICS.rgb, TOPICS.depth, TOPICS.camera_info, count=12, qos=5)
    listener.until_end(play(tmp_path / 'bag', *WAIT))


def test_clock_runs_from_the_first_stamp_to_the_last(bag_path, listener, play, tmp_path):
    listener.listen(TOPICS.rgb)
    listener.listen('/clock', count=6, qos=1000)
    argv = ('--topics', TOPICS.rgb, '--json', tmp_path / 'sent.json')
    listener.until_end(play(bag_path, *WAIT, *argv, '--clock', '--rate', 0.5))
    assert json.loads((tmp_path / 'sent.json').read_text())['messages'] == {TOPICS.rgb: 5}
    times = [m.clock.sec * 1_000_000_000 + m.clock.nanosec for m in listener.received['/clock']]
    assert times == sorted(times)
    assert times[0] == RECORDED[0]
    assert times[-1] >= RECORDED[-1]
    assert len(set(times)) > len(RECORDED), 'the clock ticks between messages'


def test_loop_ends_with_ctrl_c_and_writes_its_results(bag_path, listener, play, tmp_path):
    listener.listen(TOPICS.rgb, count=12)
    argv = ('--loop', '--topics', TOPICS.rgb, '--json', tmp_path / 'sent.json')
    process = play(bag_path, *WAIT, *argv)
    listener.world.spin_until(listener.has_all, 'a third pass')
    process.send_signal(signal.SIGINT)
    output = listener.until_end(process, status=130)
    assert 'interrupted' in output
    assert 'Traceback' not in output
    stamps = listener.stamps(TOPICS.rgb)
    assert stamps[:12] == (RECORDED * 3)[:12]
    sent = json.loads((tmp_path / 'sent.json').read_text())
    assert sent['loops'] >= 2
    assert sent['messages'][TOPICS.rgb] >= 12


def test_restamp_keeps_differences(bag_path, listener, play, tmp_path):
    """Differences of stamps stay as recorded."""
    listener.listen(*STREAMS)
    began = time.time_ns()
    target = tmp_path / 'late'
    bag = shifted(bag_path, target, TOPICS.depth, stamp_ns=3_000_000, time_ns=20_000_000)
    argv = ('--restamp', '--rate', 0.5, '--json', tmp_path / 'sent.json', '--topics', *STREAMS)
    listener.until_end(play(bag, *WAIT, *argv))
    stamps = listener.stamps(TOPICS.rgb)
    assert began < stamps[0] < time.time_ns()
    assert np.diff(stamps).tolist() == np.diff(RECORDED).tolist()
    for topic in (TOPICS.camera_info, TOPICS.labels):
        assert listener.stamps(topic) == stamps
    assert listener.stamps(TOPICS.depth) == [stamp + 3_000_000 for stamp in stamps]
    sent = json.loads((tmp_path / 'sent.json').read_text())
    assert [sent['stamps_ns'][str(old)] for old in RECORDED] == stamps
    published = [sent['published_ns'][str(old)] for old in RECORDED]
    assert published[-1] - published[0] >= 2 * (RECORDED[-1] - RECORDED[0]) - 5_000_000


def test_long_gap_is_skipped(bag_path, unspun_node, tmp_path, caplog):
    """Recorders of RealSense cameras store camera_info at time 0."""
    early = shifted(bag_path, tmp_path / 'early', TOPICS.camera_info, time_ns=-START_NS)
    with Bag(early) as bag:
        player = BagPlayer(bag, unspun_node)
        player.play(threading.Event())
        assert player.sent[TOPICS.camera_info] == player.sent[TOPICS.rgb] == 5
    assert 'skipped 2.78e+05 hours without a message' in caplog.text


def test_foreign_packages_are_not_imported(bag_path, unspun_node, tmp_path):
    """The name of a type is text of a stranger."""
    with Bag(bag_path) as bag:
        kinds = ('this/msg/Image', 'os/path/Join', 'x', 'sensor_msgs/msg/None', '../msg/Image')
        kind = replace(bag.topics[TOPICS.rgb], msgtype='')
        bag.topics = {text: replace(kind, msgtype=text) for text in kinds}
        with pytest.raises(DataError, match='no topic that can be played'):
            BagPlayer(bag, unspun_node)
    assert 'this' not in sys.modules


def test_missing_subscriber_is_an_error(bag_path, play):
    process = play(bag_path, '--wait-for-subscribers', 0.2)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert 'no subscriber on' in output
    assert TOPICS.rgb in output
    assert TOPICS.label_names not in output


def test_truncated_bag_is_played_up_to_the_cut(bag_path, listener, play):
    truncate(bag_path)
    listener.listen(TOPICS.rgb, count=1)
    output = listener.until_end(play(bag_path, *WAIT, '--topics', TOPICS.rgb), status=1)
    assert 'truncated: bag.mcap' in output
    assert listener.stamps(TOPICS.rgb) == RECORDED[: len(listener.received[TOPICS.rgb])]


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--rate', '0'], '--rate must be above 0'),
        (['--clock', '-1'], '--clock must be'),
        (['--clock', '--restamp'], 'contradict'),
        (['--topics', '/camera/colour'], 'no topic /camera/colour'),
    ],
)
def test_invalid_options_are_rejected(bag_path, argv, message, capsys, monkeypatch, ros_domain_id):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    assert run_command('sgnet_ros', 'play_bag', [str(bag_path), *argv]) == 2
    assert message in capsys.readouterr().err


def test_old_option_warns(tmp_path, capsys):
    argv = [str(tmp_path / 'none'), '--wait-for-answers', '/segmentation/mask']
    assert run_command('sgnet_ros', 'play_bag', argv) == 2
    error = capsys.readouterr().err
    assert 'play_bag: --wait-for-answers is deprecated; use --lossless' in error
    assert 'no bag at' in error
