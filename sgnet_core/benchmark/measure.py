# SPDX-License-Identifier: Apache-2.0
"""The run itself: a list of steps, each of which adds rows to the results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from sgnet_core.benchmark import clock, evaluation, geometry, memory, networks, operators, training
from sgnet_core.benchmark.memory_process import MemoryProcess
from sgnet_core.benchmark.networks import SHIPPED, NetworkCase
from sgnet_core.benchmark.operators import Position
from sgnet_core.benchmark.plan import Plan
from sgnet_core.benchmark.results import Results, Row
from sgnet_core.benchmark.sensor import Size
from sgnet_core.errors import InputError


@dataclass(frozen=True)
class Step:
    """Something that takes seconds; `label` is for the progress bar."""

    label: str
    run: Callable[[Results, MemoryProcess], None]


def steps(plan: Plan, positions: list[Position]) -> list[Step]:
    """All that a plan asks for, in order."""
    found = []
    if 'operator' in plan.parts:
        for precision in plan.precisions:
            found += [
                Step(position.name, partial(time_operator, plan, position, precision))
                for position in positions
            ]
            peaks = partial(weigh_operators, plan, positions, precision)
            found.append(Step('memory of the operator', peaks))
    if 'network' in plan.parts:
        for cases in networks.groups(plan):
            label = f'{cases[0].variant} {cases[0].key.size}'
            found.append(Step(label, partial(measure_networks, plan, cases)))
    if 'memory' in plan.parts:
        for backend in training.backends(plan):
            found.append(Step(f'training, {backend}', partial(weigh_training, plan, backend)))
    if 'geometry' in plan.parts:
        for size in plan.geometry_sizes:
            encodings = partial(time_encodings, plan, size)
            found.append(Step(f'geometry {size[0]}x{size[1]}', encodings))
        if not plan.quick:
            found.append(Step('memory of many frames', weigh_many_frames))
    if 'evaluation' in plan.parts:
        found.append(Step('evaluation', partial(time_evaluation, plan)))
    return found


def time_operator(
    plan: Plan, position: Position, precision: str, results: Results, _: MemoryProcess
) -> None:
    """Every contender at one position, taking turns; of two layouts the faster one counts."""
    size = plan.sizes[0]
    # The opponents at their best, and fp32 as fp32: the product of ours does not round to TF32.
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with torch.inference_mode(), cudnn:
        inputs = operators.random_inputs(position, plan.device, precision)
        wanted = operators.wanted_backends(plan, precision)
        calls, missing = operators.contenders(inputs, wanted)
        times, problems = _taking_turns(plan, calls)
    missing |= {backend: problem for (backend, _), problem in problems.items()}
    for backend, reason in missing.items():
        results.skipped[operators.row_key(position, backend, precision, size)] = reason
    for (backend, layout), of_rounds in times.items():
        key = operators.row_key(position, backend, precision, size)
        row = Row(key, position.variant, of_rounds, None, position.details(layout))
        if key not in results.rows or row.median_ms < results.rows[key].median_ms:
            results.add(row)


def weigh_operators(
    plan: Plan,
    positions: list[Position],
    precision: str,
    results: Results,
    process: MemoryProcess,
) -> None:
    """Peak memory of the contenders that were timed."""
    peaks, problem = process.measure(
        'operator',
        positions=[position.as_json() for position in positions],
        precision=precision,
        wanted=operators.wanted_backends(plan, precision),
    )
    results.note(problem)
    by_name = {position.name: position for position in positions}
    for name, backend, layout, peak in peaks:
        key = operators.row_key(by_name[name], backend, precision, plan.sizes[0])
        row = results.rows.get(key)
        if row is not None and row.details['layout'] == layout:
            results.add(replace(row, peak_mb=peak))


def measure_networks(
    plan: Plan, cases: list[NetworkCase], results: Results, process: MemoryProcess
) -> None:
    """Time and peak memory of one network in all its forms."""
    with tempfile.TemporaryDirectory() as graphs:
        time_networks(plan, cases, Path(graphs), results)
        weigh_networks(cases, graphs, results, process)


def time_networks(plan: Plan, cases: list[NetworkCase], graphs: Path, results: Results) -> None:
    """Frame by frame in turn."""
    calls = {}
    details = {}
    for case in cases:
        try:
            segmenter = networks.build(case, plan.device, graphs)
        except InputError as error:
            results.skipped[case.key] = str(error)
            continue
        calls[case] = networks.segment_call(segmenter, case.size)
        height, width = segmenter.input_spec.size
        details[case] = {'input_size': f'{height}x{width}', 'spatial': segmenter.input_spec.spatial}
    calls, problems = clock.working(calls)
    results.skipped |= {case.key: problem for case, problem in problems.items()}
    for case, times in clock.interleave(calls, plan.network_budget, clock.wall_ms).items():
        results.add(Row(case.key, networks.architecture(case), times, None, details[case]))


def weigh_networks(
    cases: list[NetworkCase], graphs: str, results: Results, process: MemoryProcess
) -> None:
    """Peak memory of the cases that were timed."""
    timed = [case for case in cases if case.key in results.rows]
    peaks, problem = process.measure(
        'network', cases=[case.as_json() for case in timed], graphs=graphs
    )
    results.note(problem)
    for case, peak in zip(timed, peaks, strict=False):
        results.add(replace(results.rows[case.key], peak_mb=peak))


def weigh_training(plan: Plan, backend: str, results: Results, process: MemoryProcess) -> None:
    """Peak memory of one training step."""
    key = training.row_key(backend, plan.sizes[0])
    peaks, problem = process.measure('training', backend=backend, size=plan.sizes[0])
    if peaks and peaks[0] is not None:
        results.add(Row(key, training.VARIANT, (), peaks[0], {'batch': 1}))
    else:
        results.skipped[key] = problem or memory.NOT_TOLD


def _taking_turns(
    plan: Plan, calls: Mapping[clock.Key, clock.Call]
) -> tuple[dict[clock.Key, list[float]], dict[clock.Key, str]]:
    """Milliseconds of the calls that run, and what is wrong with the others."""
    if plan.device.startswith('cuda'):
        ready, problems = clock.working(calls, clock.captured)
        return clock.interleave(ready, plan.operator_budget, clock.cuda_graph_ms), problems
    ready, problems = clock.working(calls)
    return clock.interleave(ready, plan.operator_budget, clock.wall_ms), problems


def time_encodings(plan: Plan, size: Size, results: Results, _: MemoryProcess) -> None:
    """Every encoding of depth at one size, taking turns; in float64 at the first size only."""
    with torch.inference_mode():
        calls = geometry.calls(size, plan.device, float64=size == plan.geometry_sizes[0])
        times, problems = _taking_turns(plan, calls)
    results.skipped |= problems
    for key, of_rounds in times.items():
        results.add(Row(key, '', of_rounds))


def time_evaluation(plan: Plan, results: Results, _: MemoryProcess) -> None:
    """An evaluation and its parts, taking turns; times are those of a frame."""
    with tempfile.TemporaryDirectory() as folder:
        backend = 'auto' if 'onnxruntime' in plan.backends else 'torch'
        calls = evaluation.calls(plan.sizes[0], plan.device, backend, Path(folder) / 'rooms')
        times = clock.interleave(calls, plan.network_budget, clock.wall_ms)
    for key, of_rounds in times.items():
        results.add(Row(key, SHIPPED, [ms / evaluation.FRAMES for ms in of_rounds]))


def weigh_many_frames(results: Results, process: MemoryProcess) -> None:
    """Memory of a process that encodes one frame after the other."""
    after, problem = process.measure('many_frames')
    results.note(problem)
    frames = geometry.FIRST_FRAMES, geometry.ALL_FRAMES
    for count, resident in zip(frames, after, strict=False):
        results.add(Row(geometry.memory_key(count), '', (), resident))
