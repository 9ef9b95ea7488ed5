# SPDX-License-Identifier: Apache-2.0
"""Opens the files of a bag: by their index or, if truncated, by a scan."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from rosbags import rosbag1, rosbag2
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability

from sgnet_ros.bag.records import BagMessage, BagTopic, standard_types, topics_by_name
from sgnet_ros.bag.truncated_files import TRUNCATED_FILES, TruncatedFile


class IndexedBag:
    """A bag or storage file with an index; raises any Exception for damaged files."""

    def __init__(self, path: Path) -> None:
        self._is_ros1 = path.suffix == '.bag'
        self._reader = rosbag1.Reader(path) if self._is_ros1 else rosbag2.Reader(path)
        self._reader.open()
        self.topics = topics_by_name(
            BagTopic(c.topic, c.msgtype, c.msgcount, _is_latched(c))
            for c in self._reader.connections
        )

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages on these topics in order of time."""
        wanted = [c for c in self._reader.connections if c.topic in topics]
        # For rosbags, an empty list means all.
        for connection, time_ns, raw in self._reader.messages(wanted) if wanted else ():
            if self._is_ros1:
                raw = bytes(standard_types().ros1_to_cdr(raw, connection.msgtype))
            yield BagMessage(connection.topic, time_ns, raw)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


def recover(path: Path) -> tuple[list[IndexedBag | TruncatedFile], list[str]]:
    """The open files with topics of a bag without a valid index, and names of truncated files."""
    paths = sorted([*path.glob('*.mcap'), *path.glob('*.db3')]) if path.is_dir() else [path]
    files: list[IndexedBag | TruncatedFile] = []
    damaged = []
    for file in paths:
        if file.suffix not in TRUNCATED_FILES:
            continue
        try:
            files.append(IndexedBag(file))
        except Exception:  # readers raise any type for damaged bytes
            damaged.append(file.name)
            with suppress(Exception):
                files.append(TRUNCATED_FILES[file.suffix](file))
    return [file for file in files if file.topics], damaged


def _is_latched(connection: Connection) -> bool:
    if isinstance(connection.ext, ConnectionExtRosbag2):
        offered = connection.ext.offered_qos_profiles
        return any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)
    return bool(connection.ext.latching)
