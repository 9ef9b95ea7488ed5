# SPDX-License-Identifier: Apache-2.0
"""Bags of all formats are read, also truncated ones."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from bag_files import storage_file, truncate
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Rosbag2Writer
from rosbags.typesys import Stores, get_typestore

from sgnet_core.errors import DataError
from sgnet_ros.bag.reader import Bag, has_header, header_stamp_ns, standard_types, with_header_stamp

COUNT = 12
HEIGHT, WIDTH = 120, 61
TOPICS = ('/camera/color', '/camera/depth')
LATCHED_QOS = """
- {history: keep_last, depth: 1, reliability: reliable, durability: transient_local,
   liveliness: automatic, deadline: {sec: 0, nsec: 0}, lifespan: {sec: 0, nsec: 0},
   liveliness_lease_duration: {sec: 0, nsec: 0}, avoid_ros_namespace_conventions: false}
"""


def write_images(writer, types, serialize, header=lambda index: {}, **options):
    """Two image topics, message i filled with the value i and stamped i s + 7 ns."""
    with writer:
        connections = [
            writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=types, **options)
            for topic in TOPICS
        ]
        for index in range(COUNT):
            data = serialize(image(types, index, **header(index)), 'sensor_msgs/msg/Image')
            for connection in connections:
                writer.write(connection, index * 1_000_000_000, data)
    return writer.path


def write_rosbag2(path, storage):
    types = standard_types()
    writer = Rosbag2Writer(path, version=8, storage_plugin=storage)
    return write_images(writer, types, types.serialize_cdr)


def write_mcap(path, compression):
    """The same messages in small chunks, without metadata.yaml."""
    types = standard_types()
    with path.open('wb') as stream:
        writer = McapWriter(stream, chunk_size=50_000, compression=compression)
        writer.start(profile='ros2')
        schema = writer.register_schema('sensor_msgs/msg/Image', 'ros2msg', b'')
        metadata = {'offered_qos_profiles': LATCHED_QOS}
        channels = [writer.register_channel(topic, 'cdr', schema, metadata) for topic in TOPICS]
        for index in range(COUNT):
            cdr = types.serialize_cdr(image(types, index), 'sensor_msgs/msg/Image')
            for channel in channels:
                time_ns = index * 1_000_000_000
                writer.add_message(channel, time_ns, bytes(cdr), time_ns)
        writer.finish()
    return path


def write_rosbag1(path, compression):
    types = get_typestore(Stores.ROS1_NOETIC)
    writer = Rosbag1Writer(path)
    if compression:
        writer.set_compression(compression)
    # Small chunks, so that a cut is between two of them.
    writer.chunk_threshold = 50_000
    return write_images(
        writer, types, types.serialize_ros1, lambda index: {'seq': index}, latching=1
    )


def image(types, index, **header):
    stamp = types.types['builtin_interfaces/msg/Time'](sec=index, nanosec=7)
    return types.types['sensor_msgs/msg/Image'](
        header=types.types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera', **header),
        height=HEIGHT,
        width=WIDTH,
        encoding='rgb8',
        is_bigendian=0,
        step=3 * WIDTH,
        data=np.random.default_rng(index).integers(0, 256, 3 * WIDTH * HEIGHT).astype(np.uint8),
    )


LZ4, BZ2 = Rosbag1Writer.CompressionFormat.LZ4, Rosbag1Writer.CompressionFormat.BZ2
MAKERS = {
    'mcap': lambda folder: write_rosbag2(folder / 'bag', StoragePlugin.MCAP),
    'mcap_lz4': lambda folder: write_mcap(folder / 'one.mcap', CompressionType.LZ4),
    'mcap_zstd': lambda folder: write_mcap(folder / 'one.mcap', CompressionType.ZSTD),
    'sqlite3': lambda folder: write_rosbag2(folder / 'bag', StoragePlugin.SQLITE3),
    'rosbag1': lambda folder: write_rosbag1(folder / 'one.bag', None),
    'rosbag1_bz2': lambda folder: write_rosbag1(folder / 'one.bag', BZ2),
    'rosbag1_lz4': lambda folder: write_rosbag1(folder / 'one.bag', LZ4),
}


@pytest.fixture(params=MAKERS)
def bag_path(request, tmp_path):
    return MAKERS[request.param](tmp_path)


def check_messages(bag, messages):
    """Compare the messages with those written at their stamp."""
    for message in messages:
        content = bag.deserialize(message)
        index = message.time_ns // 1_000_000_000
        expected = image(standard_types(), index)
        assert (content.header.stamp.sec, content.header.stamp.nanosec) == (index, 7)
        assert header_stamp_ns(message.cdr) == message.time_ns + 7
        np.testing.assert_array_equal(content.data, expected.data)


def test_bag_reads_all_messages(bag_path):
    with Bag(bag_path) as bag:
        assert list(bag.topics) == sorted(TOPICS)
        assert {topic.count for topic in bag.topics.values()} == {COUNT}
        messages = list(bag.messages())
        assert len(messages) == 2 * COUNT
        assert [m.time_ns for m in messages] == sorted(m.time_ns for m in messages)
        check_messages(bag, messages)
        assert bag.damage is None
        assert [m.topic for m in bag.messages([TOPICS[1]])] == [TOPICS[1]] * COUNT
        assert list(bag.messages([])) == list(bag.messages(['/nothing'])) == []


@pytest.mark.parametrize('kept', [0.9, 0.72, 0.5, 0.2])
def test_truncated_bag_gives_what_is_before_the_cut(bag_path, kept):
    """At 72 %, the tree of the SQLite bag leads from its last row back to the first."""
    with Bag(bag_path) as bag:
        latched = [topic.latched for topic in bag.topics.values()]
    truncate(bag_path, kept)
    with Bag(bag_path) as bag:
        assert 'truncated' in bag.damage
        messages = list(bag.messages())
        check_messages(bag, messages)
        # The number of messages is proportional to the bytes, except for one or two chunks.
        assert 2 * COUNT * kept - 6 <= len(messages) <= 2 * COUNT
        times = [m.time_ns for m in messages]
        assert times == sorted(times)
        counts = [bag.topics[name].count for name in bag.topics]
        assert sum(counts) == len(messages)
        assert [topic.latched for topic in bag.topics.values()] == latched


def test_bag_rejects_a_file_without_content(bag_path):
    truncate(bag_path, 0.0001)
    with pytest.raises(DataError, match='not a readable bag'):
        Bag(bag_path)


def test_bag_with_zeros_in_the_middle_is_damaged(bag_path):
    file = storage_file(bag_path)
    with file.open('r+b') as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(bytes(70_000))
    with Bag(bag_path) as bag:
        messages = list(bag.messages())
        # Without checksums, the message in which the zeros begin can be among them.
        check_messages(bag, messages[:-4])
        assert len(messages) < 2 * COUNT
        assert bag.damage is not None


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_bag_without_metadata_is_complete(tmp_path, storage):
    path = MAKERS[storage](tmp_path)
    (path / 'metadata.yaml').unlink()
    for bag_path in (path, storage_file(path)):
        with Bag(bag_path) as bag:
            assert len(list(bag.messages())) == 2 * COUNT
            assert bag.damage is None


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('nowhere', 'no bag at .*nowhere'),
        ('notes.txt', 'not a readable bag'),
        ('.', 'not a readable bag'),
    ],
)
def test_bag_rejects_other_paths(tmp_path, name, message):
    (tmp_path / 'notes.txt').write_text('not a bag')
    with pytest.raises(DataError, match=message):
        Bag(tmp_path / name)


@pytest.mark.parametrize(
    ('topic', 'kind', 'messages'),
    [
        ('colour', 'Image', ('no topic /camera/colour', 'nearest: /camera/color', *TOPICS)),
        ('color', 'CameraInfo', ('not CameraInfo', *TOPICS)),
    ],
)
def test_missing_topic_names_the_nearest(tmp_path, topic, kind, messages):
    with Bag(MAKERS['mcap'](tmp_path)) as bag, pytest.raises(DataError) as error:
        bag.topic(f'/camera/{topic}', f'sensor_msgs/msg/{kind}')
    assert all(message in str(error.value) for message in messages)


def test_deserialize_rejects_a_short_message(tmp_path):
    with Bag(MAKERS['mcap'](tmp_path)) as bag:
        message = next(bag.messages())
        with pytest.raises(DataError, match='not a valid sensor_msgs/msg/Image'):
            bag.deserialize(replace(message, cdr=message.cdr[:400]))


@pytest.mark.parametrize('little', [True, False])
def test_header_stamp_is_read_and_replaced(little):
    types = standard_types()
    cdr = bytes(types.serialize_cdr(image(types, 3), 'sensor_msgs/msg/Image', little_endian=little))
    assert header_stamp_ns(cdr) == 3_000_000_007
    stamped = with_header_stamp(cdr, 1_795_322_840_942_182_055)
    assert header_stamp_ns(stamped) == 1_795_322_840_942_182_055
    content = types.deserialize_cdr(stamped, 'sensor_msgs/msg/Image')
    assert (content.header.stamp.sec, content.header.stamp.nanosec) == (1_795_322_840, 942_182_055)
    np.testing.assert_array_equal(content.data, image(types, 3).data)
    assert struct.unpack_from('<I' if little else '>I', stamped, 12)[0] == len('camera') + 1


def test_has_header_knows_standard_types():
    kinds = ('sensor_msgs/msg/CameraInfo', 'std_msgs/msg/String', 'my/msg/X')
    assert [has_header(kind) for kind in kinds] == [True, False, False]
