# SPDX-License-Identifier: Apache-2.0
"""Bags are read by their records: without index, with a wrong one, compressed, or damaged."""

import re
import shutil
import sqlite3
import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbag2_files import TOPICS, image, messages_at, write_metadata, write_sqlite
from rosbags.rosbag1 import Writer as Rosbag1Writer

from sgnet_core.errors import DataError, SgnetError
from sgnet_ros.bag.reader import Bag, standard_types

TIMES = range(1, 25)
MESSAGES = messages_at(*TIMES)


def write_mcap(path, messages, **options):
    """Messages on /rgb, in this order, in chunks of about three."""
    with path.open('wb') as stream:
        writer = McapWriter(stream, **{'chunk_size': 400, **options})
        writer.start(profile='ros2')
        schema = writer.register_schema(TOPICS['/rgb'], 'ros2msg', b'')
        channel = writer.register_channel('/rgb', 'cdr', schema)
        for _, time, cdr in messages:
            writer.add_message(channel, time, cdr, time)
        writer.finish()
    return path


def write_rosbag1(path, messages, compression=None):
    """Messages on /rgb in chunks of about three."""
    types = standard_types()
    writer = Rosbag1Writer(path)
    if compression:
        writer.set_compression(Rosbag1Writer.CompressionFormat[compression])
    writer.chunk_threshold = 400
    with writer:
        connection = writer.add_connection('/rgb', TOPICS['/rgb'], typestore=types)
        for _, time, cdr in messages:
            writer.write(connection, time, types.cdr_to_ros1(cdr, TOPICS['/rgb']))
    return path


ROSBAG1 = (None, 'BZ2', 'LZ4')
WRITERS = {'mcap': write_mcap, 'db3': write_sqlite}


def read(path, size=100):
    """Recording times, after a check of each content, and the damage."""
    with Bag(path) as bag:
        messages = list(bag.messages())
        times = [message.time_ns for message in messages]
        contents = [cdr for *_, cdr in messages_at(*times, size=size)]
        assert [message.cdr for message in messages] == contents
        assert sum(topic.count for topic in bag.topics.values()) >= len(messages)
        return times, bag.damage


@pytest.mark.parametrize('version', range(1, 10))
def test_metadata_and_sqlite_of_every_version_are_read(tmp_path, version):
    """Of the two descriptions of QoS, the file has none before version 4 and no latched topic."""
    names = [('/names', 5, image(0, b''))] * 2
    write_sqlite(tmp_path / 'bag' / 'bag_0.db3', MESSAGES + names, version)
    prefix = 'bag/' if version < 4 else ''
    write_metadata(tmp_path / 'bag', [f'{prefix}bag_0.db3'], (len(TIMES), 2), version)
    with Bag(tmp_path / 'bag') as bag:
        assert [m.time_ns for m in bag.messages(['/rgb'])] == list(TIMES)
        assert [m.cdr for m in bag.messages(['/names'])] == [image(0, b'')] * 2
        topics = {name: (t.msgtype, t.count, t.latched) for name, t in bag.topics.items()}
        kind = TOPICS['/names']
        assert topics == {'/names': (kind, 2, True), '/rgb': (TOPICS['/rgb'], len(TIMES), False)}
        assert bag.damage is None


@pytest.fixture
def split_bag(tmp_path):
    """Two SQLite files that overlap in time, of other QoS; counted completely."""
    folder = tmp_path / 'bag'
    write_sqlite(folder / 'part_0.db3', messages_at(*TIMES[::2]))
    write_sqlite(folder / 'part_1.db3', messages_at(*TIMES[1::2]), depth=5)
    write_metadata(folder, ['part_0.db3', 'part_1.db3'], (len(TIMES), 0))
    return folder


def test_files_of_other_qos_are_read_in_order_of_time(split_bag):
    assert read(split_bag) == (list(TIMES), None)


@pytest.mark.parametrize(
    ('listed', 'counts', 'damage'),
    [
        (2, (25, 0), 'counts 25 messages on /rgb, the storage files have 24'),
        (2, (24, 3), 'counts 3 messages on /names, the storage files have 0'),
        (2, (2, 0), 'counts 2 .* have 24; run `ros2 bag reindex`'),
        (1, (12, 0), 'part_1.db3 is not listed .* counts 12 .* have 24'),
        (3, (36, 0), 'part_2.db3 is missing; .* counts 36'),
        (2, (24, 0), 'counts 30 messages, the storage files have 24'),
    ],
)
def test_counts_of_metadata_are_compared(split_bag, listed, counts, damage):
    write_metadata(
        split_bag, [f'part_{number}.db3' for number in range(listed)], counts, message_count=30
    )
    times, found = read(split_bag)
    assert times == list(TIMES)
    assert re.search(damage, found)


def test_names_in_metadata_lead_to_no_other_folder(split_bag, tmp_path):
    write_sqlite(tmp_path / 'other' / 'secret.db3', messages_at(99))
    write_metadata(split_bag, ['../other/secret.db3', '/etc/hostname', '..', ''], (24, 0))
    assert read(split_bag)[0] == list(TIMES)


@pytest.mark.parametrize(
    'text', ['', '[', 'a: 2001-99-99', 'a: !!int x', '[\n' * 5000, 'rosbag2_bagfile_information: 1']
)
def test_invalid_metadata_is_named_and_not_needed(split_bag, text, caplog):
    (split_bag / 'metadata.yaml').write_text(text)
    assert read(split_bag) == (list(TIMES), None)
    assert re.search(r'metadata\.yaml.+; the storage files are read without it', caplog.text)


def hide_records(path, opcode, every=1):
    """Give every n-th record of a kind the opcode of an application, which readers skip."""
    data = bytearray(path.read_bytes())
    start = number = 0
    for start in iter_records(data):
        if data[start] == opcode:
            number += 1
            if number % every == 0:
                data[start] = 0x80
    path.write_bytes(data)


def iter_records(data):
    """Starts of the records of an MCAP file."""
    start = 8
    while start < len(data) - 8:
        yield start
        start += 9 + struct.unpack_from('<Q', data, start + 1)[0]


@pytest.mark.parametrize('order', [TIMES, [*TIMES[12:], *TIMES[:12]], TIMES[::-1]])
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'index_types': IndexType.NONE},
        {'index_types': IndexType.MESSAGE},
        {'index_types': IndexType.CHUNK, 'use_statistics': False},
        {'repeat_channels': False, 'repeat_schemas': False},
        {'index_types': IndexType.NONE, 'use_statistics': False, 'use_chunking': False},
        {'index_types': IndexType.NONE, 'use_statistics': False, 'repeat_channels': False},
    ],
    ids=str,
)
def test_mcap_is_read_in_order_of_time_without_index(tmp_path, options, order):
    assert read(write_mcap(tmp_path / 'a.mcap', messages_at(*order), **options)) == (
        list(TIMES),
        None,
    )


@pytest.mark.parametrize('every', [1, 2])
@pytest.mark.parametrize('opcode', [7, 8, 11], ids=['message index', 'chunk index', 'statistics'])
def test_mcap_with_a_partial_index_is_read(tmp_path, opcode, every):
    path = write_mcap(tmp_path / 'a.mcap', MESSAGES)
    hide_records(path, opcode, every)
    assert read(path) == (list(TIMES), None)


def test_mcap_with_a_wrong_index_is_read(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', MESSAGES)
    data = bytearray(path.read_bytes())
    index = [start for start in iter_records(data) if data[start] == 7][3]
    data[index + 9 + 6 + 8] ^= 1  # the offset of its first message
    path.write_bytes(data)
    assert read(path) == (list(TIMES), None)


@pytest.mark.parametrize('storage', ['mcap', 'db3'])
def test_files_without_metadata_are_merged_by_time(tmp_path, storage):
    folder = tmp_path / 'bag'
    folder.mkdir()
    for number in range(3):
        WRITERS[storage](folder / f'bag_{number}.{storage}', MESSAGES[number::3])
    assert read(folder) == (list(TIMES), None)


@pytest.mark.parametrize('compression', ROSBAG1)
@pytest.mark.parametrize('change', ['no index', 'active', 'partial index'])
def test_rosbag1_is_read_without_index(tmp_path, compression, change):
    path = write_rosbag1(tmp_path / 'a.bag', MESSAGES, compression)
    data = bytearray(path.read_bytes())
    field = data.index(b'index_pos=') + len('index_pos=')
    (index,) = struct.unpack_from('<Q', data, field)
    if change == 'partial index':
        data[data.index(b'op=\x04') + 3] = 0x44  # an unknown record in the place of an index
    else:
        data[field : field + 8] = bytes(8)
        del data[index:]
    path.unlink()
    path = path.with_suffix('.bag.active' if change == 'active' else '.bag')
    path.write_bytes(data)
    assert read(path) == (list(TIMES), None)


@pytest.mark.parametrize('mode', ['file', 'message'])
@pytest.mark.parametrize('storage', ['mcap', 'db3'])
@pytest.mark.parametrize('described', [False, True])
def test_zstd_needs_no_metadata(tmp_path, mode, storage, described):
    folder = tmp_path / 'bag'
    folder.mkdir()
    is_file = mode == 'file'
    packed = [(topic, time, zstandard.compress(cdr)) for topic, time, cdr in MESSAGES]
    path = WRITERS[storage](folder / f'a.{storage}', MESSAGES if is_file else packed)
    if is_file:
        whole = path.read_bytes()
        path.unlink()
        path = path.with_name(f'{path.name}.zstd')
        path.write_bytes(zstandard.compress(whole))
    if described:
        about = {'compression_format': 'zstd', 'compression_mode': mode.upper()}
        write_metadata(folder, [path.name], (len(TIMES), 0), **about)
    assert read(folder) == (list(TIMES), None)


def test_truncated_zstd_is_read_up_to_the_cut(tmp_path):
    whole = write_sqlite(tmp_path / 'a.db3', messages_at(*range(1, 101), size=1500)).read_bytes()
    frames = [zstandard.compress(whole[i : i + 4096]) for i in range(0, len(whole), 4096)]
    path = tmp_path / 'cut.db3.zstd'
    packed = b''.join(frames)
    path.write_bytes(packed[: len(packed) // 2])
    times, damage = read(path, 1500)
    assert 30 < len(times) < 70
    assert 'truncated: cut.db3.zstd' in damage


def test_sqlite_rows_of_a_journal_are_read(tmp_path):
    """A recorder that crashed leaves its latest rows in -wal."""
    path = write_sqlite(tmp_path / 'a.db3', messages_at(*TIMES[:12]))
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode=WAL')
    rows = [(1, time, cdr) for _, time, cdr in messages_at(*TIMES[12:])]
    database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)', rows)
    database.commit()
    copy = tmp_path / 'copy'
    copy.mkdir()
    for file in tmp_path.glob('a.db3*'):
        shutil.copy(file, copy)
    database.close()
    assert read(copy / 'a.db3') == (list(TIMES), None)


def test_every_cut_of_a_sqlite_bag_is_read_to_an_end(tmp_path):
    """A cut tree can lead from its last row back to the first."""
    whole = write_sqlite(tmp_path / 'a.db3', messages_at(*range(1, 121), size=1500)).read_bytes()
    path, latest = tmp_path / 'cut.db3', 0
    for percent in range(1, 100):
        path.write_bytes(whole[: len(whole) * percent // 100])
        try:
            times, damage = read(path, 1500)
        except DataError:
            times, damage = [], ''
        assert times == list(range(1, len(times) + 1))
        assert damage is not None
        latest = max(latest, len(times))
    assert latest > 100


@pytest.mark.parametrize('row_id', [1, 2])
def test_sqlite_row_ids_that_do_not_rise_end_the_bag(tmp_path, row_id):
    path = write_sqlite(tmp_path / 'a.db3', messages_at(1, 2, 3, 4, 5))
    data = bytearray(path.read_bytes())
    # Between row id and data are the six bytes of the record header and the stamp.
    place = data.index(messages_at(3)[0][2]) - 8
    assert data[place] == 3
    data[place] = row_id
    path.write_bytes(data)
    times, damage = read(path)
    assert times == [1, 2][: len(times)]
    assert f'row {row_id} follows row 2' in damage


def test_sqlite_view_with_rows_without_end_is_rejected(tmp_path):
    path = write_sqlite(tmp_path / 'a.db3', [])
    with sqlite3.connect(path) as database:
        database.executescript(
            'DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION '
            'ALL SELECT id + 1 FROM n) SELECT id, 1 AS topic_id, id AS timestamp, 0 AS data FROM n'
        )
    database.close()
    with pytest.raises(DataError, match='no table messages'):
        Bag(path)


def test_zstd_message_of_implausible_size_is_damage(tmp_path):
    claim = b'\x28\xb5\x2f\xfd\xe0' + (2**40).to_bytes(8, 'little') + b'\x01\0\0'
    with Bag(write_sqlite(tmp_path / 'a.db3', [('/rgb', 1, claim)])) as bag:
        assert list(bag.messages()) == []
        assert 'claims more than' in bag.damage


@pytest.mark.parametrize(
    ('data', 'damage'),
    [
        (b'\0\1\0', 'a message of 3 bytes on /rgb'),
        (2**40, 'row 2 has no message'),
        (None, 'row 2 has no message'),
    ],
)
def test_row_without_a_message_is_damage(tmp_path, data, damage):
    with Bag(write_sqlite(tmp_path / 'a.db3', [*messages_at(1), ('/rgb', 2, data)])) as bag:
        assert len(list(bag.messages())) == 1
        assert damage in bag.damage


SMALL = {
    **{f'mcap {c.name}': (write_mcap, 'a.mcap', {'compression': c}) for c in CompressionType},
    **{f'rosbag1 {c}': (write_rosbag1, 'a.bag', {'compression': c}) for c in ROSBAG1},
    'sqlite': (write_sqlite, 'a.db3', {}),
}


@pytest.mark.parametrize('kind', SMALL)
def test_damaged_bag_gives_messages_or_one_line(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp('bag')
    write, name, options = SMALL[kind]
    path = write(folder / name, MESSAGES, **options)
    whole = path.read_bytes()

    @given(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=20),
        st.one_of(st.just(len(whole)), st.integers(0, len(whole))),
        st.booleans(),
    )
    def check(edits, kept, packed):
        data = bytearray(whole)
        for position, byte in edits:
            data[position] = byte
        data = data[:kept]
        target = path.with_name(f'{path.name}.zstd') if packed else path
        target.write_bytes(zstandard.compress(data)[: kept + 1] if packed else data)
        try:
            with Bag(target) as bag:
                times = [message.time_ns for message in bag.messages()]
        except SgnetError as error:
            assert '\n' not in str(error)
        else:
            assert times == sorted(times)
            assert len(times) <= 2 * len(TIMES)

    check()
