# SPDX-License-Identifier: Apache-2.0
"""Where the time of one frame goes, from the stamp of its colour image to its publication."""

from __future__ import annotations

import time
from collections.abc import Mapping

ARRIVE, WAIT, CONVERT, SEGMENT, PUBLISH = STAGES = (
    'arrive',  # from the stamp until depth and colour are both here
    'wait',  # for the frame before, and for camera_info
    'convert',  # messages to a frame, registered
    'segment',  # preprocessing, network, labels
    'publish',  # making and sending of what is subscribed to
)


class StageTimes:
    """Begins where a pair is complete; each `end` ends one stage and begins the next.

    Args:
        stamp_ns: of the colour image.
        now_ns: of the clock that stamps images.
    """

    def __init__(self, stamp_ns: int, now_ns: int) -> None:
        self._ms = {ARRIVE: (now_ns - stamp_ns) / 1e6}
        self._last_s = time.monotonic()

    def end(self, stage: str) -> None:
        """`stage` has taken the time since the stage before."""
        now_s = time.monotonic()
        self._ms[stage] = (now_s - self._last_s) * 1e3
        self._last_s = now_s

    @property
    def ms(self) -> Mapping[str, float]:
        """Milliseconds of each stage that has ended, in order."""
        return self._ms
