# SPDX-License-Identifier: Apache-2.0
"""The direction of gravity, from the source of `hha.gravity_source`."""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header

from sgnet_core.geometry.gravity import GravityTracker
from sgnet_core.types import Gravity, RgbdFrame
from sgnet_ros.conversions.images import stamp_ns
from sgnet_ros.input.tf_lookup import NoTransformError, TfLookup
from sgnet_ros.node_parameters import NodeParameters

LEVEL = (0.0, 1.0, 0.0)
"""Down in the optical frame of a level camera."""


class GravitySource:
    """Determines the gravity of successive frames, in the optical frame.

    Args:
        tf: needed if `hha.gravity_source` is tf.

    Attributes:
        latest: the latest result, or None.

    Raises:
        InputError: `hha.gravity_vector` is not a direction.
    """

    def __init__(self, parameters: NodeParameters, tf: TfLookup | None) -> None:
        source = parameters['hha.gravity_source']
        self._tf = tf if source == 'tf' else None
        self._tracker = GravityTracker() if source == 'estimate' else None
        self._level_frame = parameters['hha.gravity_frame']
        self._height_m = parameters['hha.camera_height'] or None
        down = parameters['hha.gravity_vector'] if source == 'vector' else LEVEL
        self._constant = Gravity(np.array(down), self._height_m)
        self.latest: Gravity | None = None

    def gravity(self, frame: RgbdFrame, header: Header) -> Gravity:
        """The gravity of `frame`; `header` is that of its colour image.

        Raises:
            NoTransformError: TF has no transform.
        """
        if self._tf is not None:
            self.latest = self._from_tf(header)
        elif self._tracker is not None:
            down = self._tracker.update(frame.depth_m, frame.intrinsics).down
            self.latest = Gravity(down, self._height_m)
        else:
            self.latest = self._constant
        return self.latest

    def reset(self) -> None:
        """Forget earlier frames after a jump back in time."""
        if self._tracker is not None:
            self._tracker.reset()

    def _from_tf(self, header: Header) -> Gravity:
        try:
            camera_from_level = self._tf.lookup(
                header.frame_id, self._level_frame, stamp_ns(header)
            )
        except NoTransformError as error:
            raise NoTransformError(
                f'{error}; publish it, or choose another hha.gravity_frame or hha.gravity_source'
            ) from error
        up, origin = camera_from_level[:3, 2], camera_from_level[:3, 3]
        height_m = -float(up @ origin)
        # A frame above the camera is not on the ground.
        return Gravity(-up, self._height_m or (height_m if height_m > 0 else None))
