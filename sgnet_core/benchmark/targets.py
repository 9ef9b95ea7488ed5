# SPDX-License-Identifier: Apache-2.0
"""The speed and memory the project asks of itself, held against what was measured.

They are never tests: a busy machine is not a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgnet_core.benchmark import evaluation, geometry
from sgnet_core.benchmark.networks import NetworkCase
from sgnet_core.benchmark.plan import BACKENDS, DEFAULT_SIZE, HALF_SIZE, Plan, Size
from sgnet_core.benchmark.results import Key, Results

ANY_DEVICE = ''


@dataclass(frozen=True)
class RatioTarget:
    """A ratio that should be at most, or at least, `limit`."""

    device: str
    ratio: str
    limit: float
    at_most: bool = True


@dataclass(frozen=True)
class TimeTarget:
    """A network that should need at most `limit_ms` a frame, by whichever backend is fastest."""

    device: str
    variant: str
    size: Size
    limit_ms: float
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class RowTarget:
    """A row that should need at most `limit_ms`."""

    device: str
    key: Key
    limit_ms: float


GPU_PRECISIONS = ('fp16', 'bf16')
TARGETS: tuple[RatioTarget | TimeTarget | RowTarget, ...] = (
    RatioTarget('cpu', 'sconv_op_over_plain_sum', 1.5),
    RatioTarget('cpu', 'sgnet_r50_over_none', 1.4),
    TimeTarget('cpu', 'sgnet_lite0', DEFAULT_SIZE, 1000 / 5, ('fp32',)),
    TimeTarget('cpu', 'sgnet_lite0', HALF_SIZE, 1000 / 15, ('fp32',)),
    RatioTarget('cuda', 'torchvision_over_triton_min', 3.0, at_most=False),
    TimeTarget('cuda', 'sgnet_r50', DEFAULT_SIZE, 3.5, GPU_PRECISIONS),
    TimeTarget('cuda', 'sgnet_r101', DEFAULT_SIZE, 5.5, GPU_PRECISIONS),
    TimeTarget('cuda', 'sgnet_lite0', DEFAULT_SIZE, 1.5, GPU_PRECISIONS),
    RowTarget('cpu', geometry.row_key('hha', DEFAULT_SIZE), 33.0),
    RowTarget('cpu', geometry.row_key('xyz', DEFAULT_SIZE), 3.0),
    RowTarget('cpu', geometry.row_key('registration', DEFAULT_SIZE), 15.0),
    RowTarget('cuda', geometry.row_key('hha', DEFAULT_SIZE), 0.5),
    RowTarget(ANY_DEVICE, evaluation.row_key(evaluation.COUNTS, DEFAULT_SIZE), 5.0),
    RatioTarget('cpu', 'evaluation_over_masks', 1.3),
    RatioTarget(ANY_DEVICE, 'training_memory_over_im2col', 0.6),
)


def judge(
    plan: Plan, results: Results, ratios: dict[str, float], not_measured: dict[str, str]
) -> list[dict[str, Any]]:
    """One entry a target: `name`, `limit`, `sense`, and `value` and `met`, or `reason`."""
    entries = []
    for target in TARGETS:
        if isinstance(target, RatioTarget):
            name, limit, at_most = target.ratio, target.limit, target.at_most
            value, reason = _ratio(target, plan, ratios, not_measured)
        elif isinstance(target, RowTarget):
            key = target.key
            name, limit, at_most = f'{key.name} {key.size}, ms', target.limit_ms, True
            value = results.rows[key].median_ms if key in results.rows else None
            reason = results.why_not(key)
        else:
            name = f'{target.variant} {target.size[0]}x{target.size[1]}, ms'
            limit, at_most = target.limit_ms, True
            value, reason = _fastest(target, results)
        if target.device and not plan.device.startswith(target.device):
            value, reason = None, f'a target for {target.device}, this run was on {plan.device}'
        entry = {
            'name': name,
            'limit': round(limit, 2),
            'sense': 'at most' if at_most else 'at least',
        }
        if value is None:
            entries.append({**entry, 'value': None, 'met': None, 'reason': reason})
        else:
            met = value <= limit if at_most else value >= limit
            entries.append({**entry, 'value': round(value, 4), 'met': met})
    return entries


def _ratio(
    target: RatioTarget, plan: Plan, ratios: dict[str, float], not_measured: dict[str, str]
) -> tuple[float | None, str]:
    if plan.sizes[0] != DEFAULT_SIZE:
        return None, f'the target is for {DEFAULT_SIZE[0]}x{DEFAULT_SIZE[1]}'
    return ratios.get(target.ratio), not_measured.get(target.ratio, 'not part of this run')


def _fastest(target: TimeTarget, results: Results) -> tuple[float | None, str]:
    keys = [
        NetworkCase(target.variant, 'depth', True, backend, precision, target.size).key
        for backend in BACKENDS
        for precision in target.precisions
    ]
    medians = [results.rows[key].median_ms for key in keys if key in results.rows]
    return min(medians, default=None), results.why_not(keys[0])
