# SPDX-License-Identifier: Apache-2.0
"""Reads what is left of a bag that was cut off: power lost, disk full, half a download.

Each format keeps its index at the end, so that a bag without its end does not open. The messages
before the cut are whole, and are found here by walking the file from its beginning.
"""

from __future__ import annotations

import sqlite3
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
from rosbags.rosbag1.reader import (
    Header,
    RecordType,
    decompressors,
    normalize,
    normalize_msgtype,
    read_bytes,
    read_uint32,
)
from rosbags.rosbag2.metadata import parse_qos
from rosbags.rosbag2.storage_mcap import (
    ChunkInfo,
    McapReader,
    decompress,
    read_exact,
    read_string,
)

Messages = Iterator[tuple[Connection, int, bytes]]
"""Connection, time in ns, bytes as stored."""


class CutMcap(McapReader):
    """An MCAP file, up to its last whole chunk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open()

    def _open(self) -> None:
        """Find what the missing summary would have told: chunks, connections, counts."""
        assert self.bio
        magic = read_exact(self.bio, 9)
        if magic != b'\x89MCAP0\r\n\x01':
            raise ValueError(f'{self.path} does not begin like an MCAP file')
        _skip_record_body(self.bio)
        self.data_start = self.data_end = self.bio.tell()
        chunks = []
        while (record := self._next_record()) is not None:
            opcode, start = record
            if opcode == _MCAP_CHUNK:
                chunks.append(_chunk_info(self.bio, start))
            self.bio.seek(self.data_end)
        self.meta_scan()
        assert self.statistics
        counts = self.statistics.channel_message_counts
        self.connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in self.connections]
        # With the chunks listed, messages come sorted by time even across chunks.
        everywhere = {c.id: 1 for c in self.connections}
        self.chunks = [chunk._replace(channel_count=everywhere) for chunk in chunks]

    def _next_record(self) -> tuple[int, int] | None:
        """(opcode, offset) of the record at the file position if it is whole; moves `data_end`."""
        assert self.bio
        start = self.bio.tell()
        opcode = self.bio.read(1)
        # Zeros are what a file system leaves of blocks it never got to write.
        if not opcode or opcode[0] in (0, _MCAP_DATA_END, _MCAP_FOOTER):
            return None
        try:
            if opcode[0] == _MCAP_CHUNK:
                _check_chunk(self.bio, start)
                self.bio.seek(start + 1)
            _skip_record_body(self.bio)
        except Exception:
            # The cut is inside this record.
            return None
        self.data_end = self.bio.tell()
        return opcode[0], start


_MCAP_FOOTER, _MCAP_CHUNK, _MCAP_DATA_END = 0x02, 0x06, 0x0F


def _skip_record_body(bio: BinaryIO) -> None:
    length = int.from_bytes(read_exact(bio, 8), 'little')
    end = bio.tell() + length
    if length:
        bio.seek(end - 1)
        read_exact(bio, 1)


def _chunk_info(bio: BinaryIO, start: int) -> ChunkInfo:
    """Describe the chunk record at offset `start` as the file's summary would have done."""
    bio.seek(start + 1)
    length = int.from_bytes(read_exact(bio, 8), 'little')
    first_time, last_time, size = (int.from_bytes(read_exact(bio, 8), 'little') for _ in range(3))
    read_exact(bio, 4)
    compression = read_string(bio)
    compressed_size = int.from_bytes(read_exact(bio, 8), 'little')
    return ChunkInfo(
        first_time, last_time, start, 9 + length, {}, 0, compression, compressed_size, size, {}
    )


def _check_chunk(bio: BinaryIO, start: int) -> None:
    """Raise unless the chunk record at `start` is whole and decompresses."""
    chunk = _chunk_info(bio, start)
    data = read_exact(bio, chunk.compressed_size)
    decompress(data, chunk.compression, chunk.uncompressed_size, 0)


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
            read_bytes(self._bio, read_uint32(self._bio))

    def _read_chunk_record(self, chunk: BytesIO, chunk_start: int) -> None:
        offset = chunk.tell()
        header = Header.read(chunk)
        body = read_bytes(chunk, read_uint32(chunk))
        connection = header.get_uint32('conn')
        if header.get_uint8('op') == RecordType.MSGDATA:
            self._index.append((header.get_time('time'), chunk_start, offset, connection))
        else:
            about = Header.read(BytesIO(len(body).to_bytes(4, 'little') + body))
            self._by_id[connection] = Connection(
                connection,
                normalize(header.get_string('topic')),
                normalize_msgtype(about.get_string('type')),
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
            data = read_bytes(self._bio, read_uint32(self._bio))
            self._chunk = (start, decompressors[header.get_string('compression')](data))
        return self._chunk[1]

    def messages(self, connections: Collection[Connection]) -> Messages:
        """Messages in order of time."""
        by_id = {c.id: c for c in connections}
        for time_ns, chunk_start, offset, connection in sorted(self._index):
            if connection in by_id:
                chunk = BytesIO(self._load_chunk(chunk_start))
                chunk.seek(offset)
                Header.read(chunk)
                yield by_id[connection], time_ns, read_bytes(chunk, read_uint32(chunk))

    def close(self) -> None:
        """Close the file."""
        self._bio.close()
