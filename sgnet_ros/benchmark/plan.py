# SPDX-License-Identifier: Apache-2.0
"""What a run is to measure: the options of the command, checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgnet_core.errors import InputError
from sgnet_ros.interface import FRAME_OUTPUTS

OUTPUTS = {topic.name.removeprefix('~/'): topic for topic in FRAME_OUTPUTS}
FLAT_OUT = 'max'
DEFAULT_RATES = ('5', '10', '30', '60', FLAT_OUT)
DEFAULT_SIZES = ((480, 640), (720, 1280))
DEFAULT_OUTPUTS = ('mask', 'mask,color,overlay')
DEFAULT_SECONDS = 5.0
QUICK_RATES, QUICK_SIZES, QUICK_SECONDS = ('20',), ((96, 128),), 1.0
MEMORY = 'memory'
MEMORY_SIZE = (96, 128)
MEMORY_RATE_HZ = 400.0
"""Small frames, and a stand-in for the network, or ten thousand frames would take very long."""


@dataclass(frozen=True)
class Case:
    """One run of camera, node and listener.

    Attributes:
        size: (height, width) of colour and depth.
        rate_hz: of the camera; inf = as fast as it can.
        outputs: what the listener subscribes to, without `~/`.
        seconds: how long the camera publishes.
        stand_in_ms: how long a stand-in for the network takes; None = the network itself.
        label: what it is about, where that is not speed.
    """

    size: tuple[int, int]
    rate_hz: float
    outputs: tuple[str, ...]
    seconds: float
    stand_in_ms: float | None = None
    label: str = ''

    @property
    def name(self) -> str:
        """For people, and different for every case of a run."""
        rate = 'flat out' if math.isinf(self.rate_hz) else f'{self.rate_hz:g} Hz'
        return self.label or f'{self.size[0]}x{self.size[1]} {",".join(self.outputs)} {rate}'


def make_cases(
    rates: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    outputs: Sequence[str],
    seconds: float,
    stand_in_ms: float | None,
) -> list[Case]:
    """Every combination.

    Raises:
        InputError: a rate, an output or a time that cannot be; it says what can.
    """
    if not 0 < seconds < math.inf:
        raise InputError(f'--seconds must be above 0, got {seconds:g}')
    if stand_in_ms is not None and not 0 <= stand_in_ms < math.inf:
        raise InputError(f'--stand-in must be 0 ms or more, got {stand_in_ms:g}')
    chosen = itertools.product(sizes, map(_outputs, outputs), map(_rate_hz, rates))
    cases = [Case(size, rate, topics, seconds, stand_in_ms) for size, topics, rate in chosen]
    return list(dict.fromkeys(cases))


def memory_case(frames: int) -> Case:
    """So many small frames through the node, without the network.

    Raises:
        InputError: a negative number.
    """
    if frames < 0:
        raise InputError(f'--memory-frames must be 0 or more, got {frames}')
    seconds = frames / MEMORY_RATE_HZ
    return Case(MEMORY_SIZE, MEMORY_RATE_HZ, ('mask',), seconds, 0.0, MEMORY)


def _rate_hz(text: str) -> float:
    try:
        rate = math.inf if text == FLAT_OUT else float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise InputError(f'--rate must be above 0 Hz, or {FLAT_OUT} for flat out, got {text!r}')
    return rate


def _outputs(text: str) -> tuple[str, ...]:
    names = tuple(text.split(','))
    for name in names:
        if name not in OUTPUTS:
            raise InputError(f'--outputs knows {", ".join(OUTPUTS)}; got {name!r}')
    return tuple(dict.fromkeys(names))
