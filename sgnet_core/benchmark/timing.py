# SPDX-License-Identifier: Apache-2.0
"""Times several calls by turns in one loop, so that other work on the machine disturbs all of them.

The order is A B C A B C ..., never A A A B B B: the speed of a shared machine changes with time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from sgnet_core.errors import first_line

Key = TypeVar('Key', bound=Hashable)
Call = Callable[[], object]

MIN_ROUNDS, MAX_ROUNDS = 5, 200
REST_S = 0.02
"""Pause before every call: the OpenMP threads of the previous call spin for about 6 ms."""


def wall_ms(call: Call) -> float:
    """Wall-clock time of a call that returns when its work is done."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def time_by_turns(
    calls: Mapping[Key, Call],
    seconds: float,
    prepare: Callable[[Call], Call] = lambda call: call,
    timer: Callable[[Call], float] = wall_ms,
) -> tuple[dict[Key, list[float]], dict[Key, str]]:
    """Time the calls for `seconds`, after two calls of each to warm up.

    Args:
        prepare: applied to a call after its first run.
        timer: runs a call once and returns its duration in milliseconds.

    Returns:
        Milliseconds of every round of each call; and the error of each call that failed, because
        not every device computes every precision, and memory is finite.
    """
    ready: dict[Key, Call] = {}
    problems: dict[Key, str] = {}
    for key, call in calls.items():
        try:
            call()
            prepared = prepare(call)
            prepared()
            ready[key] = prepared
        except Exception as error:  # one failure must not lose the other measurements
            problems[key] = f'fails on this machine: {first_line(error)}'
    times: dict[Key, list[float]] = {key: [] for key in ready}
    end = time.perf_counter() + seconds
    for done in range(MAX_ROUNDS):
        if done >= MIN_ROUNDS and time.perf_counter() > end:
            break
        for key, call in ready.items():
            time.sleep(REST_S)
            times[key].append(timer(call))
    return times, problems
