# SPDX-License-Identifier: Apache-2.0
"""Reads bags without ROS: rosbag2 (SQLite, MCAP) and rosbag1, whole or cut off in the middle.

Whatever the format, a message comes out as the CDR bytes that ROS 2 sends. What a topic means
(colour, depth, labels) is not known here.
"""

from __future__ import annotations

import difflib
import logging
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from sgnet_core.errors import DataError
from sgnet_ros.bags_recovery import recover

_logger = logging.getLogger(__name__)

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'

_CDR_ENCAPSULATION = 4
"""Bytes in front of the first field: representation and options."""


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag.

    Attributes:
        name: e.g. `/camera/camera/color/image_raw`.
        msgtype: e.g. `sensor_msgs/msg/Image`.
        count: messages in the bag; in a bag that is cut off, those before the cut.
        latched: late subscribers get the last message as well (transient local).
    """

    name: str
    msgtype: str
    count: int
    latched: bool


@dataclass(frozen=True)
class BagMessage:
    """One recorded message: its topic, when it was recorded, and its CDR bytes."""

    topic: str
    time_ns: int
    cdr: bytes


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
        self._reader = self._open()
        self.topics = _topics_of(self._reader.connections)
        self.recorded = _recorded_counts(self.path)

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """All messages in order of recording time, or those of `topics` only.

        Ends early, with `damage` set, where the bytes of the bag stop making sense.
        """
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        # An empty list means "everything" to rosbags.
        if not wanted:
            return
        try:
            for connection, time_ns, raw in self._reader.messages(wanted):
                yield BagMessage(connection.topic, time_ns, self._cdr(raw, connection))
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

    def _open(self) -> Any:
        if not self.path.exists():
            raise DataError(
                f'no bag at {self.path}; give a rosbag2 folder, a .mcap or .db3 file, or a '
                'rosbag1 .bag file'
            )
        try:
            reader = AnyReader([self.path], default_typestore=standard_types())
            reader.open()
            return reader
        except PermissionError as error:
            raise DataError(f'{self.path} cannot be read: permission denied') from error
        except Exception as error:
            recovered = recover(self.path)
            if recovered is None:
                raise DataError(
                    f'{self.path} is not a bag that can be read ({_reason(error)}); give a rosbag2 '
                    'folder, a .mcap or .db3 file, or a rosbag1 .bag file'
                ) from error
            if recovered.damaged:
                damaged = ', '.join(recovered.damaged)
                self.damage = f'{self.path} is cut off in {damaged} ({_reason(error)})'
            else:
                _logger.warning('%s: %s; its storage files are whole', self.path, _reason(error))
            return recovered

    def _cdr(self, raw: bytes, connection: Connection) -> bytes:
        if isinstance(connection.ext, ConnectionExtRosbag2):
            return raw
        return bytes(standard_types().ros1_to_cdr(raw, connection.msgtype))


@lru_cache(maxsize=1)
def standard_types() -> Typestore:
    """The message types of ROS 2; sensor_msgs and std_msgs are the same in all distributions."""
    return get_typestore(Stores.ROS2_JAZZY)


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


def _topics_of(connections: Collection[Connection]) -> dict[str, BagTopic]:
    topics: dict[str, BagTopic] = {}
    for connection in connections:
        earlier = topics.get(connection.topic)
        topics[connection.topic] = BagTopic(
            connection.topic,
            connection.msgtype,
            connection.msgcount + (earlier.count if earlier else 0),
            _is_latched(connection) or bool(earlier and earlier.latched),
        )
    return dict(sorted(topics.items()))


def _is_latched(connection: Connection) -> bool:
    if isinstance(connection.ext, ConnectionExtRosbag2):
        offered = connection.ext.offered_qos_profiles
        return any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)
    return bool(connection.ext.latching)


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
