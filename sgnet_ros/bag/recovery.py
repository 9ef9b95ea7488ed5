# SPDX-License-Identifier: Apache-2.0
"""Opens the files of a bag: whole ones by their index, truncated ones by a scan."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from rosbags import rosbag1, rosbag2
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability

from sgnet_ros.bag.records import BagMessage, BagTopic, ros1_to_cdr, topics_by_name
from sgnet_ros.bag.truncated_files import (
    TruncatedFile,
    TruncatedMcap,
    TruncatedRosbag1,
    TruncatedSqlite,
)


class IndexedBag:
    """A bag, or a storage file of one, that has its index.

    Attributes:
        topics: by name.

    Raises:
        Exception: of any type, where bytes are lost.
    """

    def __init__(self, path: Path) -> None:
        self._is_ros1 = path.suffix == '.bag'
        self._reader = rosbag1.Reader(path) if self._is_ros1 else rosbag2.Reader(path)
        self._reader.open()
        self.topics = topics_by_name(
            BagTopic(c.topic, c.msgtype, c.msgcount, _is_latched(c))
            for c in self._reader.connections
        )

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages on these topics in order of time."""
        wanted = [c for c in self._reader.connections if c.topic in topics]
        # An empty list means "everything" to rosbags.
        for connection, time_ns, raw in self._reader.messages(wanted) if wanted else ():
            cdr = ros1_to_cdr(raw, connection.msgtype) if self._is_ros1 else raw
            yield BagMessage(connection.topic, time_ns, cdr)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


_TRUNCATED = {'.mcap': TruncatedMcap, '.db3': TruncatedSqlite, '.bag': TruncatedRosbag1}


def recover(path: Path) -> tuple[list[IndexedBag | TruncatedFile], list[str]]:
    """Open what can be read of a bag whose index or metadata.yaml is lost.

    Returns:
        The files that hold topics, and the names of those that are not whole.
    """
    # A folder of rosbag1 files is not a bag.
    paths = sorted([*path.glob('*.mcap'), *path.glob('*.db3')]) if path.is_dir() else [path]
    files: list[IndexedBag | TruncatedFile] = []
    damaged = []
    for file in paths:
        if file.suffix not in _TRUNCATED:
            continue
        try:
            files.append(IndexedBag(file))
        except Exception:
            # Damaged bytes make the readers raise anything, down to TypeError.
            damaged.append(file.name)
            try:
                files.append(_TRUNCATED[file.suffix](file))
            except Exception:
                continue
    return [file for file in files if file.topics], damaged


def _is_latched(connection: Connection) -> bool:
    if isinstance(connection.ext, ConnectionExtRosbag2):
        offered = connection.ext.offered_qos_profiles
        return any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)
    return bool(connection.ext.latching)
