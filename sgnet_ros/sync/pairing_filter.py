# SPDX-License-Identifier: Apache-2.0
"""`RgbdPairing` as a message filter: two subscribers in, (colour, depth) callbacks out."""

import threading
from collections.abc import Callable

from sgnet_ros.compat.ros_api import SimpleFilter
from sgnet_ros.conversions.images import stamp_ns
from sgnet_ros.sync.pairing import RgbdPairing


class RgbdPairingFilter(SimpleFilter):
    """Signals the pairs of the messages of two filters.

    `on_dropped` receives the cause and number of messages without a pair. Callbacks run outside
    the lock: an exception loses one pair only, and does not block as in `message_filters`.
    """

    def __init__(
        self,
        rgb: SimpleFilter,
        depth: SimpleFilter,
        pairing: RgbdPairing,
        on_dropped: Callable[[str, int], None] = lambda cause, count: None,
    ) -> None:
        super().__init__()
        self.pairing = pairing
        self._on_dropped = on_dropped
        self._lock = threading.Lock()
        rgb.registerCallback(self._take, pairing.add_rgb)
        depth.registerCallback(self._take, pairing.add_depth)

    def _take(self, message, add) -> None:
        with self._lock:
            before = self.pairing.dropped.copy()
            pairs = add(stamp_ns(message.header), message)
            dropped = self.pairing.dropped - before
        for cause, count in dropped.items():
            self._on_dropped(cause, count)
        for pair in pairs:
            self.signalMessage(*pair)
