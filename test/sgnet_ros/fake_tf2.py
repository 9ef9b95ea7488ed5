# SPDX-License-Identifier: Apache-2.0
"""The subset of `tf2_ros` that the node uses, for pairs of frames and without interpolation.

test_tf_lookup.py compares it with the real package if that is installed.
"""

from collections import defaultdict
from unittest.mock import Mock

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from scipy.spatial.transform import Rotation


class TransformException(Exception):  # noqa: N818
    """The names are those of the real package."""


class ExtrapolationException(TransformException):
    """The frames are connected, but not at that time."""


class Buffer:
    """Stores transforms; `latest` is the last instance, which tests fill."""

    latest = None

    def __init__(self):
        self._static = {}
        self._moving = defaultdict(dict)
        Buffer.latest = self

    def set_transform_static(self, transform, authority):
        self._static[transform.header.frame_id, transform.child_frame_id] = transform

    def set_transform(self, transform, authority):
        pair = transform.header.frame_id, transform.child_frame_id
        self._moving[pair][Time.from_msg(transform.header.stamp).nanoseconds] = transform

    def clear(self):
        self._moving.clear()

    def lookup_transform(self, target_frame, source_frame, time):
        if target_frame == source_frame:
            return stamped(target_frame, source_frame)
        for pair, turn in (
            ((target_frame, source_frame), lambda transform: transform),
            ((source_frame, target_frame), inverse),
        ):
            if pair in self._static:
                return turn(self._static[pair])
            if moving := self._moving[pair]:
                stamp_ns = time.nanoseconds or max(moving)
                if stamp_ns not in moving:
                    raise ExtrapolationException(f'no transform at {stamp_ns}')
                return turn(moving[stamp_ns])
        raise TransformException(f'"{source_frame}" and "{target_frame}" are not connected')


TransformListener = Mock()
"""Does nothing: tests fill the buffer."""


def stamped(parent, child, translation=(0, 0, 0), rotation=None, stamp_ns=0):
    """The transform of `child` in `parent`."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    t, r = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = map(float, translation)
    r.x, r.y, r.z, r.w = (Rotation.identity() if rotation is None else rotation).as_quat().tolist()
    return message


def inverse(message):
    t, r = message.transform.translation, message.transform.rotation
    back = Rotation.from_quat([r.x, r.y, r.z, r.w]).inv()
    return stamped(
        message.child_frame_id,
        message.header.frame_id,
        -back.apply(np.array([t.x, t.y, t.z])),
        back,
        Time.from_msg(message.header.stamp).nanoseconds,
    )
