# SPDX-License-Identifier: Apache-2.0
"""Look-ups in TF; no other module reads transforms."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from sgnet_core.errors import ConfigError, first_line
from sgnet_ros.compat.ros_api import CHOICES, tf2_ros
from sgnet_ros.conversions.images import MessageError
from sgnet_ros.conversions.poses import rigid_transform

STALE_S = 1.0
"""The log warns if the latest transform differs from the stamp by more than this."""
WARNING_PERIOD_S = 5.0


class NoTransformError(MessageError):
    """TF does not connect two frames."""

    cause = 'no_transform'


class TfLookup:
    """Listens to TF from construction until `close()`. Safe to use from several threads.

    Attributes:
        not_at_stamp: number of look-ups that fell back to the latest transform.

    Raises:
        ConfigError: tf2_ros is not installed.
    """

    def __init__(self, node: Node) -> None:
        if tf2_ros is None:
            raise ConfigError(
                'hha.gravity_source tf, and depth.register without depth.extrinsics, need tf2_ros, '
                f'which is {CHOICES["tf2_ros"]}: install the tf2_ros_py of your ROS distribution, '
                'or choose another hha.gravity_source and give depth.extrinsics'
            )
        self._logger = node.get_logger()
        self.not_at_stamp = 0
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    @staticmethod
    def is_installed() -> bool:
        """Whether tf2_ros is installed."""
        return tf2_ros is not None

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()

    def clear(self) -> None:
        """Forget moving transforms after a jump of time; static ones stay."""
        self._buffer.clear()

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """`target`_from_`source` at a time, or the latest if TF has none for that time.

        Returns:
            (4, 4) float64, point_target = T @ point_source, metres.

        Raises:
            NoTransformError: TF does not connect the frames, or a name is empty.
        """
        # tf2 refuses the leading slash of old drivers.
        target, source = target.lstrip('/'), source.lstrip('/')
        try:
            try:
                found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
            except tf2_ros.ExtrapolationException:
                found = self._buffer.lookup_transform(target, source, Time())
                self._log_age(target, source, stamp_ns, Time.from_msg(found.header.stamp))
        except tf2_ros.TransformException as error:
            raise NoTransformError(
                f'no transform from {source!r} to {target!r} ({first_line(error).strip()})'
            ) from error
        t, r = found.transform.translation, found.transform.rotation
        return rigid_transform((t.x, t.y, t.z, r.x, r.y, r.z, r.w))

    def _log_age(self, target: str, source: str, stamp_ns: int, latest: Time) -> None:
        self.not_at_stamp += 1
        age_s = (stamp_ns - latest.nanoseconds) / 1e9
        text = (
            f'the transform from {source!r} to {target!r} is not available at the image stamp; '
            f'using the latest, {abs(age_s) * 1e3:.0f} ms {"older" if age_s > 0 else "newer"}'
        )
        if abs(age_s) > STALE_S:
            self._logger.warning(text, throttle_duration_sec=WARNING_PERIOD_S)
        else:
            self._logger.info(text, once=True)
