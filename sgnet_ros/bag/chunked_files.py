# SPDX-License-Identifier: Apache-2.0
"""MCAP and rosbag1 files: chunks of messages, each followed by its message index."""

from __future__ import annotations

import bz2
import re
import struct
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
from mcap.opcode import Opcode
from mcap.records import Channel, MessageIndex, Schema, Statistics
from mcap.stream_reader import StreamReader

from sgnet_core.errors import first_line
from sgnet_ros.bag.metadata import is_latched
from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types
from sgnet_ros.bag.storage_files import ENTRY, MAX_MESSAGE_BYTES, StorageFile, decompress_zstd

_WHOLE_FILE = -1
"""`chunk` of a message that is in no chunk: `offset` counts from the start of the file."""


class ChunkedFile(StorageFile):
    """Walks the records of a file without reading its chunks.

    If the message indices do not have the number of messages that the summary at the end states,
    the chunks are decompressed for a new index.
    """

    def __init__(self, path: Path) -> None:
        self._chunks: list[int] = []
        self._indices: list[np.ndarray] = []
        self._outside: list[tuple[int, int, int, int]] = []  # messages outside of chunks
        # Topic id -> number of messages, by the summary; None = no summary.
        self._counts: Counter[int] | None = None
        self._is_own_index = False
        self._size = path.stat().st_size
        self._chunk = lru_cache(maxsize=2)(self._decompressed)
        super().__init__(path)

    def _read_index(self) -> np.ndarray:
        self._check_magic()
        try:
            self._walk()
        except Exception as error:  # decoders raise any type for damaged bytes
            self._note_damage(first_line(error))
        index = np.concatenate([np.array(self._outside, ENTRY), *self._indices])
        counts = Counter(index['topic'].tolist())
        is_indexed = np.isin(self._chunks, index['chunk']).all()
        # A topic can be described in its chunk only.
        if is_indexed and counts == self._counts and counts.keys() <= self._by_id.keys():
            return index
        return self._new_index()

    def _new_index(self) -> np.ndarray:
        """The index by the records of the chunks, up to the first damage, which is noted."""
        self._is_own_index = True
        entries = self._outside.copy()
        try:
            for chunk in self._chunks:
                entries.extend(self._chunk_entries(chunk, self._chunk(chunk)))
        except Exception as error:
            self._note_damage(first_line(error))
        index = np.array(entries, ENTRY)
        if lost := (self._counts or Counter()) - Counter(index['topic'].tolist()):
            self._note_damage(f'{lost.total()} messages of its summary are missing')
        return index

    def messages(self, msgtypes: Mapping[str, str]) -> Iterator[BagMessage]:
        """As the base class; a damaged message index is replaced."""
        index, count = self._chosen(msgtypes), 0
        try:
            for message in self._messages(index):
                count += 1
                yield message
        except Exception:
            if self._is_own_index:
                raise
            self._set_index(self._new_index())
            own = self._chosen(msgtypes)
            if not np.array_equal(own[:count], index[:count]):
                raise
            yield from self._messages(own[count:])
            if self.damage:
                raise

    def _add_index(self, topic_id: int, times: np.ndarray, offsets: np.ndarray) -> None:
        """Add the message index of the latest chunk for one topic."""
        index = np.empty(len(times), ENTRY)
        index['time_ns'], index['chunk'], index['offset'] = times, self._chunks[-1], offsets
        index['topic'] = topic_id
        self._indices.append(index)

    def _read(self, start: int, size: int) -> bytes:
        if size > min(self._size - start, MAX_MESSAGE_BYTES):
            raise EOFError(f'a record of {size} bytes at byte {start} of {self._size}')
        self._file.seek(start)
        return self._file.read(size)

    @abstractmethod
    def _check_magic(self) -> None:
        """Raise ValueError for a file of another format."""

    @abstractmethod
    def _walk(self) -> None:
        """Fill everything up to the first damage, which is noted or raised."""

    @abstractmethod
    def _decompressed(self, chunk: int) -> bytes:
        """The records of the chunk at this byte."""

    @abstractmethod
    def _chunk_entries(self, chunk: int, data: bytes) -> Iterator[tuple[int, int, int, int]]:
        """The index of a chunk, from its records; adds topics that are described there."""


class McapFile(ChunkedFile):
    """An MCAP file (https://mcap.dev/spec), with or without chunks, indices and summary."""

    def _check_magic(self) -> None:
        if self._file.read(8) != b'\x89MCAP0\r\n':
            raise ValueError('not an MCAP file')

    def _walk(self) -> None:
        self._schemas: dict[int, str] = {}
        start, is_complete = 8, False
        # The file system leaves zeros for blocks that it did not write.
        while (head := self._head(start)) and head[0] not in (0, Opcode.FOOTER):
            opcode, length = head
            end = start + 9 + length
            is_complete |= opcode == Opcode.DATA_END
            if opcode == Opcode.CHUNK and end > self._size:
                if self._read(start, _CHUNK_HEAD)[37:41] != bytes(4):
                    break
                # Not compressed: its records can be read one by one without its end.
                end = start + _CHUNK_HEAD
            elif opcode == Opcode.CHUNK:
                self._chunks.append(start)
            elif opcode == Opcode.MESSAGE:
                if end > self._size:
                    break
                topic_id, time_ns = _MESSAGE_HEAD.unpack(self._read(start + 9, _MESSAGE_HEAD.size))
                self._outside.append((time_ns, _WHOLE_FILE, start, topic_id))
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._describe(self._read(start, end - start))
            elif opcode in (Opcode.MESSAGE_INDEX, Opcode.STATISTICS):
                with suppress(Exception):  # not needed
                    self._describe(self._read(start, end - start))
            start = end
        if not is_complete:
            self._note_damage(f'no end of data after byte {start} of {self._size}')

    def _head(self, start: int) -> tuple[int, int] | None:
        """Opcode and length of the record at `start`; None at the end of the file."""
        self._file.seek(start)
        head = self._file.read(9)
        return _RECORD_HEAD.unpack(head) if len(head) == 9 else None

    def _describe(self, raw: bytes) -> None:
        record = _parsed(raw)
        if isinstance(record, Schema):
            self._schemas[record.id] = record.name
        elif isinstance(record, Channel):
            msgtype, encoding = self._schemas.get(record.schema_id, ''), record.message_encoding
            if encoding != 'cdr':
                msgtype = f'{msgtype} as {encoding}'
            latched = is_latched(record.metadata.get('offered_qos_profiles'))
            self._by_id[record.id] = BagTopic(record.topic, msgtype, 0, latched)
        elif isinstance(record, Statistics):
            counts = record.channel_message_counts
            self._counts = Counter({i: count for i, count in counts.items() if count})
        elif isinstance(record, MessageIndex):
            records = np.array(record.records, 'u8').reshape(-1, 2)
            self._add_index(record.channel_id, records[:, 0], records[:, 1])

    def _decompressed(self, chunk: int) -> bytes:
        _, length = self._head(chunk)
        record = _parsed(self._read(chunk, 9 + length))
        data = _decompressed(record.data, record.compression, record.uncompressed_size)
        if record.uncompressed_crc not in (0, zlib.crc32(data)):
            raise ValueError(f'wrong checksum of the chunk at byte {chunk}')
        return data

    def _chunk_entries(self, chunk: int, data: bytes) -> Iterator[tuple[int, int, int, int]]:
        offset = 0
        while offset < len(data):
            opcode, length = _RECORD_HEAD.unpack_from(data, offset)
            end = offset + 9 + length
            if opcode == Opcode.MESSAGE:
                topic_id, time_ns = _MESSAGE_HEAD.unpack_from(data, offset + 9)
                yield time_ns, chunk, offset, topic_id
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._describe(data[offset:end])
            offset = end

    def _load(self, time_ns: int, chunk: int, offset: int, topic: BagTopic) -> bytes:
        if chunk == _WHOLE_FILE:
            _, length = self._head(offset)
            data, offset = self._read(offset, 9 + length), 0
        else:
            data = self._chunk(chunk)
        opcode, length = _RECORD_HEAD.unpack_from(data, offset)
        topic_id, found_ns = _MESSAGE_HEAD.unpack_from(data, offset + 9)
        found = opcode, self._by_id.get(topic_id), found_ns
        if found != (Opcode.MESSAGE, topic, time_ns):
            raise ValueError(f'the message index is wrong for the chunk at byte {chunk}')
        return data[offset + 31 : offset + 9 + length]


_RECORD_HEAD = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<H4xq')
_CHUNK_HEAD = 49
"""Bytes before the records of an uncompressed chunk; bytes 37-40 are the length of the compression
name, which is empty."""


def _parsed(raw: bytes) -> Any:
    """One MCAP record from its bytes."""
    return next(iter(StreamReader(BytesIO(raw), skip_magic=True, emit_chunks=True).records))


class Rosbag1File(ChunkedFile):
    """A rosbag1 file (https://wiki.ros.org/Bags/Format/2.0), with or without indices."""

    def _check_magic(self) -> None:
        if self._file.readline() != b'#ROSBAG V2.0\n':
            raise ValueError('not a rosbag1 file of version 2.0')

    def _walk(self) -> None:
        start, self._is_indexed = self._file.tell(), True
        counts: Counter[int] = Counter()
        while start < self._size:
            header, body, size = self._record(start)
            opcode = header['op']
            if opcode == _BAG_HEADER:
                self._is_indexed = header['index_pos'] != bytes(8)
                if header.get('encryptor'):
                    raise ValueError('encryption is not supported')
            elif opcode == _CHUNK:
                if body + size > self._size:
                    raise EOFError(f'no end of the chunk at byte {start} of {self._size}')
                self._chunks.append(start)
            elif opcode == _CONNECTION:
                self._add_connection(header, self._read(body, size))
            elif opcode == _CHUNK_INFO:
                pairs = np.frombuffer(self._read(body, size), '<u4').reshape(-1, 2)
                counts.update(dict(pairs.tolist()))
            elif opcode == _INDEX:
                index = np.frombuffer(self._read(body, size), '<u4').reshape(-1, 3).astype('i8')
                times = index[:, 0] * 1_000_000_000 + index[:, 1]
                self._add_index(int.from_bytes(header['conn'], 'little'), times, index[:, 2])
            start = body + size
        if self._is_indexed and not counts:
            raise EOFError(f'no index after byte {start}')
        self._counts = counts

    def _record(self, start: int) -> tuple[dict[str, bytes], int, int]:
        """Fields of the header, and start and size of the body, of the record at `start`."""
        size = int.from_bytes(self._read(start, 4), 'little')
        header = self._read(start + 4, size)
        body = start + 8 + size
        return _fields(header), body, int.from_bytes(self._read(body - 4, 4), 'little')

    def _add_connection(self, header: dict[str, bytes], body: bytes) -> None:
        about = _fields(body)
        package, kind = about['type'].decode().split('/')
        name = re.sub('/+', '/', header['topic'].decode())
        msgtype = f'{package}/msg/{kind}'
        if msgtype not in standard_types().fielddefs:
            msgtype += ' of ROS 1'  # it cannot be converted
        topic = BagTopic(name, msgtype, 0, about.get('latching') == b'1')
        self._by_id[int.from_bytes(header['conn'], 'little')] = topic

    def _decompressed(self, chunk: int) -> bytes:
        header, body, size = self._record(chunk)
        expected = int.from_bytes(header['size'], 'little')
        return _decompressed(self._read(body, size), header['compression'].decode(), expected)

    def _chunk_entries(self, chunk: int, data: bytes) -> Iterator[tuple[int, int, int, int]]:
        offset = 0
        while offset < len(data):
            header, body, end = _record_in(data, offset)
            if header['op'] == _CONNECTION:
                self._add_connection(header, data[body:end])
            elif header['op'] == _MESSAGE:
                topic_id = int.from_bytes(header['conn'], 'little')
                yield _time_ns(header), chunk, offset, topic_id
            offset = end

    def _load(self, time_ns: int, chunk: int, offset: int, topic: BagTopic) -> bytes:
        data = self._chunk(chunk)
        header, body, end = _record_in(data, offset)
        while header['op'] == _CONNECTION:  # an index can point in front of it
            header, body, end = _record_in(data, end)
        found = self._by_id.get(int.from_bytes(header['conn'], 'little'))
        if (found, _time_ns(header)) != (topic, time_ns):
            raise ValueError(f'the message index is wrong for the chunk at byte {chunk}')
        return bytes(standard_types().ros1_to_cdr(data[body:end], topic.msgtype))


_MESSAGE, _BAG_HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = map(
    bytes, ([2], [3], [4], [5], [6], [7])
)


def _time_ns(header: dict[str, bytes]) -> int:
    seconds, nanoseconds = struct.unpack('<II', header['time'])
    return seconds * 1_000_000_000 + nanoseconds


def _record_in(data: bytes, start: int) -> tuple[dict[str, bytes], int, int]:
    """Fields of the header, and start and end of the body, of a record in a chunk."""
    header, body = _sized(data, start)
    return _fields(header), body + 4, body + 4 + len(_sized(data, body)[0])


def _sized(data: bytes, start: int) -> tuple[bytes, int]:
    """The bytes after their length at `start`, and where they end."""
    (size,) = struct.unpack_from('<I', data, start)
    end = start + 4 + size
    if end > len(data):
        raise EOFError(f'{size} bytes at byte {start} of {len(data)}')
    return data[start + 4 : end], end


def _fields(header: bytes) -> dict[str, bytes]:
    fields, start = {}, 0
    while start < len(header):
        field, start = _sized(header, start)
        name, _, value = field.partition(b'=')
        fields[name.decode()] = value
    return fields


def _decompressed(data: bytes, compression: str, size: int) -> bytes:
    """The content of a chunk that claims `size` bytes."""
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f'a chunk claims {size} bytes, more than {MAX_MESSAGE_BYTES}')
    if compression == 'zstd':
        content = decompress_zstd(data)
    elif compression == 'lz4':
        content = lz4.frame.LZ4FrameDecompressor().decompress(data, size)
    elif compression == 'bz2':
        content = bz2.BZ2Decompressor().decompress(data, size)
    elif compression in ('', 'none'):
        content = data
    else:
        raise ValueError(f'compression {compression!r} of a chunk is not supported')
    if len(content) != size:
        raise ValueError(f'a chunk claims {size} bytes and has {len(content)}')
    return content
