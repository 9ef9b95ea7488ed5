# SPDX-License-Identifier: Apache-2.0
"""Defines one run of camera, node and listener."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgnet_core.errors import InputError
from sgnet_ros.topics import FRAME_OUTPUTS

OUTPUTS = {topic.name.removeprefix('~/'): topic for topic in FRAME_OUTPUTS}


@dataclass(frozen=True)
class Case:
    """One run of camera, node and listener.

    Attributes:
        size: (height, width) of colour and depth.
        rate_hz: of the camera; inf = without pauses.
        outputs: topics that the listener subscribes to, without `~/`.
        seconds: how long the camera publishes.
        fake_network_ms: latency of a fake network; None = the network itself.

    Raises:
        InputError: an unknown output, or a rate or time out of range.
    """

    size: tuple[int, int]
    rate_hz: float
    outputs: tuple[str, ...]
    seconds: float
    fake_network_ms: float | None = None

    def __post_init__(self) -> None:
        if not self.rate_hz > 0:
            raise InputError(f'--rate must be above 0 Hz, got {self.rate_hz:g}')
        if not 0 < self.seconds < math.inf:
            raise InputError(f'--seconds must be above 0, got {self.seconds:g}')
        if self.fake_network_ms is not None and not 0 <= self.fake_network_ms < math.inf:
            raise InputError(f'--stand-in must be 0 ms or more, got {self.fake_network_ms:g}')
        for name in self.outputs:
            if name not in OUTPUTS:
                raise InputError(f'unknown output {name!r}; choose from {", ".join(OUTPUTS)}')

    @property
    def name(self) -> str:
        """A name for people, different for every case of a run."""
        rate = 'max' if math.isinf(self.rate_hz) else f'{self.rate_hz:g} Hz'
        return f'{self.size[0]}x{self.size[1]} {",".join(self.outputs)} {rate}'
