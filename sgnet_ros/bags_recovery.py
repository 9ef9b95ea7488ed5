# SPDX-License-Identifier: Apache-2.0
"""Opens what is left of a bag that rosbags does not open: files cut off, no metadata.yaml."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from operator import itemgetter
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from sgnet_ros.bags_cut_files import CutMcap, CutRosbag1, CutSqlite, Messages


class RecoveredBag:
    """The readable parts of the files of one bag, with the interface of a rosbags reader.

    Attributes:
        connections: of all files.
        damaged: names of the files that are not whole.
    """

    def __init__(self, storages: list[Any], damaged: list[str]) -> None:
        self._storages = storages
        self.damaged = damaged
        self.connections = [c for storage in storages for c in storage.connections]

    def messages(self, connections: Collection[Connection]) -> Messages:
        """Messages of all files in order of time."""
        parts = []
        for storage in self._storages:
            wanted = [c for c in connections if c.owner is storage]
            if wanted:
                parts.append(storage.messages(wanted))
        return heapq.merge(*parts, key=itemgetter(1))

    def close(self) -> None:
        """Close the files."""
        for storage in self._storages:
            storage.close()


_READERS: dict[str, tuple[Any, Any]] = {
    '.mcap': (McapReader, CutMcap),
    '.db3': (Sqlite3Reader, CutSqlite),
    '.bag': (Reader, CutRosbag1),
}
"""By suffix: what reads a whole file, and what reads one that is cut off."""


def recover(path: Path) -> RecoveredBag | None:
    """What can still be read of the bag at `path`; None where that is nothing."""
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix in ('.mcap', '.db3'))
    else:
        files = [path] if path.suffix in _READERS else []
    storages = []
    damaged = []
    for file in files:
        whole, cut = _READERS[file.suffix]
        try:
            storage = whole(file)
            storage.open()
        except Exception:
            # Damaged bytes make the readers raise anything, down to TypeError.
            damaged.append(file.name)
            try:
                storage = cut(file)
            except Exception:
                continue
        storages.append(storage)
    if any(storage.connections for storage in storages):
        return RecoveredBag(storages, damaged)
    return None
