# SPDX-License-Identifier: Apache-2.0
"""Writes samples as a rosbag2 with the topics of a RealSense camera and, where known, labels."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from std_msgs.msg import Header

from sgnet_core.data.sample import Sample
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.labels import label_set_of
from sgnet_ros.bags import standard_types
from sgnet_ros.conversions import (
    camera_info_to_msg,
    depth_from_msg,
    depth_to_msg,
    label_names_to_msg,
    mask_to_msg,
    rgb_to_msg,
)
from sgnet_ros.frame_topics import FrameTopics

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
FRAME_ID = 'camera_color_optical_frame'
START_NS = 1_000_000_000_000_000_000
"""Stamp of the first frame, 2001-09-09T01:46:40Z: the same samples always make the same bag."""

# Humble reads no later version, and every later distribution reads this one.
_BAG_VERSION = 8
_FOREVER = QosTime(9_223_372_036, 854_775_807)


class FrameBagWriter:
    """A new bag; frame i is stamped `START_NS` + i / `rate_hz`, equally on all topics.

    As a context manager it closes itself; an error that ends the block removes the bag.

    Args:
        path: of the bag folder; must not exist.
        rate_hz: frames per second.
        class_names: what the labels mean; None for samples without labels.
        storage: 'mcap' or 'sqlite3'.

    Attributes:
        frames: how many were written.
        largest_depth_error_m: by how much the bag's millimetres are off, over all frames.
        lost_depth_pixels: measurements that its 16 bits cannot hold: 0, and from 65.535 m on.

    Raises:
        InputError: the path exists, or a value is out of range.
        SgnetError: the bag cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        rate_hz: float,
        class_names: Sequence[str] | None = None,
        storage: str = 'mcap',
    ) -> None:
        self.path = Path(path)
        self.frames = 0
        self.largest_depth_error_m = 0.0
        self.lost_depth_pixels = 0
        self._rate_hz = rate_hz
        self._class_names = class_names
        if not 0 < rate_hz <= 1e6:
            raise InputError(f'the frame rate must be above 0 Hz, got {rate_hz:g}')
        if storage not in STORAGES:
            raise InputError(f'storage must be one of {", ".join(STORAGES)}, got {storage!r}')
        if self.path.exists():
            raise InputError(f'{self.path} exists; remove it or choose another name')
        self._writer = Writer(self.path, version=_BAG_VERSION, storage_plugin=STORAGES[storage])
        with _writing(self.path):
            self._writer.open()
        self._connect()

    def __enter__(self) -> FrameBagWriter:
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
        with _writing(self.path):
            self._writer.close()

    def write(self, sample: Sample) -> None:
        """Append one frame."""
        stamp_ns = START_NS + round(self.frames * 1e9 / self._rate_hz)
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=FRAME_ID)
        frame = sample.frame
        if self.frames == 0 and self._class_names is not None:
            names = tuple(self._class_names)
            self._put(
                'label_names', stamp_ns, label_names_to_msg(names, label_set_of(names).palette)
            )
        depth = depth_to_msg(frame.depth_m, header)
        self._note_depth_error(frame.depth_m, depth)
        self._put('camera_info', stamp_ns, camera_info_to_msg(frame.intrinsics, header))
        self._put('rgb', stamp_ns, rgb_to_msg(frame.rgb, header))
        self._put('depth', stamp_ns, depth)
        if sample.labels is not None and self._class_names is not None:
            self._put('labels', stamp_ns, mask_to_msg(sample.labels, header))
        self.frames += 1

    def _connect(self) -> None:
        """Announce the topics."""
        kinds = {'rgb': 'sensor_msgs/msg/Image', 'depth': 'sensor_msgs/msg/Image'}
        kinds['camera_info'] = 'sensor_msgs/msg/CameraInfo'
        if self._class_names is not None:
            kinds |= {'labels': 'sensor_msgs/msg/Image', 'label_names': 'std_msgs/msg/String'}
        topics = FrameTopics()
        self._connections = {
            part: self._writer.add_connection(
                getattr(topics, part),
                msgtype,
                typestore=standard_types(),
                offered_qos_profiles=[_qos(latched=part == 'label_names')],
            )
            for part, msgtype in kinds.items()
        }

    def _put(self, part: str, stamp_ns: int, message: Any) -> None:
        connection, types = self._connections[part], standard_types()
        # The ROS serialiser leaves what is in memory in the gaps between fields; rosbags has zeros.
        content = types.deserialize_cdr(serialize_message(message), connection.msgtype)
        cdr = types.serialize_cdr(content, connection.msgtype)
        with _writing(self.path):
            self._writer.write(connection, stamp_ns, cdr)

    def _note_depth_error(self, depth_m: np.ndarray, message: Any) -> None:
        written_m = depth_from_msg(message)
        self.lost_depth_pixels += int((np.isnan(written_m) & ~np.isnan(depth_m)).sum())
        error = np.abs(written_m - depth_m)
        if np.isfinite(error).any():
            self.largest_depth_error_m = max(self.largest_depth_error_m, float(np.nanmax(error)))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SgnetError(f'{path} cannot be written: {error}') from error


def write_bag(
    samples: Iterable[Sample],
    path: str | Path,
    rate_hz: float,
    class_names: Sequence[str] | None = None,
    storage: str = 'mcap',
) -> FrameBagWriter:
    """Write all `samples` as a bag; returns the closed writer, which tells what it wrote.

    Raises:
        InputError: the path exists, a value is out of range, or there are no samples.
    """
    with FrameBagWriter(path, rate_hz, class_names, storage) as writer:
        for sample in samples:
            writer.write(sample)
        if not writer.frames:
            raise InputError(f'{path}: no frames to write')
    return writer


def _qos(latched: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
