# SPDX-License-Identifier: Apache-2.0
"""Writes rosbag2 bags, and samples with the topics of a RealSense camera."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.serialization import serialize_message
from rosbags import interfaces
from rosbags.rosbag2 import StoragePlugin, Writer
from std_msgs.msg import Header

from sgnet_core.errors import InputError, WriteError
from sgnet_core.io.files import atomic_write
from sgnet_core.labels import label_set_of
from sgnet_core.types import Sample
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.reader import IMAGE, standard_types
from sgnet_ros.bag.transforms import TF, TF_MESSAGE
from sgnet_ros.conversions.camera_info import camera_info_to_msg
from sgnet_ros.conversions.images import depth_from_msg, depth_to_msg, rgb_to_msg
from sgnet_ros.conversions.masks import label_names_to_msg, mask_to_msg
from sgnet_ros.conversions.poses import pose_of

TOPICS = FrameTopics()
FRAME_ID = 'camera_color_optical_frame'
FIXED_FRAME = 'odom'
START_NS = 1_000_000_000_000_000_000
"""Stamp of the first frame, fixed so that equal samples give equal bags."""

# The latest version that Humble reads.
_BAG_VERSION = 8
_FOREVER = interfaces.QosTime(9_223_372_036, 854_775_807)


class BagWriter(AbstractContextManager):
    """A new bag folder, which exists once the context ends without an error.

    Raises:
        InputError: `path` exists, or `storage` is not mcap or sqlite3.
        WriteError: the bag cannot be written.
    """

    def __init__(self, path: Path, storage: str = 'mcap') -> None:
        self.path = path
        if os.path.lexists(path):
            raise InputError(f'{path} exists; remove it or choose another name')
        plugins = {plugin.name.lower(): plugin for plugin in StoragePlugin}
        if storage not in plugins:
            raise InputError(f'storage must be one of {", ".join(plugins)}, got {storage!r}')
        self._connections: dict[str, interfaces.Connection] = {}
        with ExitStack() as stack:
            folder = stack.enter_context(atomic_write(path, durable=True))
            self._writer = Writer(folder, version=_BAG_VERSION, storage_plugin=plugins[storage])
            stack.push(self._close)
            with self._writing():
                self._writer.open()
            self._stack = stack.pop_all()

    def __exit__(self, *exc_info: Any) -> None:
        self._stack.__exit__(*exc_info)

    def _close(self, kind: object, *exc_info: object) -> None:
        if kind is not None:
            self._writer.abort()
            return
        with self._writing():
            self._writer.close()

    def add_topic(self, name: str, msgtype: str, latched: bool = False) -> None:
        """Add a topic of a standard type, for example `sensor_msgs/msg/Image`."""
        durability = interfaces.QosDurability
        qos = interfaces.Qos(
            history=interfaces.QosHistory.KEEP_LAST,
            depth=10,
            reliability=interfaces.QosReliability.RELIABLE,
            durability=durability.TRANSIENT_LOCAL if latched else durability.VOLATILE,
            deadline=_FOREVER,
            lifespan=_FOREVER,
            liveliness=interfaces.QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=_FOREVER,
            avoid_ros_namespace_conventions=False,
        )
        self._connections[name] = self._writer.add_connection(
            name, msgtype, typestore=standard_types(), offered_qos_profiles=[qos]
        )

    def write(self, name: str, time_ns: int, message: Any) -> None:
        """Append a message, recorded at `time_ns`."""
        types, msgtype = standard_types(), self._connections[name].msgtype
        # The gaps between fields are undefined memory with ROS and zeros with rosbags.
        content = types.deserialize_cdr(serialize_message(message), msgtype)
        self.write_cdr(name, time_ns, types.serialize_cdr(content, msgtype))

    def write_cdr(self, name: str, time_ns: int, cdr: bytes) -> None:
        """Append a serialised message."""
        with self._writing():
            self._writer.write(self._connections[name], time_ns, cdr)

    def write_pose(self, pose: np.ndarray, stamp_ns: int) -> None:
        """Append the pose (4, 4) of the camera in `FIXED_FRAME` to /tf."""
        if TF not in self._connections:
            self.add_topic(TF, TF_MESSAGE)
        # rclpy from PyPI has no tf2_msgs, but its one field is a list of these.
        transform = TransformStamped(
            header=header_of(stamp_ns, FIXED_FRAME), child_frame_id=FRAME_ID
        )
        x, y, z, *quaternion = pose_of(pose)
        transform.transform.translation = Vector3(x=x, y=y, z=z)
        transform.transform.rotation = Quaternion(**dict(zip('xyzw', quaternion, strict=True)))
        types = standard_types()
        message = types.types[TF_MESSAGE]([transform])
        self.write_cdr(TF, stamp_ns, types.serialize_cdr(message, TF_MESSAGE))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            full = OSError(errno.ENOSPC, str(error)) if 'full' in str(error) else error
            raise WriteError(self.path, full) from error
        except OSError as error:
            raise WriteError(self.path, error) from error


@dataclass
class WrittenFrames:
    """The result of `write_bag`: number of frames, largest rounding error of the millimetres in the
    bag, and number of measurements out of the 16-bit range (0, and 65.535 m or more).
    """

    frames: int = 0
    largest_depth_error_m: float = 0.0
    lost_depth_pixels: int = 0

    def add(self, depth_m: np.ndarray, message: Any) -> None:
        """Count a frame with this depth, written as `message`."""
        self.frames += 1
        written_m = depth_from_msg(message)
        self.lost_depth_pixels += int((np.isnan(written_m) & ~np.isnan(depth_m)).sum())
        error = np.abs(written_m - depth_m)
        if np.isfinite(error).any():
            self.largest_depth_error_m = max(self.largest_depth_error_m, float(np.nanmax(error)))


def write_bag(
    samples: Iterable[Sample],
    path: str | Path,
    rate_hz: float,
    class_names: Sequence[str] | None = None,
    storage: str = 'mcap',
) -> WrittenFrames:
    """Write `samples` as a bag. Frame i has the stamp `START_NS` + i / `rate_hz` on all topics.

    Args:
        class_names: classes of the labels; None = write no labels.

    Raises:
        InputError: `path` exists, a value is out of range, or there are no samples.
        WriteError: the bag cannot be written.
    """
    if not 1e-3 <= rate_hz <= 1e6:
        raise InputError(f'the frame rate must be 0.001 to 1e6 Hz, got {rate_hz:g}; set --rate')
    written = WrittenFrames()
    with BagWriter(Path(path), storage) as bag:
        bag.add_topic(TOPICS.rgb, IMAGE)
        bag.add_topic(TOPICS.depth, IMAGE)
        bag.add_topic(TOPICS.camera_info, 'sensor_msgs/msg/CameraInfo')
        if class_names is not None:
            names = tuple(class_names)
            bag.add_topic(TOPICS.labels, IMAGE)
            bag.add_topic(TOPICS.label_names, 'std_msgs/msg/String', latched=True)
            message = label_names_to_msg(names, label_set_of(names).palette)
            bag.write(TOPICS.label_names, START_NS, message)
        for sample in samples:
            stamp_ns = START_NS + round(written.frames * 1e9 / rate_hz)
            if sample.pose is not None:
                bag.write_pose(sample.pose, stamp_ns)
            messages = _messages(sample, stamp_ns, class_names is not None)
            for topic, message in messages.items():
                bag.write(topic, stamp_ns, message)
            written.add(sample.frame.depth_m, messages[TOPICS.depth])
        if not written.frames:
            raise InputError(f'{path}: no frames to write')
    return written


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """A header with this stamp."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def _messages(sample: Sample, stamp_ns: int, with_labels: bool) -> dict[str, Any]:
    """Topic -> message."""
    frame, header = sample.frame, header_of(stamp_ns, FRAME_ID)
    messages = {
        TOPICS.camera_info: camera_info_to_msg(frame.intrinsics, header),
        TOPICS.rgb: rgb_to_msg(frame.rgb, header),
        TOPICS.depth: depth_to_msg(frame.depth_m, header),
    }
    if with_labels and sample.labels is not None:
        messages[TOPICS.labels] = mask_to_msg(sample.labels, header)
    return messages
