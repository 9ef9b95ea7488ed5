# SPDX-License-Identifier: Apache-2.0
"""A written bag has the depth, stamps and topics of its frames."""

import errno
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag2 import Writer

from sgnet_core.errors import DataError, InputError, WriteError
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.transforms import TF
from sgnet_ros.bag.writer import START_NS, write_bag
from sgnet_ros.conversions.images import stamp_ns

TOPICS = FrameTopics()


def test_bag_has_every_millimetre(tmp_path):
    depth_m = (np.arange(65536, dtype=np.float32) * np.float32(0.001)).reshape(256, 256)
    depth_m[0, 0] = depth_m[-1, -1] = np.nan
    camera = CameraIntrinsics(256, 256, 200.0, 201.0, 127.0, 128.0)
    frame = RgbdFrame(np.zeros((256, 256, 3), np.uint8), depth_m, camera)
    writer = write_bag([Sample('0', frame)], tmp_path / 'bag', 10.0)
    assert writer.largest_depth_error_m == 0
    with Bag(tmp_path / 'bag') as bag:
        (sample,) = BagFrames(bag, replace(TOPICS, labels=None))
    np.testing.assert_array_equal(sample.frame.depth_m, depth_m)


def test_depth_out_of_range_is_counted(tmp_path, tiny_samples):
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
    expected = [START_NS + round(index * 1e9 / 30.0) for index in range(len(tiny_samples))]
    encodings = {}
    with Bag(bag_path) as bag:
        assert [t.name for t in bag.topics.values() if t.latched] == ['/camera/camera/labels/names']
        for topic in bag.topics.values():
            if topic.latched or topic.name == TF:
                continue
            messages = [bag.deserialize(m) for m in bag.messages([topic.name])]
            assert [stamp_ns(m.header) for m in messages] == expected
            assert {m.header.frame_id for m in messages} == {'camera_color_optical_frame'}
            encodings[topic.name] = getattr(messages[0], 'encoding', topic.msgtype)
    assert encodings == {
        '/camera/camera/color/image_raw': 'rgb8',
        '/camera/camera/aligned_depth_to_color/image_raw': '16UC1',
        '/camera/camera/labels/image_raw': 'mono8',
        '/camera/camera/color/camera_info': 'sensor_msgs/msg/CameraInfo',
    }


def test_error_removes_the_bag(tmp_path, tiny_samples):
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
        ({'rate_hz': 0.0}, '0.001 to 1e6 Hz, got 0; set --rate'),
        ({'rate_hz': 1e-300}, '0.001 to 1e6 Hz'),
        ({'samples': []}, 'no frames'),
        ({'storage': 'bz2'}, "storage must be one of sqlite3, mcap, got 'bz2'"),
    ],
)
def test_write_bag_rejects_invalid_arguments(tmp_path, tiny_samples, change, message):
    arguments = {'samples': tiny_samples, 'path': tmp_path / 'x', 'rate_hz': 10.0}
    with pytest.raises(InputError, match=message):
        write_bag(**arguments | change)
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_full_disk_is_one_error_with_the_remedy(tmp_path, tiny_samples, monkeypatch, storage):
    def fail(*arguments):
        if storage == 'sqlite3':
            raise sqlite3.OperationalError('database or disk is full')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Writer, 'write', fail)
    with pytest.raises(WriteError, match=r'x: cannot be written: .*; free disk space$'):
        write_bag(tiny_samples, tmp_path / 'x', 10.0, storage=storage)
    assert list(tmp_path.iterdir()) == []
