# SPDX-License-Identifier: Apache-2.0
"""The time of each stage of one frame, from its colour stamp to its publication."""

from __future__ import annotations

import time

ARRIVE, WAIT, CONVERT, SEGMENT, PUBLISH = STAGES = (
    'arrive',  # from the stamp to the complete pair
    'wait',  # for the previous frame and for camera_info
    'convert',  # messages to a registered frame
    'segment',  # preprocessing, network, labels
    'publish',  # outputs with subscribers
)


class StageTimer:
    """Starts when a pair is complete; each `end` ends one stage and starts the next.

    Attributes:
        ms: milliseconds of each finished stage, in order.

    Args:
        stamp_ns: stamp of the colour image.
        now_ns: present time of the same clock.
    """

    def __init__(self, stamp_ns: int, now_ns: int) -> None:
        self.ms = {ARRIVE: (now_ns - stamp_ns) / 1e6}
        self._last_s = time.monotonic()

    def end(self, stage: str) -> None:
        """End `stage`, which started at the end of the previous one."""
        now_s = time.monotonic()
        self.ms[stage] = (now_s - self._last_s) * 1e3
        self._last_s = now_s
