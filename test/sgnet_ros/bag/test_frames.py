# SPDX-License-Identifier: Apache-2.0
"""Frames of a bag are paired, labelled and checked."""

from dataclasses import replace
from operator import length_hint

import numpy as np
import pytest
from bag_files import (
    assert_all_same,
    compressed,
    edited,
    rewrite,
    shifted,
    unknown_encoding,
    without,
)
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.typesys import Stores, get_typestore

from sgnet_core.errors import DataError, InputError
from sgnet_core.geometry.depth_registration import register_depth
from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.options import no_frame_error, parse_extrinsics
from sgnet_ros.bag.reader import Bag, standard_types, with_header_stamp
from sgnet_ros.bag.transforms import TF
from sgnet_ros.bag.writer import BagWriter

TOPICS = FrameTopics()
SMALL = replace(TOPICS, rgb=f'{TOPICS.rgb}/compressed', depth=f'{TOPICS.depth}/compressedDepth')


def camera_of(samples):
    """The numbers of `--camera`."""
    camera = samples[0].frame.intrinsics
    return camera.fx, camera.fy, camera.cx, camera.cy


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_compressed_frames_are_equal_to_raw_frames(bag_path, tmp_path, tiny_samples, codec):
    path = compressed(bag_path, tmp_path / 'compressed', TOPICS, codec)
    with Bag(path) as bag:
        for camera in (None, camera_of(tiny_samples)):
            assert_all_same(BagFrames(bag, SMALL, camera=camera), tiny_samples)
        with pytest.raises(DataError) as error:
            BagFrames(bag)
    assert f'no topic {TOPICS.rgb} in this bag; nearest: {SMALL.rgb};' in str(error.value)
    assert f'its Image or CompressedImage topics: {SMALL.depth}, {SMALL.rgb}' in str(error.value)


def test_damaged_compressed_frames_are_named(bag_path, tmp_path, tiny_samples):
    good = compressed(bag_path, tmp_path / 'compressed', TOPICS, 'rvl')

    def damage(topic, index, cdr, time_ns):
        # Another codec in frame 1, damaged data in frame 3.
        if topic == SMALL.depth and index == 1:
            cdr = bytes(cdr).replace(b'rvl', b'zip')
        if topic == SMALL.depth and index == 3:
            cdr = bytes(cdr[:-4]) + b'\xff' * 4
        return cdr, time_ns

    with Bag(rewrite(good, tmp_path / 'damaged', damage)) as bag:
        frames = BagFrames(bag, SMALL, skip_invalid=True)
        assert len(list(frames)) == 3
        assert 'neither JPEG nor PNG' in frames.skipped[0]
        assert len(frames.skipped) == 2
        assert all(SMALL.depth in problem for problem in frames.skipped)


def test_missing_camera_info_names_the_option(bag_path, tmp_path, tiny_samples):
    path = rewrite(bag_path, tmp_path / 'new', without(TOPICS.camera_info))
    with Bag(path) as bag:
        with pytest.raises(DataError, match='--camera fx,fy,cx,cy'):
            BagFrames(bag)
        assert_all_same(BagFrames(bag, camera=camera_of(tiny_samples)), tiny_samples)


def set_field(name, value):
    return lambda message: setattr(message, name, value)


def uncalibrated(message):
    message.k, message.p = np.zeros(9), np.zeros(12)


@pytest.mark.parametrize(
    ('part', 'edit', 'message'),
    [
        ('camera_info', uncalibrated, 'color/camera_info: .*calibrate.*--camera'),
        ('rgb', unknown_encoding, r"frame 1000000000\.066666667.*'xyz9'"),
        ('depth', set_field('height', 12), '36x12, colour 36x24: not aligned'),
        ('label_names', set_field('data', 'walls and floors'), 'labels/names: not a JSON list'),
    ],
)
def test_invalid_messages_are_named(bag_path, tmp_path, part, edit, message):
    frames = (2,) if part == 'rgb' else range(5)
    path = edited(bag_path, tmp_path / 'new', getattr(TOPICS, part), edit, frames)
    with Bag(path) as bag, pytest.raises(DataError, match=message):
        list(BagFrames(bag))


def test_depth_of_another_camera_warns_once_or_is_registered(
    bag_path, tmp_path, tiny_samples, caplog
):
    path = edited(
        bag_path,
        tmp_path / 'new',
        TOPICS.depth,
        lambda message: setattr(message.header, 'frame_id', 'depth frame'),
    )
    rgb_from_depth = parse_extrinsics('0.3,-0.1,0.02,0,0,0.0998334,0.9950042')
    topics = replace(TOPICS, depth_camera_info=TOPICS.camera_info)
    with Bag(path) as bag:
        assert len(list(BagFrames(bag))) == 5
        warnings = [r.getMessage() for r in caplog.records if 'not aligned' in r.getMessage()]
        registered = list(BagFrames(bag, topics, rgb_from_depth=rgb_from_depth))
        with pytest.raises(DataError, match=TOPICS.depth_camera_info):
            BagFrames(bag, rgb_from_depth=rgb_from_depth)
    assert len(warnings) == 1
    assert "depth is in frame 'depth frame'" in warnings[0]
    for sample, original in zip(registered, tiny_samples, strict=True):
        camera = original.frame.intrinsics
        expected = register_depth(original.frame.depth_m, camera, camera, rgb_from_depth)
        np.testing.assert_array_equal(sample.frame.depth_m, expected)
        assert 0.2 < np.isfinite(expected).mean() < 0.95


def float_millimetres(message):
    raw = message.data.view('<u2').astype('<f4')
    message.encoding, message.step, message.data = '32FC1', 4 * message.width, raw.view(np.uint8)


def tenth_millimetres(message):
    message.data = (10 * message.data.view('<u2')).view(np.uint8)


@pytest.mark.parametrize(
    ('edit', 'scale'), [(float_millimetres, 0.001), (tenth_millimetres, 0.0001)]
)
def test_depth_in_other_units(bag_path, tmp_path, tiny_samples, caplog, edit, scale):
    path = edited(bag_path, tmp_path / 'new', TOPICS.depth, edit)
    with Bag(path) as bag:
        assert len(list(BagFrames(bag))) == 5
        assert [r.levelname for r in caplog.records] == ['WARNING']
        assert f'{TOPICS.depth}: ' in caplog.text
        assert f'set --depth-scale to the unit of the images: {scale:.6g} for' in caplog.text
        caplog.clear()
        for sample, expected in zip(BagFrames(bag, depth_scale=scale), tiny_samples, strict=True):
            np.testing.assert_allclose(sample.frame.depth_m, expected.frame.depth_m, rtol=1e-6)
    assert caplog.records == []


def zoomed_out(message):
    message.k = message.k * (0.6, 1, 1, 1, 0.6, 1, 1, 1, 1)


@pytest.mark.parametrize(
    'camera', [None, (30.5, 31.25, 17.1, 12.9)], ids=['camera_info', '--camera']
)
def test_camera_info_of_depth_shows_that_it_is_not_registered(bag_path, tmp_path, caplog, camera):
    """Both images have one size and one frame id."""
    types, info_topic = standard_types(), TOPICS.depth.replace('image_raw', 'camera_info')
    with Bag(bag_path) as bag:
        info = bag.deserialize(next(bag.messages([TOPICS.camera_info])))
    zoomed_out(info)
    cdr = types.serialize_cdr(info, 'sensor_msgs/msg/CameraInfo')
    with Bag(bag_path) as bag, BagWriter(tmp_path / 'new') as new:
        new.add_topic(info_topic, 'sensor_msgs/msg/CameraInfo')
        new.write_cdr(info_topic, 0, cdr)
        for topic in bag.topics.values():
            new.add_topic(topic.name, topic.msgtype)
        for message in bag.messages():
            new.write_cdr(message.topic, message.time_ns, message.cdr)
    with Bag(tmp_path / 'new') as bag:
        assert len(list(BagFrames(bag, camera=camera))) == 5
    (record,) = caplog.records
    assert f'{TOPICS.depth}: the camera_info of depth (fx = 18.3' in record.getMessage()
    assert 'bags: --extrinsics' in record.getMessage()


def fisheye(message):
    message.distortion_model, message.d = 'equidistant', np.array([0.35, -0.2, 0.05, 0.01])


@pytest.mark.parametrize(
    ('edit', 'text'), [(fisheye, 'image_proc'), (zoomed_out, None)], ids=['fisheye', 'wide']
)
def test_implausible_camera_info_is_named(bag_path, tmp_path, caplog, edit, text):
    path = edited(bag_path, tmp_path / 'new', TOPICS.camera_info, edit)
    with Bag(path) as bag:
        assert len(list(BagFrames(bag))) == 5
        assert [text in r.getMessage() for r in caplog.records] == [True] * (text is not None)
        caplog.clear()
        list(BagFrames(bag, camera=(60.0, 60.0, 36.0, 24.0)))
        (record,) = caplog.records
        assert '--camera: the principal point' in record.getMessage()
        with pytest.raises(DataError, match='cannot be those of images of 36x24'):
            list(BagFrames(bag, camera=(1e-9, 1e-9, 17.0, 12.0)))


@pytest.mark.parametrize('text', ['1,2,3', '0,0,0,0,0,0,x', '0,0,0,0,0,0,2', '0,0,0,0,0,0,0'])
def test_extrinsics_reject_an_invalid_pose(text):
    with pytest.raises(InputError, match='--extrinsics must be'):
        parse_extrinsics(text)


def test_frames_without_labels_are_left_out(bag_path, tmp_path, tiny_samples):
    """Labels for frames 1 and 4, recorded long after their frames."""

    def sparse_and_late(topic, index, cdr, time_ns):
        if topic == TOPICS.labels:
            return (cdr, time_ns + 60_000_000_000) if index in (1, 4) else None
        return cdr, time_ns

    path = rewrite(bag_path, tmp_path / 'new', sparse_and_late)
    with Bag(path) as bag:
        frames = BagFrames(bag)
        assert_all_same(frames, [tiny_samples[1], tiny_samples[4]])
        assert (frames.pairs, frames.unlabelled) == (5, 3)


def test_late_depth_is_paired_within_the_slop(bag_path, tmp_path, tiny_samples):
    path = shifted(bag_path, tmp_path / 'new', TOPICS.depth, stamp_ns=4_000_000, time_ns=10**10)
    with Bag(path) as bag:
        assert_all_same(BagFrames(bag), tiny_samples)
        exact = BagFrames(bag, sync_mode='exact')
        assert list(exact) == []
        assert exact.dropped['rgb_unmatched'] == exact.dropped['depth_unmatched'] == 5
        assert list(BagFrames(bag, slop_s=0.003)) == []


@pytest.mark.parametrize('topic', [TOPICS.rgb, TOPICS.depth])
def test_zero_stamps_are_named(bag_path, tmp_path, topic):
    def unstamped(name, index, cdr, time_ns):
        return with_header_stamp(cdr, 0) if name == topic else cdr, time_ns

    with Bag(rewrite(bag_path, tmp_path / 'unstamped', unstamped)) as bag:
        frames = BagFrames(bag)
        assert list(frames) == []
        assert frames.dropped['zero_stamp'] == 5
        assert f'stamps are zero on {topic}, and' in str(no_frame_error(bag, frames))


def test_rosbag1_has_the_same_frames(bag_path, tmp_path, tiny_samples):
    """ROS 1 has another name for K and another header."""
    types, ros1 = standard_types(), get_typestore(Stores.ROS1_NOETIC)
    path = tmp_path / 'one.bag'
    with Bag(bag_path) as bag, Rosbag1Writer(path) as writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=ros1)
            for t in bag.topics.values()
            if t.name != TF
        }
        for message in bag.messages(connections):
            connection = connections[message.topic]
            raw = types.cdr_to_ros1(message.cdr, connection.msgtype)
            writer.write(connection, message.time_ns, raw)
    with Bag(path) as bag:
        frames = BagFrames(bag)
        assert frames.class_names == NYU40.class_names
        assert length_hint(frames) == len(tiny_samples)
        for _ in range(2):
            assert_all_same(frames, tiny_samples)
