# SPDX-License-Identifier: Apache-2.0
"""Reads what is left of a bag that was cut off: power lost, disk full, half a download.

Each format keeps its index at the end, so that a bag without its end does not open. The messages
before the cut are whole, and are found here by walking the file from its beginning.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag1 import reader as rosbag1
from rosbags.rosbag1.reader import Header, RecordType, read_uint32
from rosbags.rosbag2.metadata import parse_qos
from rosbags.rosbag2.storage_mcap import (
    Schema,
    decompress,
    get_msgdef,
    get_qos,
    read_bytes,
    read_exact,
    read_sized,
    read_string,
)

Messages = Iterator[tuple[Connection, int, bytes]]
"""Connection, time in ns, bytes as stored."""


class CutMcap:
    """An MCAP file, up to its last whole message; of a compressed chunk, up to the last whole one.

    The format: https://mcap.dev/spec
    """

    def __init__(self, path: Path) -> None:
        self._bio = path.open('rb')
        if read_exact(self._bio, len(_MCAP_MAGIC)) != _MCAP_MAGIC:
            raise ValueError(f'{path} does not begin like an MCAP file')
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        self._by_id: dict[int, Connection] = {}
        # Time, offset of its chunk (0 = in none), offset in it, channel: sorts by time, then place.
        self._index: list[tuple[int, int, int, int]] = []
        self._chunk = (0, b'')
        self._scan(self._bio, 0)
        counts = Counter(channel for *_, channel in self._index)
        self.connections = [c._replace(msgcount=counts[c.id]) for c in self._by_id.values()]

    def _scan(self, bio: BinaryIO, chunk_start: int) -> None:
        """Note the records from the position of `bio` on, up to the first that is not whole."""
        try:
            while True:
                start = bio.tell()
                opcode, length = struct.unpack('<BQ', read_exact(bio, 9))
                # Zeros are what a file system leaves of blocks it never got to write.
                if opcode in (0, _MCAP_DATA_END):
                    return
                if opcode == _MCAP_CHUNK:
                    self._scan(BytesIO(self._load_chunk(start)), start)
                    bio.seek(start + 9 + length)
                else:
                    self._note(opcode, read_exact(bio, length), chunk_start, start)
        except Exception:
            # The cut is inside this record.
            return

    def _note(self, opcode: int, body: bytes, chunk_start: int, offset: int) -> None:
        record = BytesIO(body)
        if opcode == _MCAP_SCHEMA:
            (schema_id,) = struct.unpack('<H', read_exact(record, 2))
            schema = Schema(schema_id, *(read_string(record) for _ in range(3)))
            self._schemas[schema_id] = (schema.name, get_msgdef(schema))
        elif opcode == _MCAP_CHANNEL:
            channel_id, schema_id = struct.unpack('<HH', read_exact(record, 4))
            name, definition = self._schemas[schema_id]
            topic, encoding = read_string(record), read_string(record)
            extra = ConnectionExtRosbag2(encoding, get_qos(read_bytes(record)))
            self._by_id[channel_id] = Connection(
                channel_id, topic, name, definition, '', 0, extra, self
            )
        elif opcode == _MCAP_MESSAGE:
            channel_id, _, time_ns = struct.unpack_from('<HIQ', body)
            self._index.append((time_ns, chunk_start, offset, channel_id))

    def _load_chunk(self, start: int) -> bytes:
        """The decompressed records of the chunk at offset `start`; the last one is kept."""
        if self._chunk[0] != start:
            self._bio.seek(start + 9 + 16)
            size, _ = struct.unpack('<QI', read_exact(self._bio, 12))
            compression = read_string(self._bio)
            (stored_size,) = struct.unpack('<Q', read_exact(self._bio, 8))
            records = self._bio.read(stored_size)
            if compression:
                records = decompress(records, compression, size, 0)
            self._chunk = (start, records)
        return self._chunk[1]

    def messages(self, connections: Collection[Connection]) -> Messages:
        """Messages in order of time."""
        by_id = {c.id: c for c in connections}
        for time_ns, chunk_start, offset, channel_id in sorted(self._index):
            if channel_id in by_id:
                bio = BytesIO(self._load_chunk(chunk_start)) if chunk_start else self._bio
                bio.seek(offset + 1)
                yield by_id[channel_id], time_ns, read_sized(bio)[_MCAP_MESSAGE_HEADER:]

    def close(self) -> None:
        """Close the file."""
        self._bio.close()


_MCAP_MAGIC = b'\x89MCAP0\r\n'
_MCAP_SCHEMA, _MCAP_CHANNEL, _MCAP_MESSAGE = 0x03, 0x04, 0x05
_MCAP_CHUNK, _MCAP_DATA_END = 0x06, 0x0F
_MCAP_MESSAGE_HEADER = 22
"""Bytes of a message record before its data: channel, sequence, two times."""


class CutSqlite:
    """A SQLite bag, up to the first row that is lost."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(f'{path.resolve().as_uri()}?immutable=1', uri=True)
        # SQLite refuses a file shorter than its header says, unless it may repair the schema.
        self._database.execute('PRAGMA writable_schema=ON')
        self._rows = self._readable_rows()
        counts = Counter(topic_id for _, topic_id, _ in self._rows)
        columns = 'id, name, type, serialization_format, offered_qos_profiles'
        self.connections = [
            Connection(
                topic_id,
                topic,
                msgtype,
                MessageDefinition(MessageDefinitionFormat.NONE, ''),
                '',
                counts[topic_id],
                ConnectionExtRosbag2(serialization, parse_qos(qos)),
                self,
            )
            for topic_id, topic, msgtype, serialization, qos in self._database.execute(
                f'SELECT {columns} FROM topics ORDER BY id'
            )
        ]

    def _readable_rows(self) -> list[tuple[int, int, int]]:
        """(id, topic, time) of the rows before the cut, which are those written first."""
        rows: list[tuple[int, int, int]] = []
        query = (
            'SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? ORDER BY id LIMIT 1'
        )
        try:
            while row := self._database.execute(query, (rows[-1][0] if rows else -1,)).fetchone():
                rows.append(row[:3])
        except sqlite3.Error:
            pass
        return rows

    def messages(self, connections: Collection[Connection]) -> Messages:
        """Messages in order of time."""
        by_id = {c.id: c for c in connections}
        for row_id, topic_id, time_ns in sorted(self._rows, key=itemgetter(2, 0)):
            if topic_id in by_id:
                query = 'SELECT data FROM messages WHERE id = ?'
                (data,) = self._database.execute(query, (row_id,)).fetchone()
                yield by_id[topic_id], time_ns, data

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class CutRosbag1:
    """A rosbag1 file, up to its last whole chunk."""

    def __init__(self, path: Path) -> None:
        self._bio = path.open('rb')
        if self._bio.readline() != b'#ROSBAG V2.0\n':
            raise ValueError(f'{path} does not begin like a rosbag1 file')
        self._by_id: dict[int, Connection] = {}
        self._index: list[tuple[int, int, int, int]] = []  # time, chunk, offset in it, connection
        self._chunk = (-1, b'')
        try:
            while True:
                self._read_record()
        except Exception:
            # The cut is inside this record, or this is the end.
            pass
        counts = Counter(connection for *_, connection in self._index)
        self.connections = [c._replace(msgcount=counts[c.id]) for c in self._by_id.values()]

    def _read_record(self) -> None:
        start = self._bio.tell()
        operation = Header.read(self._bio).get_uint8('op')
        if operation == RecordType.CHUNK:
            chunk = BytesIO(self._load_chunk(start))
            while chunk.tell() < len(self._chunk[1]):
                self._read_chunk_record(chunk, start)
        else:
            rosbag1.read_bytes(self._bio, read_uint32(self._bio))

    def _read_chunk_record(self, chunk: BytesIO, chunk_start: int) -> None:
        offset = chunk.tell()
        header = Header.read(chunk)
        body = rosbag1.read_bytes(chunk, read_uint32(chunk))
        connection = header.get_uint32('conn')
        if header.get_uint8('op') == RecordType.MSGDATA:
            self._index.append((header.get_time('time'), chunk_start, offset, connection))
        else:
            about = Header.read(BytesIO(len(body).to_bytes(4, 'little') + body))
            self._by_id[connection] = Connection(
                connection,
                rosbag1.normalize(header.get_string('topic')),
                rosbag1.normalize_msgtype(about.get_string('type')),
                MessageDefinition(
                    MessageDefinitionFormat.MSG, about.get_string('message_definition')
                ),
                about.get_string('md5sum'),
                0,
                ConnectionExtRosbag1(None, int(about.get('latching', b'0') or 0)),
                self,
            )

    def _load_chunk(self, start: int) -> bytes:
        """The decompressed records of the chunk at offset `start`; the last one is kept."""
        if self._chunk[0] != start:
            self._bio.seek(start)
            header = Header.read(self._bio, RecordType.CHUNK)
            data = rosbag1.read_bytes(self._bio, read_uint32(self._bio))
            self._chunk = (start, rosbag1.decompressors[header.get_string('compression')](data))
        return self._chunk[1]

    def messages(self, connections: Collection[Connection]) -> Messages:
        """Messages in order of time."""
        by_id = {c.id: c for c in connections}
        for time_ns, chunk_start, offset, connection in sorted(self._index):
            if connection in by_id:
                chunk = BytesIO(self._load_chunk(chunk_start))
                chunk.seek(offset)
                Header.read(chunk)
                yield by_id[connection], time_ns, rosbag1.read_bytes(chunk, read_uint32(chunk))

    def close(self) -> None:
        """Close the file."""
        self._bio.close()
