# SPDX-License-Identifier: Apache-2.0
"""Reads bags without ROS: rosbag2 (SQLite, MCAP) and rosbag1, whole or cut off in the middle.

Whatever the format, a message comes out as the CDR bytes that ROS 2 sends. What a topic means
(colour, depth, labels) is not known here.
"""

from __future__ import annotations

import difflib
import heapq
import logging
import struct
from collections.abc import Collection, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml

from sgnet_core.errors import DataError
from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types, topics_by_name
from sgnet_ros.bag.recovery import IndexedBag, recover
from sgnet_ros.bag.truncated_files import TruncatedFile

_logger = logging.getLogger(__name__)

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'

_CDR_ENCAPSULATION = 4
"""Bytes in front of the first field: representation and options."""


class Bag:
    """An open bag: a rosbag2 folder, one of its storage files, or a rosbag1 file.

    Use as a context manager. A bag that is cut off in the middle opens all the same, with
    `damage` saying so and `messages` giving what is before the cut.

    Attributes:
        path: what was opened.
        topics: by name.
        damage: None, or why the bag is not complete, for people.
        recorded: messages by topic as the bag's metadata.yaml counts them, where it has one.

    Raises:
        DataError: there is no such bag, or nothing in it can be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damage: str | None = None
        self._files = self._open()
        self.topics = topics_by_name(t for file in self._files for t in file.topics.values())
        self.recorded = _recorded_counts(self.path)

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """All messages in order of recording time, or those of `topics` only.

        Ends early, with `damage` set, where the bytes of the bag stop making sense.
        """
        wanted = self.topics if topics is None else topics
        try:
            parts = [file.messages(wanted) for file in self._files]
            yield from heapq.merge(*parts, key=attrgetter('time_ns'))
        except Exception as error:
            # Damaged bytes make rosbags and the decompressors raise anything, down to TypeError.
            self.damage = f'{self.path} is damaged ({_reason(error)})'

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with the fields of its ROS 2 type.

        Raises:
            DataError: the bytes are not a message of that type.
        """
        msgtype = self.topics[message.topic].msgtype
        try:
            return standard_types().deserialize_cdr(message.cdr, msgtype)
        except Exception as error:
            raise DataError(
                f'{self.path}: a message on {message.topic} is not a valid {msgtype} '
                f'({_reason(error)}); the bag is damaged'
            ) from error

    def topic(self, name: str, *msgtypes: str) -> BagTopic:
        """The topic called `name`, whose messages must be of one of `msgtypes`.

        Raises:
            DataError: it is absent or of another type; lists the topics that would do and names
                the nearest.
        """
        candidates = [t.name for t in self.topics.values() if t.msgtype in msgtypes]
        if name in candidates:
            return self.topics[name]
        kind = ' or '.join(msgtype.rsplit('/', 1)[-1] for msgtype in msgtypes)
        if name not in self.topics:
            problem = f'no topic {name} in this bag'
        elif self.topics[name].msgtype == COMPRESSED_IMAGE:
            problem = f'{name} is compressed; record the raw topic, or republish it as raw'
        else:
            problem = f'{name} is of type {self.topics[name].msgtype}, not {kind}'
        if not candidates:
            remedy = f'it has no {kind} topic at all; its topics: {_listed(self.topics)}'
        else:
            # What is compressed has the name of the raw topic and a suffix.
            same = [candidate for candidate in candidates if candidate.startswith(f'{name}/')]
            nearest = difflib.get_close_matches(name, same or candidates, n=1, cutoff=0.0)[0]
            remedy = f'nearest: {nearest}; its {kind} topics: {_listed(candidates)}'
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
                    f'{self.path} is not a bag that can be read ({_reason(error)}); {known}'
                ) from error
            if damaged:
                self.damage = f'{self.path} is cut off in {", ".join(damaged)} ({_reason(error)})'
            else:
                _logger.warning('%s: %s; its storage files are whole', self.path, _reason(error))
            return files


def header_stamp_ns(cdr: bytes) -> int:
    """The stamp of a message that begins with a std_msgs/Header, from its CDR bytes."""
    sec, nanosec = struct.unpack_from(_stamp_format(cdr), cdr, _CDR_ENCAPSULATION)
    return sec * 1_000_000_000 + nanosec


def with_header_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """The same message, stamped `stamp_ns`."""
    stamped = bytearray(cdr)
    struct.pack_into(
        _stamp_format(cdr), stamped, _CDR_ENCAPSULATION, *divmod(stamp_ns, 1_000_000_000)
    )
    return bytes(stamped)


def has_header(msgtype: str) -> bool:
    """Whether messages of this standard type begin with a std_msgs/Header."""
    fields = standard_types().fielddefs.get(msgtype, ((), ()))[1]
    return bool(fields) and fields[0][1][1] == 'std_msgs/msg/Header'


def _stamp_format(cdr: bytes) -> str:
    # The second byte of the encapsulation header tells the byte order: odd is little-endian.
    return '<iI' if cdr[1] & 1 else '>iI'


def _recorded_counts(path: Path) -> dict[str, int]:
    """Messages by topic according to metadata.yaml; empty where there is none to trust."""
    try:
        metadata = yaml.safe_load((path / 'metadata.yaml').read_text())
        topics = metadata['rosbag2_bagfile_information']['topics_with_message_count']
        return {t['topic_metadata']['name']: int(t['message_count']) for t in topics}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}


def _listed(names: Collection[str]) -> str:
    return ', '.join(sorted(names)) or 'none'


def _reason(error: Exception) -> str:
    """One line of an exception of rosbags."""
    text = str(error).strip().splitlines()
    return text[0].rstrip('.') if text else type(error).__name__
