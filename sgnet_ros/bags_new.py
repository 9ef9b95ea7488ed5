# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 that is being written: topics, messages, and nothing left behind where it fails."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from sgnet_core.errors import InputError, SgnetError
from sgnet_ros.bags import standard_types

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}

# Humble reads no later version, and every later distribution reads this one.
_BAG_VERSION = 8
_FOREVER = QosTime(9_223_372_036, 854_775_807)


class NewBag:
    """A bag that grows.

    As a context manager it closes itself; an error that ends the block removes the bag.

    Args:
        path: of the bag folder; must not exist.
        storage: 'mcap' or 'sqlite3'.

    Raises:
        InputError: the path exists, or there is no such storage.
        SgnetError: the bag cannot be written.
    """

    def __init__(self, path: Path, storage: str = 'mcap') -> None:
        self.path = path
        if storage not in STORAGES:
            raise InputError(f'storage must be one of {", ".join(STORAGES)}, got {storage!r}')
        if path.exists():
            raise InputError(f'{path} exists; remove it or choose another name')
        self._writer = Writer(path, version=_BAG_VERSION, storage_plugin=STORAGES[storage])
        self._connections: dict[str, Connection] = {}
        with self._writing():
            self._writer.open()

    def __enter__(self) -> NewBag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.abort()
            shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Write the index; the bag is complete after this.

        Raises:
            SgnetError: the disk is full.
        """
        with self._writing():
            self._writer.close()

    def add_topic(self, name: str, msgtype: str, latched: bool = False) -> None:
        """Announce a topic of a standard type, `sensor_msgs/msg/Image`."""
        self._connections[name] = self._writer.add_connection(
            name, msgtype, typestore=standard_types(), offered_qos_profiles=[_qos(latched)]
        )

    def write(self, name: str, time_ns: int, message: Any) -> None:
        """Append a message of ROS, as recorded at `time_ns`."""
        types, msgtype = standard_types(), self._connections[name].msgtype
        # The ROS serialiser leaves what is in memory in the gaps between fields; rosbags has zeros.
        content = types.deserialize_cdr(serialize_message(message), msgtype)
        self.write_cdr(name, time_ns, types.serialize_cdr(content, msgtype))

    def write_cdr(self, name: str, time_ns: int, cdr: bytes) -> None:
        """Append a message by its bytes."""
        with self._writing():
            self._writer.write(self._connections[name], time_ns, cdr)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise SgnetError(f'{self.path} cannot be written: {error}') from error


def _qos(latched: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
