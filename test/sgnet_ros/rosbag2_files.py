# SPDX-License-Identifier: Apache-2.0
"""Encoders of rosbag2 that share no code with rosbags: metadata.yaml, SQLite and CDR."""

import sqlite3
import struct
from contextlib import closing

import yaml

TOPICS = {'/rgb': 'sensor_msgs/msg/Image', '/names': 'std_msgs/msg/String'}
FOREVER = {'sec': 9223372036, 'nsec': 854775807}
WORDS = {'history': 'keep_last', 'reliability': 'reliable', 'liveliness': 'automatic'}
NUMBERS = {'history': 1, 'reliability': 1, 'liveliness': 1}


def image(stamp_ns, data):
    """The CDR bytes of a mono8 image of one row."""
    words = struct.Struct('<4s iI I2s2x II I6s Bx II')
    time, size = divmod(stamp_ns, 10**9), len(data)
    head = words.pack(b'\0\1\0\0', *time, 2, b'c', 1, size, 6, b'mono8', 0, size, size)
    return head + data


def messages_at(*times, size=100):
    """Images of these stamps on /rgb as (topic, time, CDR), numbered by their last byte."""
    return [('/rgb', time, image(time, bytes(size) + bytes([time % 256]))) for time in times]


def qos(version, latched, depth=10):
    """`offered_qos_profiles`: words in a list since version 9, before that numbers in a text."""
    times = dict.fromkeys(('deadline', 'lifespan', 'liveliness_lease_duration'), FOREVER)
    profile = {**times, 'depth': depth, 'avoid_ros_namespace_conventions': False}
    if version >= 9:
        durability = 'transient_local' if latched else 'volatile'
        return [{**profile, **WORDS, 'durability': durability}]
    return yaml.safe_dump([{**profile, **NUMBERS, 'durability': 1 if latched else 2}])


def write_metadata(folder, files, counts, version=8, storage='sqlite3', **changes):
    """metadata.yaml with the keys of this version; `counts` is for each of `TOPICS`."""
    topics = []
    for (name, kind), count in zip(TOPICS.items(), counts, strict=True):
        about = {'name': name, 'type': kind, 'serialization_format': 'cdr'}
        about['offered_qos_profiles'] = qos(version, kind.endswith('String'))
        if version >= 7:
            about['type_description_hash'] = 'RIHS01_' + 64 * '0'
        topics.append({'topic_metadata': about, 'message_count': count})
    start, length = {'nanoseconds_since_epoch': 0}, {'nanoseconds': 10**9}
    about = {'version': version, 'storage_identifier': storage, 'relative_file_paths': files}
    about |= {'duration': length, 'starting_time': start, 'message_count': sum(counts)}
    about |= {'topics_with_message_count': topics}
    about |= {'compression_format': '', 'compression_mode': ''}
    if version >= 5:
        part = {'starting_time': start, 'duration': length, 'message_count': sum(counts)}
        about['files'] = [{'path': file, **part} for file in files]
    if version >= 6:
        about['custom_data'] = None
    if version >= 8:
        about['ros_distro'] = 'jazzy'
    text = yaml.safe_dump({'rosbag2_bagfile_information': about | changes}, sort_keys=False)
    (folder / 'metadata.yaml').write_text(text)


def write_sqlite(path, messages, version=8, depth=10):
    """A .db3 file with (topic, time, CDR) messages, in the schema of this version."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        columns = 'id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT'
        columns += ', offered_qos_profiles TEXT' if version >= 4 else ''
        columns += ', type_description_hash TEXT' if version >= 7 else ''
        database.execute(f'CREATE TABLE topics({columns})')
        database.execute(
            'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, '
            'timestamp INTEGER, data BLOB)'
        )
        database.execute('CREATE INDEX timestamp_idx ON messages (timestamp ASC)')
        for number, (name, kind) in enumerate(TOPICS.items(), 1):
            row = [number, name, kind, 'cdr']
            row += [yaml.safe_dump(yaml.safe_load(qos(4, False, depth)))] if version >= 4 else []
            row += ['RIHS01_'] if version >= 7 else []
            database.execute(f'INSERT INTO topics VALUES ({",".join("?" * len(row))})', row)
        numbers = {name: number for number, name in enumerate(TOPICS, 1)}
        rows = [(numbers[topic], time_ns, cdr) for topic, time_ns, cdr in messages]
        sql = 'INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)'
        database.executemany(sql, rows)
    return path
