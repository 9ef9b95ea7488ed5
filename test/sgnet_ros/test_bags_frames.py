# SPDX-License-Identifier: Apache-2.0
"""A data set and the bag made of it hold the same frames, bit by bit; bad bags say why."""

import operator
import os
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag2 import Writer

from sgnet_core.data.folder import FolderDataset, Sample
from sgnet_core.errors import DataError, InputError
from sgnet_core.labels import NYU40
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.__main__ import COMMANDS
from sgnet_ros.bags import Bag, standard_types, with_header_stamp
from sgnet_ros.bags_frames import BagFrames
from sgnet_ros.bags_writer import START_NS, FrameBagWriter, write_bag
from sgnet_ros.frame_topics import FrameTopics

STORAGES = ('mcap', 'sqlite3')
TOPICS = FrameTopics()


@pytest.fixture(params=STORAGES)
def storage(request):
    return request.param


@pytest.fixture
def bag_path(tmp_path, tiny_samples):
    path = tmp_path / 'bag'
    write_bag(tiny_samples, path, 30.0, NYU40.class_names)
    return path


def rewrite(source, target, change):
    """Copy a bag by message; `change(topic, index, cdr, time)` returns (cdr, time) or None."""
    types = standard_types()
    counts = {}
    with Bag(source) as bag, Writer(target, version=8) as writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=types)
            for t in bag.topics.values()
        }
        for message in bag.messages():
            index = counts[message.topic] = counts.get(message.topic, -1) + 1
            changed = change(message.topic, index, message.cdr, message.time_ns)
            if changed is not None:
                cdr, time_ns = changed
                writer.write(connections[message.topic], time_ns, cdr)
    return target


def without(*topics):
    return lambda topic, index, cdr, time_ns: None if topic in topics else (cdr, time_ns)


def assert_same(sample, expected):
    np.testing.assert_array_equal(sample.frame.rgb, expected.frame.rgb)
    # NaN included, and not one bit apart.
    np.testing.assert_array_equal(
        sample.frame.depth_m.view(np.uint32), expected.frame.depth_m.view(np.uint32)
    )
    assert sample.frame.intrinsics == expected.frame.intrinsics
    np.testing.assert_array_equal(sample.labels, expected.labels)


def test_data_set_and_bag_hold_the_same_frames(tiny_dataset, tmp_path, storage):
    path = tmp_path / 'bag'
    write_bag(
        (tiny_dataset[i] for i in range(len(tiny_dataset))),
        path,
        tiny_dataset.rate_hz,
        tiny_dataset.class_names,
        storage,
    )
    with Bag(path) as bag:
        frames = BagFrames(bag)
        assert frames.class_names == tiny_dataset.class_names
        assert operator.length_hint(frames) == len(tiny_dataset)
        samples = list(frames)
        assert len(samples) == len(tiny_dataset) == frames.pairs
        for index, sample in enumerate(samples):
            assert_same(sample, tiny_dataset[index])
        # Iterating again reads again.
        assert [s.id for s in frames] == [s.id for s in samples]


def test_research_frames_survive_the_bag(research_data, tmp_path):
    dataset = FolderDataset(research_data / 'nyuv2', split='val')
    picked = [dataset[index] for index in (0, 50)]
    writer = write_bag(picked, tmp_path / 'bag', 10.0, dataset.class_names)
    assert writer.largest_depth_error_m == 0
    with Bag(tmp_path / 'bag') as bag:
        for sample, expected in zip(BagFrames(bag), picked, strict=True):
            assert_same(sample, expected)


def test_every_millimetre_survives(tmp_path):
    """All depths a 16-bit millimetre image can hold, to the bit."""
    depth_m = (np.arange(65536, dtype=np.float32) * np.float32(0.001)).reshape(256, 256)
    depth_m[0, 0] = depth_m[-1, -1] = np.nan
    camera = CameraIntrinsics(256, 256, 200.0, 201.0, 127.0, 128.0)
    frame = RgbdFrame(np.zeros((256, 256, 3), np.uint8), depth_m, camera)
    writer = write_bag([Sample('0', frame)], tmp_path / 'bag', 10.0)
    assert writer.largest_depth_error_m == 0
    with Bag(tmp_path / 'bag') as bag:
        (sample,) = BagFrames(bag, replace(TOPICS, labels=None))
    np.testing.assert_array_equal(sample.frame.depth_m.view(np.uint32), depth_m.view(np.uint32))


def test_depth_finer_than_millimetres_is_noticed(tmp_path, tiny_samples):
    frame = tiny_samples[0].frame
    finer = RgbdFrame(frame.rgb, frame.depth_m + np.float32(0.0003), frame.intrinsics)
    writer = write_bag([replace(tiny_samples[0], frame=finer)], tmp_path / 'bag', 10.0)
    assert 0.0002 < writer.largest_depth_error_m < 0.0004


def test_topics_stamps_and_qos(bag_path, tiny_samples):
    with Bag(bag_path) as bag:
        images = 'sensor_msgs/msg/Image'
        assert {t.name: t.msgtype for t in bag.topics.values()} == {
            '/camera/camera/color/image_raw': images,
            '/camera/camera/aligned_depth_to_color/image_raw': images,
            '/camera/camera/labels/image_raw': images,
            '/camera/camera/color/camera_info': 'sensor_msgs/msg/CameraInfo',
            '/camera/camera/labels/names': 'std_msgs/msg/String',
        }
        latched = [t.name for t in bag.topics.values() if t.latched]
        assert latched == ['/camera/camera/labels/names']
        contents = {
            name: [bag.deserialize(m) for m in bag.messages([name])]
            for name in bag.topics
            if not bag.topics[name].latched
        }
    expected = [START_NS + round(index * 1e9 / 30.0) for index in range(len(tiny_samples))]
    for messages in contents.values():
        stamps = [m.header.stamp.sec * 1_000_000_000 + m.header.stamp.nanosec for m in messages]
        assert stamps == expected
        assert {m.header.frame_id for m in messages} == {'camera_color_optical_frame'}
    encodings = {
        name: messages[0].encoding for name, messages in contents.items() if 'image' in name
    }
    assert encodings == {TOPICS.rgb: 'rgb8', TOPICS.depth: '16UC1', TOPICS.labels: 'mono8'}


def test_same_samples_make_the_same_bag(tmp_path, tiny_samples):
    files = []
    for name in ('one', 'two'):
        folder = tmp_path / name / 'bag'
        write_bag(tiny_samples, folder, 12.5, NYU40.class_names)
        files.append((folder / 'bag.mcap').read_bytes())
    assert files[0] == files[1]


def test_samples_without_labels(tmp_path, tiny_samples):
    path = tmp_path / 'bag'
    write_bag([replace(s, labels=None) for s in tiny_samples], path, 10.0)
    with Bag(path) as bag:
        assert len(bag.topics) == 3
        samples = list(BagFrames(bag, replace(TOPICS, labels=None)))
        assert [s.labels for s in samples] == [None] * len(tiny_samples)
        with pytest.raises(DataError, match=r'no topic /camera/camera/labels/image_raw.*nearest'):
            BagFrames(bag)


def test_an_error_leaves_no_half_bag(tmp_path, tiny_samples):
    def samples():
        yield tiny_samples[0]
        raise DataError('frame 1 is unreadable')

    with pytest.raises(DataError, match='unreadable'):
        write_bag(samples(), tmp_path / 'bag', 10.0)
    assert not (tmp_path / 'bag').exists()


def test_bad_arguments_of_the_writer(tmp_path, bag_path):
    with pytest.raises(InputError, match='exists'):
        FrameBagWriter(bag_path, 10.0)
    with pytest.raises(InputError, match='above 0 Hz'):
        FrameBagWriter(tmp_path / 'x', 0.0)
    with pytest.raises(InputError, match='mcap, sqlite3'):
        FrameBagWriter(tmp_path / 'x', 10.0, storage='hdf5')
    with pytest.raises(InputError, match='no frames'):
        write_bag([], tmp_path / 'x', 10.0)
    assert not (tmp_path / 'x').exists()


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


def test_commands_are_listed():
    assert {'frames_to_bag', 'play_bag'} <= set(COMMANDS)
