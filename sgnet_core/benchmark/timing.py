# SPDX-License-Identifier: Apache-2.0
"""Times several calls by turns in one loop, so that what disturbs the machine disturbs all of them.

The order is A B C A B C ..., never A A A B B B: on a shared machine the second half of a minute
may be a different machine from the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sgnet_core.errors import first_line

Key = TypeVar('Key', bound=Hashable)
Call = Callable[[], object]
Timer = Callable[[Call], float]
"""Runs a call once and returns its duration in milliseconds."""


@dataclass(frozen=True)
class Budget:
    """How long to measure: for `seconds`, but at least and at most so many rounds.

    `rest_s` passes before every call: the OpenMP threads of the previous call spin for some 6 ms,
    on cores that the next call needs.
    """

    seconds: float
    min_rounds: int = 5
    max_rounds: int = 200
    rest_s: float = 0.0


def wall_ms(call: Call) -> float:
    """Wall-clock time of a call that returns when its work is done."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def take_turns(
    calls: Mapping[Key, Call], budget: Budget, timer: Timer = wall_ms
) -> dict[Key, list[float]]:
    """Milliseconds of every round of every call.

    Each call runs once before the clock starts, and did so in `working`: the first time may
    compile, tune or capture.
    """
    for call in calls.values():
        call()
    times: dict[Key, list[float]] = {key: [] for key in calls}
    end = time.perf_counter() + budget.seconds
    for done in range(budget.max_rounds):
        if done >= budget.min_rounds and time.perf_counter() > end:
            break
        for key, call in calls.items():
            time.sleep(budget.rest_s)
            times[key].append(timer(call))
    return times


def working(
    calls: Mapping[Key, Call], prepare: Callable[[Call], Call] = lambda call: call
) -> tuple[dict[Key, Call], dict[Key, str]]:
    """The calls that run, made ready by `prepare`, and the error of each call that does not.

    Not every device computes every precision, and memory is finite.
    """
    ready: dict[Key, Call] = {}
    problems: dict[Key, str] = {}
    for key, call in calls.items():
        try:
            call()
            ready[key] = prepare(call)
        except Exception as error:  # one failure must not lose the other measurements
            problems[key] = f'fails on this machine: {first_line(error)}'
    return ready, problems
