# SPDX-License-Identifier: Apache-2.0
"""Camera poses from the TF messages of a bag. Only frames above the camera in the tree are used."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from sgnet_core.errors import DataError
from sgnet_ros.bag.reader import Bag
from sgnet_ros.conversions.poses import rigid_transform

TF, TF_STATIC = '/tf', '/tf_static'
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'


class BagTransforms:
    """All transforms of a bag, interpolated between stamps, never beyond them.

    Raises:
        DataError: the bag has no transform to `fixed_frame`.
    """

    def __init__(self, bag: Bag, fixed_frame: str) -> None:
        self.fixed_frame = fixed_frame = fixed_frame.lstrip('/')
        self._parents: dict[str, str] = {}
        moving: dict[str, dict[int, list[float]]] = defaultdict(dict)
        self._static: dict[str, list[float]] = {}
        topics = [name for name in (TF, TF_STATIC) if name in bag.topics]
        for name in topics:
            bag.topic(name, TF_MESSAGE)
        for message in bag.messages(topics):
            for transform in bag.deserialize(message).transforms:
                child = transform.child_frame_id.lstrip('/')
                self._parents[child] = transform.header.frame_id.lstrip('/')
                if message.topic == TF_STATIC:
                    self._static[child] = _pose(transform.transform)
                else:
                    stamp = transform.header.stamp
                    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
                    moving[child][stamp_ns] = _pose(transform.transform)
        parents = sorted(set(self._parents.values()))
        if fixed_frame not in parents:
            raise DataError(
                f'{bag.path}: no transform from {fixed_frame!r} in TF; its parent frames: '
                f'{", ".join(parents) or "none"}'
            )
        # The stamps of a child are sorted; (n,) and (n, 7).
        self._moving = {
            child: (np.array(sorted(poses)), np.array([poses[ns] for ns in sorted(poses)]))
            for child, poses in moving.items()
        }

    def pose(self, frame_id: str, stamp_ns: int) -> np.ndarray | None:
        """`fixed_frame`_from_`frame_id`, (4, 4) float64, metres; None if TF does not know it."""
        frame, pose = frame_id.lstrip('/'), np.eye(4)
        for _ in self._parents:
            if frame == self.fixed_frame or frame not in self._parents:
                break
            if (step := self._transform(frame, stamp_ns)) is None:
                return None
            pose, frame = rigid_transform(step) @ pose, self._parents[frame]
        return pose if frame == self.fixed_frame else None

    def _transform(self, child: str, stamp_ns: int) -> np.ndarray | list[float] | None:
        """x y z qx qy qz qw of `child` in its parent; the quaternion may have any length."""
        if child in self._static:
            return self._static[child]
        stamps, poses = self._moving[child]
        after = int(np.searchsorted(stamps, stamp_ns))
        if after == len(stamps) or (after == 0 and stamps[0] != stamp_ns):
            return None
        if stamps[after] == stamp_ns:
            return poses[after]
        first, second = poses[after - 1], poses[after].copy()
        # A quaternion and its negative are the same rotation.
        second[3:] *= np.copysign(1.0, first[3:] @ second[3:])
        share = (stamp_ns - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        return first + share * (second - first)


def _pose(transform: Any) -> list[float]:
    t, r = transform.translation, transform.rotation
    return [t.x, t.y, t.z, r.x, r.y, r.z, r.w]
