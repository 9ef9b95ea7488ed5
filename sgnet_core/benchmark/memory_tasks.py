# SPDX-License-Identifier: Apache-2.0
"""What is weighed: the operator, networks, a training step. Plain values in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgnet_core.benchmark.geometry import resident_after_frames
from sgnet_core.benchmark.memory import peak_mb
from sgnet_core.benchmark.networks import NetworkCase, build, segment_call
from sgnet_core.benchmark.operators import Position, contenders, random_inputs
from sgnet_core.benchmark.training import training_peak_mb


def operator_peaks(
    device: str, positions: list[dict[str, Any]], precision: str, wanted: list[str]
) -> list[list[Any]]:
    """[position, backend, layout, peak] of every contender at every position."""
    found = []
    for position in map(Position.from_json, positions):
        calls, _ = contenders(random_inputs(position, device, precision), tuple(wanted))
        for (backend, layout), call in calls.items():
            call()
            found.append([position.name, backend, layout, peak_mb(call, device)])
    return found


def network_peaks(device: str, cases: list[dict[str, Any]], graphs: str) -> list[float | None]:
    """Of each case, from before it is built until it has segmented two frames."""
    found = [NetworkCase.from_json(case) for case in cases]
    # Libraries load and compile on first use; that is not the network's memory.
    for case in {case.backend: case for case in found}.values():
        _segment_twice(case, device, Path(graphs))
    return [
        peak_mb(lambda case=case: _segment_twice(case, device, Path(graphs)), device)
        for case in found
    ]


def training_peaks(device: str, backend: str, size: list[int]) -> list[float | None]:
    """Of one step."""
    return [training_peak_mb(backend, tuple(size), device)]


def _segment_twice(case: NetworkCase, device: str, graphs: Path) -> None:
    call = segment_call(build(case, device, graphs), case.size)
    call()
    call()


TASKS: dict[str, Callable[..., list[Any]]] = {
    'operator': operator_peaks,
    'network': network_peaks,
    'training': training_peaks,
    'many_frames': resident_after_frames,
}
