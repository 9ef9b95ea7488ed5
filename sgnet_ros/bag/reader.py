# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2 (SQLite, MCAP) and rosbag1 without ROS, also truncated bags.

In all formats a message is the CDR bytes that ROS 2 sends.
"""

from __future__ import annotations

import difflib
import heapq
import logging
import struct
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path
from typing import Any

from sgnet_core.errors import DataError, first_line
from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types, topics_by_name
from sgnet_ros.bag.recovery import IndexedBag, recover
from sgnet_ros.bag.truncated_files import TruncatedFile

_logger = logging.getLogger(__name__)

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'

_CDR_ENCAPSULATION = 4
"""Bytes in front of the first field: representation and options."""


class Bag(AbstractContextManager):
    """An open bag: a rosbag2 folder, one of its storage files, or a rosbag1 file.

    Use as a context manager. A truncated bag gives the messages before the cut.

    Attributes:
        topics: by name.
        damage: the reason why the bag is not complete; None for a complete bag.

    Raises:
        DataError: the bag does not exist or cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damage: str | None = None
        self._files = self._open()
        self.topics = topics_by_name(t for file in self._files for t in file.topics.values())

    def __exit__(self, *exc_info: object) -> None:
        for file in self._files:
            file.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """The messages on `topics` (None = all) in order of recording time.

        If bytes are damaged, the messages end there and `damage` is set.
        """
        wanted = self.topics if topics is None else topics
        try:
            parts = [file.messages(wanted) for file in self._files]
            yield from heapq.merge(*parts, key=attrgetter('time_ns'))
        except Exception as error:
            # rosbags and the decompressors raise any type for damaged bytes, even TypeError.
            self.damage = f'{self.path} is damaged ({_reason(error)})'

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with the fields of its ROS 2 type; DataError if damaged."""
        msgtype = self.topics[message.topic].msgtype
        try:
            return standard_types().deserialize_cdr(message.cdr, msgtype)
        except Exception as error:
            raise DataError(
                f'{self.path}: a message on {message.topic} is not a valid {msgtype} '
                f'({_reason(error)}); the bag is damaged'
            ) from error

    def topic(self, name: str, *msgtypes: str) -> BagTopic:
        """The topic `name` of one of these types, or a DataError with the nearest valid topic."""
        candidates = [t.name for t in self.topics.values() if t.msgtype in msgtypes]
        if name in candidates:
            return self.topics[name]
        kind = ' or '.join(msgtype.rsplit('/', 1)[-1] for msgtype in msgtypes)
        if name not in self.topics:
            problem = f'no topic {name} in this bag'
        else:
            problem = f'{name} is of type {self.topics[name].msgtype}, not {kind}'
        if not candidates:
            remedy = f'it has no {kind} topic; its topics: {", ".join(self.topics) or "none"}'
        else:
            # A compressed topic has the name of the raw topic and a suffix.
            same = [candidate for candidate in candidates if candidate.startswith(f'{name}/')]
            nearest = difflib.get_close_matches(name, same or candidates, n=1, cutoff=0.0)[0]
            remedy = f'nearest: {nearest}; its {kind} topics: {", ".join(candidates)}'
        raise DataError(f'{self.path}: {problem}; {remedy}')

    def _open(self) -> list[IndexedBag | TruncatedFile]:
        known = 'give a rosbag2 folder, a .mcap or .db3 file, or a rosbag1 .bag file'
        if not self.path.exists():
            raise DataError(f'no bag at {self.path}; {known}')
        try:
            return [IndexedBag(self.path)]
        except PermissionError as error:
            raise DataError(f'{self.path} cannot be read: permission denied') from error
        except Exception as error:
            files, damaged = recover(self.path)
            if not files:
                raise DataError(
                    f'{self.path} is not a readable bag ({_reason(error)}); {known}'
                ) from error
            if damaged:
                self.damage = f'{self.path} is truncated: {", ".join(damaged)} ({_reason(error)})'
            else:
                _logger.warning('%s: %s; storage files are complete', self.path, _reason(error))
            return files


def header_stamp_ns(cdr: bytes) -> int:
    """The stamp of a message that begins with a std_msgs/Header, from its CDR bytes."""
    sec, nanosec = struct.unpack_from(_stamp_format(cdr), cdr, _CDR_ENCAPSULATION)
    return sec * 1_000_000_000 + nanosec


def with_header_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """A copy of the message with another stamp."""
    stamped, stamp = bytearray(cdr), divmod(stamp_ns, 1_000_000_000)
    struct.pack_into(_stamp_format(cdr), stamped, _CDR_ENCAPSULATION, *stamp)
    return bytes(stamped)


def has_header(msgtype: str) -> bool:
    """Whether messages of this standard type begin with a std_msgs/Header."""
    fields = standard_types().fielddefs.get(msgtype, ((), ()))[1]
    return bool(fields) and fields[0][1][1] == 'std_msgs/msg/Header'


def _stamp_format(cdr: bytes) -> str:
    # The second byte of the encapsulation header tells the byte order: odd is little-endian.
    return '<iI' if cdr[1] & 1 else '>iI'


def _reason(error: Exception) -> str:
    return first_line(error).strip().rstrip('.')
