# SPDX-License-Identifier: Apache-2.0
"""A data set and the bag made of it hold the same frames, bit by bit."""

import operator
from dataclasses import replace

import numpy as np
import pytest
from bag_files import assert_all_same

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import DataError, InputError
from sgnet_core.labels import NYU40
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import START_NS, write_bag

TOPICS = FrameTopics()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_data_set_and_bag_hold_the_same_frames(tiny_dataset, tmp_path, storage):
    path = tmp_path / 'bag'
    write_bag(tiny_dataset, path, tiny_dataset.rate_hz, tiny_dataset.class_names, storage)
    with Bag(path) as bag:
        frames = BagFrames(bag)
        assert frames.class_names == tiny_dataset.class_names
        assert operator.length_hint(frames) == len(tiny_dataset)
        for _ in range(2):  # iterating again reads again
            assert_all_same(frames, tiny_dataset)
        assert frames.pairs == len(tiny_dataset)


def test_research_frames_survive_the_bag(research_data, tmp_path):
    dataset = FolderDataset(research_data / 'nyuv2', split='val')
    selected = [dataset[index] for index in (0, 50)]
    writer = write_bag(selected, tmp_path / 'bag', 10.0, dataset.class_names)
    assert (writer.largest_depth_error_m, writer.lost_depth_pixels) == (0, 0)
    with Bag(tmp_path / 'bag') as bag:
        assert_all_same(BagFrames(bag), selected)


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
    np.testing.assert_array_equal(sample.frame.depth_m, depth_m)


def test_depth_that_the_bag_cannot_hold_is_noticed(tmp_path, tiny_samples):
    def written(name, depth_m):
        frame = RgbdFrame(tiny_samples[0].frame.rgb, depth_m, tiny_samples[0].frame.intrinsics)
        return write_bag([replace(tiny_samples[0], frame=frame)], tmp_path / name, 10.0)

    depth_m = tiny_samples[0].frame.depth_m
    finer = written('finer than millimetres', depth_m + np.float32(0.0003))
    assert 0.0002 < finer.largest_depth_error_m < 0.0004
    depth_m = np.where(np.isnan(depth_m), np.float32(1), depth_m)
    depth_m[0, :4] = (0.0, 65.535, 70.0, 65.534)
    assert written('beyond 16 bits', depth_m).lost_depth_pixels == 3


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


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'path': '.'}, 'exists'),
        ({'rate_hz': 0.0}, 'above 0 Hz'),
        ({'storage': 'hdf5'}, 'mcap, sqlite3'),
        ({'samples': []}, 'no frames'),
    ],
)
def test_bad_arguments_of_the_writer(tmp_path, tiny_samples, change, message):
    arguments = {'samples': tiny_samples, 'path': tmp_path / 'x', 'rate_hz': 10.0}
    with pytest.raises(InputError, match=message):
        write_bag(**arguments | change)
    assert not (tmp_path / 'x').exists()
