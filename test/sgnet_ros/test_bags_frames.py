# SPDX-License-Identifier: Apache-2.0
"""Frames of a bag: paired by stamp, labelled, and of a bad bag what is wrong with it."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from bag_files import assert_same, compressed, rewrite, without
from rclpy.node import Node
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage

from sgnet_core.errors import DataError, InputError
from sgnet_core.labels import NYU40
from sgnet_core.registration import register_depth
from sgnet_ros.bags import Bag, standard_types, with_header_stamp
from sgnet_ros.bags_frames import BagFrames
from sgnet_ros.bags_options import parse_extrinsics
from sgnet_ros.bags_player import BagPlayer
from sgnet_ros.bags_writer import write_bag
from sgnet_ros.frame_topics import FrameTopics

TOPICS = FrameTopics()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_cut_off_bag_gives_the_frames_before_the_cut(tmp_path, tiny_samples, storage):
    path = tmp_path / 'bag'
    write_bag(tiny_samples * 8, path, 30.0, NYU40.class_names, storage)
    file = next(f for f in path.iterdir() if f.suffix in ('.mcap', '.db3'))
    os.truncate(file, file.stat().st_size // 2)
    with Bag(path) as bag:
        samples = list(BagFrames(bag))
        assert bag.damage is not None
        assert 15 <= len(samples) <= 25
        for index, sample in enumerate(samples):
            assert_same(sample, tiny_samples[index % 5])


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_compressed_frames_are_the_same_to_the_bit(bag_path, tmp_path, tiny_samples, codec):
    path = compressed(bag_path, tmp_path / 'compressed', TOPICS, codec)
    small = replace(TOPICS, rgb=f'{TOPICS.rgb}/compressed', depth=f'{TOPICS.depth}/compressedDepth')
    camera = tiny_samples[0].frame.intrinsics
    given = (camera.fx, camera.fy, camera.cx, camera.cy)
    with Bag(path) as bag:
        for frames in (BagFrames(bag, small), BagFrames(bag, small, camera=given)):
            for sample, expected in zip(frames, tiny_samples, strict=True):
                assert_same(sample, expected)
        with pytest.raises(DataError) as error:
            BagFrames(bag)
    assert f'no topic {TOPICS.rgb} in this bag; nearest: {small.rgb};' in str(error.value)
    assert f'its Image or CompressedImage topics: {small.depth}, {small.rgb}' in str(error.value)


def test_play_bag_sends_compressed_messages_as_they_are(ros, bag_path, tmp_path):
    path = compressed(bag_path, tmp_path / 'compressed', TOPICS, 'rvl')
    name = f'{TOPICS.depth}/compressedDepth'
    received = []
    node = ros.add(Node('listener', context=ros.context))
    node.create_subscription(CompressedImage, name, received.append, 10)
    with Bag(path) as bag:
        player = BagPlayer(bag, node, [name], rate=10.0)
        ros.spin_until(lambda: not player.topics_without_subscriber(), 'discovery')
        player.play(threading.Event())
        ros.spin_until(lambda: len(received) == 5, 'all')
        for message, recorded in zip(received, bag.messages([name]), strict=True):
            assert message.format == '16UC1; compressedDepth rvl'
            assert bytes(message.data) == bytes(bag.deserialize(recorded).data)


def test_damaged_compressed_frames_are_named(bag_path, tmp_path, tiny_samples):
    good = compressed(bag_path, tmp_path / 'compressed', TOPICS, 'rvl')
    small = replace(TOPICS, rgb=f'{TOPICS.rgb}/compressed', depth=f'{TOPICS.depth}/compressedDepth')

    def damage(topic, index, cdr, time_ns):
        # Of frame 1 another codec, of frame 3 the end of the data.
        if topic == small.depth and index == 1:
            cdr = bytes(cdr).replace(b'rvl', b'zip')
        if topic == small.depth and index == 3:
            cdr = bytes(cdr[:-4]) + b'\xff' * 4
        return cdr, time_ns

    with Bag(rewrite(good, tmp_path / 'damaged', damage)) as bag:
        frames = BagFrames(bag, small, skip_bad=True)
        assert len(list(frames)) == 3
        assert 'neither JPEG nor PNG' in frames.problems[0]
        assert len(frames.problems) == 2
        assert all(small.depth in problem for problem in frames.problems)


@pytest.mark.parametrize('part', ['rgb', 'depth', 'labels'])
def test_absent_topic(bag_path, tmp_path, part):
    name = getattr(TOPICS, part)
    path = rewrite(bag_path, tmp_path / 'new', without(name))
    # A topic that was announced and never written is absent for all purposes.
    with Bag(path) as bag:
        assert list(BagFrames(bag)) == []
    wrong = replace(TOPICS, **{part: name + '_rect'})
    with Bag(bag_path) as bag, pytest.raises(DataError) as error:
        BagFrames(bag, wrong)
    assert f'no topic {name}_rect' in str(error.value)
    assert f'nearest: {name}' in str(error.value)


def test_no_camera_info_says_how_to_give_the_camera(bag_path, tmp_path, tiny_samples):
    path = rewrite(bag_path, tmp_path / 'new', without(TOPICS.camera_info))
    with Bag(path) as bag:
        with pytest.raises(DataError, match='--camera fx,fy,cx,cy'):
            BagFrames(bag)
        camera = tiny_samples[0].frame.intrinsics
        given = (camera.fx, camera.fy, camera.cx, camera.cy)
        for sample, expected in zip(BagFrames(bag, camera=given), tiny_samples, strict=True):
            assert_same(sample, expected)


def test_camera_info_of_zeros(bag_path, tmp_path):
    def zero_k(topic, index, cdr, time_ns):
        if topic == TOPICS.camera_info:
            types = standard_types()
            message = types.deserialize_cdr(cdr, 'sensor_msgs/msg/CameraInfo')
            message.k = np.zeros(9)
            cdr = bytes(types.serialize_cdr(message, 'sensor_msgs/msg/CameraInfo'))
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', zero_k)
    with Bag(path) as bag, pytest.raises(DataError, match='calibrate') as error:
        BagFrames(bag)
    assert TOPICS.camera_info in str(error.value)
    assert '--camera' in str(error.value)


def changed_depth(bag_path, target, change):
    """The bag with `change(message)` done to every depth image."""
    types = standard_types()

    def of_depth(topic, index, cdr, time_ns):
        if topic == TOPICS.depth:
            message = types.deserialize_cdr(cdr, 'sensor_msgs/msg/Image')
            change(message)
            cdr = bytes(types.serialize_cdr(message, 'sensor_msgs/msg/Image'))
        return cdr, time_ns

    return rewrite(bag_path, target, of_depth)


def test_depth_of_another_camera_is_doubted_once_or_registered(
    bag_path, tmp_path, tiny_samples, caplog
):
    def of_another_camera(message):
        message.header.frame_id = 'depth frame'

    path = changed_depth(bag_path, tmp_path / 'new', of_another_camera)
    rgb_from_depth = parse_extrinsics('0.3,-0.1,0.02,0,0,0.0998334,0.9950042')
    topics = replace(TOPICS, depth_camera_info=TOPICS.camera_info)
    with Bag(path) as bag:
        assert len(list(BagFrames(bag))) == 5
        doubts = [r.getMessage() for r in caplog.records if 'not aligned' in r.getMessage()]
        registered = list(BagFrames(bag, topics, rgb_from_depth=rgb_from_depth))
        with pytest.raises(DataError, match=TOPICS.depth_camera_info):
            BagFrames(bag, rgb_from_depth=rgb_from_depth)
    assert len(doubts) == 1
    assert "depth is in frame 'depth frame'" in doubts[0]
    for sample, original in zip(registered, tiny_samples, strict=True):
        camera = original.frame.intrinsics
        expected = register_depth(original.frame.depth_m, camera, camera, rgb_from_depth)
        np.testing.assert_array_equal(sample.frame.depth_m, expected)
        assert 0.2 < np.isfinite(expected).mean() < 0.95


def test_depth_of_another_size_is_named_with_the_remedy(bag_path, tmp_path):
    def half_as_high(message):
        message.height //= 2

    path = changed_depth(bag_path, tmp_path / 'new', half_as_high)
    with Bag(path) as bag, pytest.raises(DataError, match='36x12, colour 36x24: not aligned'):
        list(BagFrames(bag))


@pytest.mark.parametrize('text', ['1,2,3', '0,0,0,0,0,0,x', '0,0,0,0,0,0,2', '0,0,0,0,0,0,0'])
def test_extrinsics_that_are_no_pose(text):
    with pytest.raises(InputError, match='--extrinsics must be'):
        parse_extrinsics(text)


def test_only_frames_with_labels_come_out(bag_path, tmp_path, tiny_samples):
    """Labels for frames 1 and 4, and recorded long after their frames."""

    def sparse_and_late(topic, index, cdr, time_ns):
        if topic == TOPICS.labels:
            return (cdr, time_ns + 60_000_000_000) if index in (1, 4) else None
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', sparse_and_late)
    with Bag(path) as bag:
        frames = BagFrames(bag)
        samples = list(frames)
        assert (frames.pairs, frames.unlabelled) == (5, 3)
    assert len(samples) == 2
    assert_same(samples[0], tiny_samples[1])
    assert_same(samples[1], tiny_samples[4])


def test_depth_stamped_a_little_later_pairs_within_the_slop(bag_path, tmp_path, tiny_samples):
    def late_depth(topic, index, cdr, time_ns):
        if topic == TOPICS.depth:
            return with_header_stamp(cdr, time_ns + 4_000_000), time_ns
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', late_depth)
    with Bag(path) as bag:
        samples = list(BagFrames(bag))
        assert len(samples) == len(tiny_samples), 'the last pair waits for nothing after the end'
        for sample, expected in zip(samples, tiny_samples, strict=True):
            assert_same(sample, expected)
        exact = BagFrames(bag, sync_mode='exact')
        assert list(exact) == []
        assert exact.dropped['rgb_unmatched'] == exact.dropped['depth_unmatched'] == 5
        assert list(BagFrames(bag, slop_s=0.003)) == []


def test_depth_recorded_in_bursts(bag_path, tmp_path, tiny_samples):
    """Order of recording does not matter, only stamps do."""

    def all_depth_last(topic, index, cdr, time_ns):
        return cdr, time_ns + (10_000_000_000 if topic == TOPICS.depth else 0)

    path = rewrite(bag_path, tmp_path / 'new', all_depth_last)
    with Bag(path) as bag:
        for sample, expected in zip(BagFrames(bag), tiny_samples, strict=True):
            assert_same(sample, expected)


def test_frames_of_a_rosbag1(bag_path, tmp_path, tiny_samples):
    """ROS 1 spells K in capitals and numbers its headers; the frames are the same."""
    types, ros1 = standard_types(), get_typestore(Stores.ROS1_NOETIC)
    path = tmp_path / 'one.bag'
    with Bag(bag_path) as bag, Rosbag1Writer(path) as writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=ros1)
            for t in bag.topics.values()
        }
        for message in bag.messages():
            connection = connections[message.topic]
            raw = types.cdr_to_ros1(message.cdr, connection.msgtype)
            writer.write(connection, message.time_ns, raw)
    with Bag(path) as bag:
        frames = BagFrames(bag)
        assert frames.class_names == NYU40.class_names
        for sample, expected in zip(frames, tiny_samples, strict=True):
            assert_same(sample, expected)


def test_bad_image_names_the_frame(bag_path, tmp_path):
    def unknown_encoding(topic, index, cdr, time_ns):
        if topic == TOPICS.rgb and index == 2:
            cdr = cdr.replace(b'rgb8', b'xyz9')
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', unknown_encoding)
    with Bag(path) as bag, pytest.raises(DataError, match=r"frame 1000000000\.066666667.*'xyz9'"):
        list(BagFrames(bag))


def test_labels_with_other_words_for_names(bag_path, tmp_path):
    def nonsense(topic, index, cdr, time_ns):
        if topic == TOPICS.label_names:
            types = standard_types()
            message = types.types['std_msgs/msg/String'](data='walls and floors')
            cdr = bytes(types.serialize_cdr(message, 'std_msgs/msg/String'))
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', nonsense)
    with Bag(path) as bag, pytest.raises(DataError, match='labels/names: not a JSON list'):
        BagFrames(bag)
