# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2 (SQLite, MCAP) and rosbag1 without ROS, also truncated bags.

In all formats a message is the CDR bytes that ROS 2 sends.
"""

from __future__ import annotations

import difflib
import heapq
import logging
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from sgnet_core.errors import DataError, SgnetError, first_line
from sgnet_ros.bag.metadata import METADATA_FILE, BagMetadata, read_metadata
from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types, topics_by_name
from sgnet_ros.bag.storage_files import StorageFile
from sgnet_ros.bag.storage_folder import open_file, plain_name, storage_paths

_logger = logging.getLogger(__name__)

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'

_CDR_ENCAPSULATION = 4
"""Bytes in front of the first field: representation and options."""
_SMALLEST_STAMPED = _CDR_ENCAPSULATION + 8


class Bag(AbstractContextManager):
    """An open bag: a rosbag2 folder, one of its storage files, or a rosbag1 file.

    Use as a context manager. A truncated bag gives the messages before the cut. Storage files can
    overlap in time; an index or a metadata.yaml is not needed, and nothing but the counts of
    metadata.yaml is used.

    Attributes:
        topics: by name.
        damage: the reason why messages are missing, or differ from metadata.yaml; None otherwise.

    Raises:
        DataError: the bag does not exist or cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damage: str | None = None
        with ExitStack() as stack:
            self._files = self._open(stack)
            self._stack = stack.pop_all()

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """The messages on `topics` (None = all) in order of recording time.

        If bytes are damaged, the messages end there and `damage` is set.
        """
        wanted = set(self.topics).intersection(self.topics if topics is None else topics)
        msgtypes = {name: self.topics[name].msgtype for name in wanted}
        smallest = {n: _SMALLEST_STAMPED if has_header(t) else 1 for n, t in msgtypes.items()}
        try:
            parts = [file.messages(msgtypes) for file in self._files]
            for message in heapq.merge(*parts, key=attrgetter('time_ns')):
                size = len(message.cdr)
                if size < smallest[message.topic]:
                    raise ValueError(f'a message of {size} bytes on {message.topic}')
                yield message
        except Exception as error:
            # The decoders raise any type for damaged bytes, even TypeError.
            self.damage = self.damage or f'{self.path} is damaged ({_reason(error)})'

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

    def _open(self, stack: ExitStack) -> list[StorageFile]:
        """Set `topics` and `damage`; returns the open files."""
        known = 'give a rosbag2 folder, a .mcap or .db3 file, or a rosbag1 .bag file'
        if not self.path.exists():
            raise DataError(f'no bag at {self.path}; {known}')
        metadata = self._metadata()
        paths = storage_paths(self.path, metadata.files if metadata else ())
        files, problems = [], []
        for path in paths.values():
            try:
                file = open_file(path, stack)
            except PermissionError as error:
                raise DataError(f'{self.path} cannot be read: permission denied') from error
            except SgnetError:
                raise
            except Exception as error:  # decoders raise any type for damaged bytes
                problems.append(f'{path.name} cannot be read ({_reason(error)})')
                continue
            files.append(file)
            if file.damage:
                problems.append(f'damaged or truncated: {path.name} ({file.damage.rstrip(".")})')
        found = [topic for file in files for topic in file.topics]
        if not found:
            reason = '; '.join(problems) or ('no topic in it' if paths else 'no storage file')
            raise DataError(f'{self.path} is not a readable bag: {reason}; {known}')
        recorded = metadata.topics.values() if metadata else ()
        self.topics = topics_by_name([*found, *(replace(t, count=0) for t in recorded)])
        for topic in found:
            if topic.count and topic.msgtype != self.topics[topic.name].msgtype:
                problems.append(f'{topic.count} messages on {topic.name} are {topic.msgtype}')
        if metadata:
            problems += _differences(metadata, self.topics, paths)
        if problems:
            self.damage = f'{self.path}: {"; ".join(problems)}'
        return files

    def _metadata(self) -> BagMetadata | None:
        if not self.path.is_dir() or not storage_paths(self.path):
            return None
        try:
            return read_metadata(self.path)
        except DataError as error:
            _logger.warning('%s; the storage files are read without it', error)
            return None


def _differences(
    metadata: BagMetadata, topics: Mapping[str, BagTopic], paths: Collection[str]
) -> list[str]:
    """The differences between metadata.yaml and the storage files with these plain names."""
    listed = [plain_name(name) for name in metadata.files]
    counted = {name: topic.count for name, topic in metadata.topics.items()}
    different = [n for n, topic in topics.items() if topic.count != counted.get(n, 0)]
    count = sum(topic.count for topic in topics.values())
    if not different and count != metadata.count:
        return [f'{METADATA_FILE} counts {metadata.count} messages, the storage files have {count}']
    if not different:
        return []
    problems = [f'{name} is missing' for name in listed if name not in paths]
    problems += [f'{name} is not listed in {METADATA_FILE}' for name in paths if name not in listed]
    name = different[0]
    others = f', and {len(different) - 1} other topics differ' if len(different) > 1 else ''
    problems.append(
        f'{METADATA_FILE} counts {counted.get(name, 0)} messages on {name}, the storage files have '
        f'{topics[name].count}{others}'
    )
    if all(topics[n].count > counted.get(n, 0) for n in different):
        problems.append(f'run `ros2 bag reindex` to correct {METADATA_FILE}')
    return problems


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
