# SPDX-License-Identifier: Apache-2.0
"""Reads truncated bag files, for example after a power loss or an incomplete download.

The index is at the end of a file. A scan from the beginning finds the messages before the cut.
"""

from __future__ import annotations

import bz2
import re
import sqlite3
import struct
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
import yaml
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader

from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types, topics_by_name


class TruncatedFile(ABC):
    """The topics and messages of one storage file before the cut."""

    def __init__(self, path: Path) -> None:
        self._file = self._open(path)
        self._by_id: dict[int, BagTopic] = {}
        # Time in ns, place in the file, topic: sorts by time, then place.
        self._index: list[tuple[int, tuple[int, ...], int]] = []
        # Decoders raise any type for damaged bytes: the scan ends there.
        with suppress(Exception):
            self._scan()
        counts = Counter(topic_id for *_, topic_id in self._index)
        self.topics = topics_by_name(replace(t, count=counts[i]) for i, t in self._by_id.items())

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages on these topics in order of time."""
        for time_ns, place, topic_id in sorted(self._index):
            topic = self._by_id[topic_id]
            if topic.name in topics:
                yield BagMessage(topic.name, time_ns, self._load(place, topic))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, path: Path) -> Any:
        return path.open('rb')

    @abstractmethod
    def _scan(self) -> None:
        """Fill `_by_id` and `_index` up to the first incomplete record."""

    @abstractmethod
    def _load(self, place: tuple[int, ...], topic: BagTopic) -> bytes:
        """The CDR bytes of the message at `place`."""

    def _note(self, time_ns: int, place: tuple[int, ...], topic_id: int) -> None:
        if topic_id in self._by_id:
            self._index.append((time_ns, place, topic_id))


class TruncatedMcap(TruncatedFile):
    """An MCAP file up to its last complete message or compressed chunk (https://mcap.dev/spec)."""

    def _scan(self) -> None:
        next(iter(StreamReader(self._file).records))  # checks the first bytes, skips the header
        self._cached: tuple[int, list[McapRecord]] = (0, [])
        self._schemas: dict[int, Schema] = {}
        start = self._file.tell()
        # The file system leaves zeros for blocks that it did not write.
        while (head := self._file.read(_CHUNK_HEAD)) and head[0] not in (0, Opcode.DATA_END):
            size = 9 + int.from_bytes(head[1:9], 'little')
            if head[0] == Opcode.CHUNK and head[37:41] == bytes(4):
                # Not compressed: its records can be read one by one without its end.
                size = _CHUNK_HEAD
            else:
                for number, record in enumerate(self._records(start, size)):
                    self._note_record(record, (start, size, number))
            start = self._file.seek(start + size)

    def _records(self, start: int, size: int) -> list[McapRecord]:
        """The records of the chunk at `start`, or the one record there. Caches the latest."""
        if self._cached[0] != start:
            self._file.seek(start)
            records: list[McapRecord] = []
            stream = BytesIO(self._file.read(size))
            with suppress(EndOfFile):
                for record in StreamReader(stream, skip_magic=True).records:
                    records.append(record)
            self._cached = (start, records)
        return self._cached[1]

    def _note_record(self, record: McapRecord, place: tuple[int, int, int]) -> None:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel) and record.message_encoding == 'cdr':
            latched = _is_latched(record.metadata.get('offered_qos_profiles', ''))
            msgtype = self._schemas[record.schema_id].name
            self._by_id[record.id] = BagTopic(record.topic, msgtype, 0, latched)
        elif isinstance(record, Message):
            self._note(record.log_time, place, record.channel_id)

    def _load(self, place: tuple[int, ...], topic: BagTopic) -> bytes:
        start, size, number = place
        return self._records(start, size)[number].data


_CHUNK_HEAD = 49
"""Bytes before the records of an uncompressed chunk; bytes 37-40 are the length of the compression
name, which is empty."""


class TruncatedSqlite(TruncatedFile):
    """A SQLite bag up to the first lost row."""

    def _open(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(f'{path.resolve().as_uri()}?immutable=1', uri=True)
        # Without this, SQLite refuses a file that is shorter than its header says.
        database.execute('PRAGMA writable_schema=ON')
        return database

    def _scan(self) -> None:
        sql = 'SELECT id, name, type, offered_qos_profiles FROM topics ORDER BY id'
        for topic_id, name, msgtype, qos in self._file.execute(sql):
            self._by_id[topic_id] = BagTopic(name, msgtype, 0, _is_latched(qos))
        # One query per row: a cursor fetches ahead and loses a row to an error in the next one. It
        # reads the data, too: they can be lost although the row is not.
        sql = 'SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? ORDER BY id LIMIT 1'
        latest = -1
        while row := self._file.execute(sql, (latest,)).fetchone():
            row_id, topic_id, time_ns, _ = row
            # If pages are lost, rows can repeat without end.
            if row_id <= latest:
                return
            latest = row_id
            self._note(time_ns, (row_id,), topic_id)

    def _load(self, place: tuple[int, ...], topic: BagTopic) -> bytes:
        (data,) = self._file.execute('SELECT data FROM messages WHERE id = ?', place).fetchone()
        return data


class TruncatedRosbag1(TruncatedFile):
    """A rosbag1 file up to its last complete chunk (https://wiki.ros.org/Bags/Format/2.0)."""

    def _scan(self) -> None:
        self._cached = (-1, b'')
        if self._file.readline() != b'#ROSBAG V2.0\n':
            return
        while True:
            start = self._file.tell()
            header, _ = _read_record(self._file)
            if header['op'] == _CHUNK:
                following = self._file.tell()
                records = BytesIO(self._chunk(start))
                while (offset := records.tell()) < len(records.getbuffer()):
                    self._note_record(*_read_record(records), (start, offset))
                self._file.seek(following)

    def _note_record(self, header: dict[str, bytes], body: bytes, place: tuple[int, int]) -> None:
        topic_id = int.from_bytes(header['conn'], 'little')
        if header['op'] == _MESSAGE:
            seconds, nanoseconds = struct.unpack('<II', header['time'])
            self._note(seconds * 1_000_000_000 + nanoseconds, place, topic_id)
        elif header['op'] == _CONNECTION:
            about = _fields(body)
            package, kind = about['type'].decode().split('/')
            name = re.sub('/+', '/', header['topic'].decode())
            latched = about.get('latching') == b'1'
            self._by_id[topic_id] = BagTopic(name, f'{package}/msg/{kind}', 0, latched)

    def _chunk(self, start: int) -> bytes:
        """The decompressed records of the chunk at `start`. Caches the latest."""
        if self._cached[0] != start:
            self._file.seek(start)
            header, data = _read_record(self._file)
            self._cached = (start, _DECOMPRESSORS[header['compression']](data))
        return self._cached[1]

    def _load(self, place: tuple[int, ...], topic: BagTopic) -> bytes:
        start, offset = place
        records = BytesIO(self._chunk(start))
        records.seek(offset)
        return bytes(standard_types().ros1_to_cdr(_read_record(records)[1], topic.msgtype))


TRUNCATED_FILES = {'.mcap': TruncatedMcap, '.db3': TruncatedSqlite, '.bag': TruncatedRosbag1}
_MESSAGE, _CHUNK, _CONNECTION = b'\x02', b'\x05', b'\x07'
_DECOMPRESSORS = {b'none': bytes, b'bz2': bz2.decompress, b'lz4': lz4.frame.decompress}


def _read_record(file: BinaryIO) -> tuple[dict[str, bytes], bytes]:
    """Header and body of a rosbag1 record."""
    return _fields(_read_sized(file)), _read_sized(file)


def _read_sized(file: BinaryIO) -> bytes:
    (size,) = struct.unpack('<I', file.read(4))
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _fields(header: bytes) -> dict[str, bytes]:
    fields, stream = {}, BytesIO(header)
    while stream.tell() < len(header):
        name, _, value = _read_sized(stream).partition(b'=')
        fields[name.decode()] = value
    return fields


def _is_latched(offered_qos_profiles: str) -> bool:
    """Whether a publisher was transient local; YAML of all distributions."""
    profiles = yaml.safe_load(offered_qos_profiles) or []
    return any(profile['durability'] in (1, 'transient_local') for profile in profiles)
