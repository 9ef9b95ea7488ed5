# SPDX-License-Identifier: Apache-2.0
"""Storage files of bags, read by their own records up to the first damage.

Nothing outside a file is trusted, and its index only where the file confirms it.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from sgnet_core.errors import first_line
from sgnet_ros.bag.metadata import is_latched
from sgnet_ros.bag.records import BagMessage, BagTopic

MAX_MESSAGE_BYTES = 2**28
"""Limit of a decompressed message or chunk: an image of 64 megapixels with 4 bytes each."""

ENTRY = np.dtype([('time_ns', 'i8'), ('chunk', 'i8'), ('offset', 'i8'), ('topic', 'i8')])
"""Index entry: a message at `offset` of the chunk at byte `chunk` of the file."""

_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class StorageFile(ABC):
    """The topics and messages of one storage file.

    Attributes:
        topics: all topics with their number of messages; names can repeat with other types.
        damage: the reason why messages can be missing, or None.
    """

    def __init__(self, path: Path) -> None:
        self.damage: str | None = None
        self._by_id: dict[int, BagTopic] = {}
        self._file = self._open(path)
        try:
            index = self._read_index()
        except Exception:
            self.close()
            raise
        self._set_index(index)

    def messages(self, msgtypes: Mapping[str, str]) -> Iterator[BagMessage]:
        """The messages on topics of these names and types in order of time.

        Raises:
            Exception: of any type, at the first damaged message.
        """
        yield from self._messages(self._chosen(msgtypes))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _set_index(self, index: np.ndarray) -> None:
        known = np.isin(index['topic'], list(self._by_id))
        if not known.all():
            self._note_damage(f'{(~known).sum()} messages of unknown topics')
        # By time, then by place in the file.
        order = np.lexsort((index['offset'], index['chunk'], index['time_ns']))
        self._index = index[order[known[order]]]
        counts = Counter(self._index['topic'].tolist())
        self.topics = [replace(topic, count=counts[i]) for i, topic in self._by_id.items()]

    def _chosen(self, msgtypes: Mapping[str, str]) -> np.ndarray:
        """The index of the messages on topics of these names and types."""
        chosen = [i for i, t in self._by_id.items() if msgtypes.get(t.name) == t.msgtype]
        return self._index[np.isin(self._index['topic'], chosen)]

    def _messages(self, index: np.ndarray) -> Iterator[BagMessage]:
        for entry in index:
            time_ns, chunk, offset, topic_id = entry.item()
            topic = self._by_id[topic_id]
            data = self._load(time_ns, chunk, offset, topic)
            # CDR begins with a zero byte.
            if data[:4] == _ZSTD_MAGIC:
                data = decompress_zstd(data)
            yield BagMessage(topic.name, time_ns, data)

    def _note_damage(self, reason: object) -> None:
        self.damage = self.damage or str(reason)

    def _open(self, path: Path) -> Any:
        return path.open('rb')

    @abstractmethod
    def _read_index(self) -> np.ndarray:
        """Fill `_by_id`; returns the index (N,) of `ENTRY` up to the first damage, noted."""

    @abstractmethod
    def _load(self, time_ns: int, chunk: int, offset: int, topic: BagTopic) -> bytes:
        """The CDR bytes of a message, or zstd with them in it; raises if the index is wrong."""


class SqliteFile(StorageFile):
    """A SQLite bag; `offset` is the row id."""

    def _open(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(f'{path.resolve().as_uri()}?immutable=1', uri=True)
        # Without this, SQLite refuses a file that is shorter than its header says.
        database.execute('PRAGMA writable_schema=ON')
        size, page_size, pages = sqlite_size(path)
        if pages * page_size > size:
            self._note_damage(f'{size} of {pages * page_size} bytes')
        return database

    def _read_index(self) -> np.ndarray:
        tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        for name in ('topics', 'messages'):  # a view can have rows without end
            if self._query(tables, name).fetchone() != (1,):
                raise ValueError(f'no table {name}')
        topics = self._query('SELECT * FROM topics')
        columns = [column for column, *_ in topics.description]
        for row in topics:
            about = dict(zip(columns, row, strict=True))
            latched = is_latched(about.get('offered_qos_profiles'))
            encoding = about.get('serialization_format', 'cdr')
            msgtype = f'{about["type"]}' if encoding == 'cdr' else f'{about["type"]} as {encoding}'
            self._by_id[int(about['id'])] = BagTopic(str(about['name']), msgtype, 0, latched)
        if not self.damage:
            # The index by time can be damaged while the table is not.
            rows = self._query(f'{_ROWS} FROM messages NOT INDEXED ORDER BY rowid')
            index = np.fromiter(self._entries(rows), ENTRY)
        if self.damage:
            index = np.fromiter(self._entries(self._readable_rows()), ENTRY)
        return index

    def _entries(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[int, int, int, int]]:
        """The index up to the first damage, which is noted."""
        latest = None
        try:
            for row_id, topic_id, time_ns, *_ in rows:
                # If pages are lost, rows can repeat without end.
                if latest is not None and row_id <= latest:
                    raise ValueError(f'row {row_id} follows row {latest}')
                latest = row_id
                yield int(time_ns), 0, row_id, int(topic_id)
        except Exception as error:
            self._note_damage(first_line(error))

    def _readable_rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows up to the first lost one.

        One query per row: a cursor fetches ahead and loses a row to an error in the next one. It
        reads the data, too: they can be lost although the row is not.
        """
        sql = f'{_ROWS}, data FROM messages NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT 1'
        latest = -(2**63)
        while row := self._query(sql, latest).fetchone():
            yield row
            latest = row[0]

    def _query(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._file.execute(sql, values)

    def _load(self, time_ns: int, chunk: int, offset: int, topic: BagTopic) -> bytes:
        sql = 'SELECT data FROM messages WHERE rowid = ? AND timestamp = ?'
        row = self._query(sql, offset, time_ns).fetchone()
        if row is None or not isinstance(row[0], bytes):  # any column stores any type
            raise ValueError(f'row {offset} has no message')
        return row[0]


_ROWS = 'SELECT rowid, topic_id, timestamp'


def sqlite_size(path: Path) -> tuple[int, int, int]:
    """Size of a SQLite file, size of its pages, and their number by its header; 0 = unknown."""
    with path.open('rb') as file:
        head = file.read(100)
    page_size = int.from_bytes(head[16:18], 'big')
    # The number is valid only if both change counters are equal.
    pages = int.from_bytes(head[28:32], 'big') if head[24:28] == head[92:96] else 0
    return path.stat().st_size, 65536 if page_size == 1 else page_size, pages


def decompress_zstd(data: bytes) -> bytes:
    """The content of one zstd frame of at most `MAX_MESSAGE_BYTES`."""
    if zstandard.frame_content_size(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f'a zstd frame claims more than {MAX_MESSAGE_BYTES} bytes')
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_MESSAGE_BYTES)
