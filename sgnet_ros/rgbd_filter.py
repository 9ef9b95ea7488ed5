# SPDX-License-Identifier: Apache-2.0
"""`RgbdSync` as a message filter: fed by two subscribers, calls back with (colour, depth)."""

import threading

from sgnet_ros.conversions import stamp_ns
from sgnet_ros.rgbd_sync import RgbdSync
from sgnet_ros.ros_api import SimpleFilter


class RgbdFilter(SimpleFilter):
    """Signals the pairs that `sync` makes of what the two filters deliver.

    Callbacks run outside the lock: one that raises loses its pair and nothing else, where the
    synchronisers of `message_filters` would block for ever.
    """

    def __init__(self, rgb: SimpleFilter, depth: SimpleFilter, sync: RgbdSync) -> None:
        super().__init__()
        self.sync = sync
        self._lock = threading.Lock()
        rgb.registerCallback(self._take, sync.add_rgb)
        depth.registerCallback(self._take, sync.add_depth)

    def _take(self, message, add) -> None:
        with self._lock:
            pairs = add(stamp_ns(message.header), message)
        for pair in pairs:
            self.signalMessage(*pair)
