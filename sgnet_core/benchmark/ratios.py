# SPDX-License-Identifier: Apache-2.0
"""Ratios of what was measured side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgnet_core.benchmark import evaluation, geometry, operators, training
from sgnet_core.benchmark.networks import SHIPPED, NetworkCase
from sgnet_core.benchmark.plan import Plan, Size
from sgnet_core.benchmark.results import Key, Results


@dataclass(frozen=True)
class Quotient:
    """`figure` of the rows of `top` added up, over that of `bottom`, times `scale`."""

    name: str
    top: tuple[Key, ...]
    bottom: tuple[Key, ...]
    figure: str = 'median_ms'
    scale: float = 1.0

    def value(self, results: Results) -> float:
        """Raises NotMeasured, which says why, where a row is missing."""
        top, bottom = (
            sum(_figure(results, key, self.figure) for key in keys)
            for keys in (self.top, self.bottom)
        )
        return self.scale * top / bottom


class NotMeasured(Exception):  # noqa: N818 - nothing is wrong with it
    """Why there is no figure."""


def compute(
    plan: Plan, positions: list[operators.Position], results: Results
) -> tuple[dict[str, float], dict[str, str]]:
    """Name -> ratio, and name -> why there is none, of everything such a run could compare."""
    ratios: dict[str, float] = {}
    not_measured: dict[str, str] = {}
    for quotient in quotients(plan, positions):
        try:
            ratios[quotient.name] = round(quotient.value(results), 4)
        except NotMeasured as reason:
            not_measured[quotient.name] = str(reason)
    _smallest(ratios, not_measured, 'torchvision_over_triton')
    return ratios, not_measured


def quotients(plan: Plan, positions: list[operators.Position]) -> Iterator[Quotient]:
    """Everything worth comparing; names without a precision are about the plan's first."""
    main_size = plan.sizes[0]
    for precision in plan.precisions:
        suffix = '' if precision == plan.precisions[0] else f'.{precision}'
        yield from _of_operators(positions, precision, main_size, suffix)
        for variant in plan.variants:
            for size in plan.sizes_of(variant):
                yield from _of_networks(variant, precision, size, suffix + _suffix(size, main_size))
    for variant in plan.variants:
        for precision in plan.precisions[1:]:
            first, other = (
                NetworkCase(variant, 'depth', True, 'torch', name, main_size).key
                for name in (plan.precisions[0], precision)
            )
            name = f'{precision}_over_{plan.precisions[0]}.{variant}'
            yield Quotient(name, (other,), (first,))
    for substitute in training.SUBSTITUTES:
        ours, other = (training.row_key(name, main_size) for name in (training.OURS, substitute))
        yield Quotient(f'training_memory_over_{substitute}', (ours,), (other,), 'peak_mb')
    yield from _of_geometry(plan)
    whole, masks = (
        evaluation.row_key(name, main_size) for name in (evaluation.WHOLE, evaluation.MASKS)
    )
    yield Quotient('evaluation_over_masks', (whole,), (masks,))


def _of_operators(
    positions: list[operators.Position], precision: str, size: Size, suffix: str
) -> Iterator[Quotient]:
    def keys(backend: str) -> tuple[Key, ...]:
        return tuple(
            operators.row_key(position, backend, precision, size) for position in positions
        )

    ours = keys(operators.OURS)
    yield Quotient(f'sconv_op_over_plain_sum{suffix}', ours, keys(operators.PLAIN))
    pairs = {'sconv_op_over_plain': (operators.OURS, operators.PLAIN)}
    # The others compete in the first precision only.
    if not suffix:
        for backend in (operators.IM2COL, operators.ONNXRUNTIME, operators.REFERENCE):
            yield Quotient(f'{backend}_over_ours_op_sum', keys(backend), ours)
        pairs['torchvision_over_triton'] = (operators.TORCHVISION, operators.TRITON)
    for name, backends in pairs.items():
        for top, bottom in zip(*map(keys, backends), strict=True):
            yield Quotient(f'{name}.{top.name}{suffix}', (top,), (bottom,))


def _of_geometry(plan: Plan) -> Iterator[Quotient]:
    main_size = plan.geometry_sizes[0]
    ours, float64 = (
        (geometry.row_key('hha', main_size, backend),)
        for backend in (geometry.OURS, geometry.FLOAT64)
    )
    yield Quotient('hha_over_float64', ours, float64)
    smallest, largest = (choose(plan.geometry_sizes, key=math.prod) for choose in (min, max))
    for name in geometry.NAMES:
        keys = [(geometry.row_key(name, size),) for size in (largest, smallest)]
        scale = math.prod(smallest) / math.prod(largest)
        yield Quotient(f'{name}_per_pixel_largest_over_smallest', *keys, scale=scale)
    first, last = (
        (geometry.memory_key(frames),) for frames in (geometry.FIRST_FRAMES, geometry.ALL_FRAMES)
    )
    yield Quotient('hha_memory_1000_over_100_frames', last, first, 'peak_mb')


def _of_networks(variant: str, precision: str, size: Size, suffix: str) -> Iterator[Quotient]:
    if variant == SHIPPED:
        return
    whole, none, unfused, exported = (
        (NetworkCase(variant, spatial, fused, backend, precision, size).key,)
        for spatial, fused, backend in (
            ('depth', True, 'torch'),
            ('none', True, 'torch'),
            ('depth', False, 'torch'),
            ('depth', True, 'onnxruntime'),
        )
    )
    yield Quotient(f'{variant}_over_none{suffix}', whole, none)
    yield Quotient(f'fused_over_unfused.{variant}{suffix}', whole, unfused)
    yield Quotient(f'onnxruntime_over_torch.{variant}{suffix}', exported, whole)


def _suffix(size: Size, main_size: Size) -> str:
    return '' if size == main_size else f'.{size[0]}x{size[1]}'


def _figure(results: Results, key: Key, figure: str) -> float:
    value = getattr(results.rows[key], figure) if key in results.rows else None
    if value is None:
        raise NotMeasured(results.why_not(key))
    return value


def _smallest(ratios: dict[str, float], not_measured: dict[str, str], name: str) -> None:
    """Add `<name>_min`: the smallest of `<name>.<position>`, or why one of them is not there."""
    missing = [reason for key, reason in not_measured.items() if key.startswith(f'{name}.')]
    if missing:
        not_measured[f'{name}_min'] = missing[0]
    else:
        ratios[f'{name}_min'] = min(
            value for key, value in ratios.items() if key.startswith(f'{name}.')
        )
