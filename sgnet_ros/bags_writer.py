# SPDX-License-Identifier: Apache-2.0
"""Writes samples as a rosbag2 with the topics of a RealSense camera and, where known, labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from sgnet_core.data.sample import Sample
from sgnet_core.errors import InputError
from sgnet_core.labels import label_set_of
from sgnet_ros.bags_new import NewBag
from sgnet_ros.camera_info_conversion import camera_info_to_msg
from sgnet_ros.conversions import depth_from_msg, depth_to_msg, rgb_to_msg
from sgnet_ros.frame_topics import FrameTopics
from sgnet_ros.mask_conversion import label_names_to_msg, mask_to_msg

FRAME_ID = 'camera_color_optical_frame'
START_NS = 1_000_000_000_000_000_000
"""Stamp of the first frame, 2001-09-09T01:46:40Z: the same samples always make the same bag."""


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
        self.frames = 0
        self.largest_depth_error_m = 0.0
        self.lost_depth_pixels = 0
        self._rate_hz = rate_hz
        self._class_names = class_names
        if not 0 < rate_hz <= 1e6:
            raise InputError(f'the frame rate must be above 0 Hz, got {rate_hz:g}')
        self._bag = NewBag(Path(path), storage)
        self._announce()

    def __enter__(self) -> FrameBagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        self._bag.__exit__(kind, error, traceback)

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

    def _announce(self) -> None:
        image = 'sensor_msgs/msg/Image'
        kinds = {'rgb': image, 'depth': image, 'camera_info': 'sensor_msgs/msg/CameraInfo'}
        if self._class_names is not None:
            kinds |= {'labels': image, 'label_names': 'std_msgs/msg/String'}
        for part, msgtype in kinds.items():
            self._bag.add_topic(getattr(FrameTopics(), part), msgtype, part == 'label_names')

    def _put(self, part: str, stamp_ns: int, message: Any) -> None:
        self._bag.write(getattr(FrameTopics(), part), stamp_ns, message)

    def _note_depth_error(self, depth_m: np.ndarray, message: Any) -> None:
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
