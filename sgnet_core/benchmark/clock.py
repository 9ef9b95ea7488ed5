# SPDX-License-Identifier: Apache-2.0
"""Times several calls in one loop, so that what disturbs the machine disturbs all of them.

What is compared runs A B C A B C ..., never A A A B B B: on a shared machine the second half
of a minute may be a different machine from the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from sgnet_core.errors import first_line

Key = TypeVar('Key', bound=Hashable)
Call = Callable[[], object]
Timer = Callable[[Call], float]
"""Runs a call once and says how many milliseconds it took."""

GRAPH_CALLS = 10
"""Calls in one captured graph: a single kernel is shorter than the clock of a GPU is sharp."""


@dataclass(frozen=True)
class Budget:
    """How long to measure: until `seconds` are over, but within these numbers of rounds.

    `rest_s` passes before every call: the OpenMP threads of the one before spin for some 6 ms, on
    cores that the next one wants.
    """

    seconds: float
    least_rounds: int = 5
    most_rounds: int = 200
    rest_s: float = 0.0


def interleave(calls: Mapping[Key, Call], budget: Budget, timer: Timer) -> dict[Key, list[float]]:
    """Milliseconds of every round of every call, the calls taking turns.

    Each call runs once before the clock starts, and did so in `working`: the first time may
    compile, tune or capture.
    """
    for call in calls.values():
        call()
    times: dict[Key, list[float]] = {key: [] for key in calls}
    end = time.perf_counter() + budget.seconds
    for done in range(budget.most_rounds):
        if done >= budget.least_rounds and time.perf_counter() > end:
            break
        for key, call in calls.items():
            time.sleep(budget.rest_s)
            times[key].append(timer(call))
    return times


def working(
    calls: Mapping[Key, Call], prepare: Callable[[Call], Call] = lambda call: call
) -> tuple[dict[Key, Call], dict[Key, str]]:
    """The calls that run, made ready by `prepare`; and what is wrong with those that do not.

    Not every device computes every precision, and memory is finite.
    """
    ready: dict[Key, Call] = {}
    problems: dict[Key, str] = {}
    for key, call in calls.items():
        try:
            call()
            ready[key] = prepare(call)
        except Exception as error:  # one that fails, however, is no reason to lose the others
            problems[key] = f'it fails here: {first_line(error)}'
    return ready, problems


def wall_ms(call: Call) -> float:
    """By the wall clock: for calls that return when they are done."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def cuda_ms(call: Call) -> float:
    """By events on the current CUDA stream: for calls that only start something."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def cuda_graph_ms(call: Call) -> float:
    """As `cuda_ms`, per call, of a graph made by `captured`."""
    return cuda_ms(call) / GRAPH_CALLS


def captured(call: Call) -> Call:
    """`GRAPH_CALLS` calls as one CUDA graph: kernels alone, without Python and launches.

    Raises:
        RuntimeError: the call cannot be captured.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(GRAPH_CALLS):
            call()

    def replay(_kept: Call = call) -> None:
        # The graph knows addresses only: the tensors behind them live as long as the call does.
        graph.replay()

    return replay
