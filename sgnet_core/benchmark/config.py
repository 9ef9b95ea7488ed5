# SPDX-License-Identifier: Apache-2.0
"""Selects what a run of the benchmark measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgnet_core.benchmark.synthetic_frames import Size
from sgnet_core.benchmark.timing import Budget
from sgnet_core.errors import InputError
from sgnet_core.model.sgnet import VARIANTS
from sgnet_core.runtime.device import PRECISIONS
from sgnet_core.runtime.environment import bf16_is_fast

BACKENDS = ('torch', 'onnxruntime')
DEFAULT_VARIANTS = ('sgnet_lite0', 'sgnet_r50', 'sgnet_r101', 'sgnet_aspp_r101')
DEFAULT_SIZE = (480, 640)
HALF_SIZE = (240, 320)
"""Without --size the lite variants are measured at this size, too."""
SMALLEST_LENGTH = 64
CPU_REST_S = 0.02


@dataclass(frozen=True)
class BenchmarkConfig:
    """What a run measures.

    Attributes:
        device: as resolved, for example `cpu`, `cuda`.
        variants: keys of `VARIANTS`.
        backends: of `BACKENDS`.
        precisions: keys of `PRECISIONS`; ratios without a suffix are about the first.
        sizes: (height, width) of frames; ratios without a suffix are about the first.
        seconds: duration of one comparison.
        quick: a run that only shows that everything works.

    Raises:
        InputError: unknown names, a size below 64 or a negative duration.
    """

    device: str
    variants: Sequence[str] = DEFAULT_VARIANTS
    backends: Sequence[str] = BACKENDS
    precisions: Sequence[str] = ('fp32',)
    sizes: Sequence[Size] = (DEFAULT_SIZE,)
    seconds: float = 8.0
    quick: bool = False

    def __post_init__(self) -> None:
        _check('variant', self.variants, VARIANTS)
        _check('backend', self.backends, BACKENDS)
        _check('precision', self.precisions, PRECISIONS)
        for height, width in self.sizes:
            if min(height, width) < SMALLEST_LENGTH:
                raise InputError(
                    f'height and width must be at least {SMALLEST_LENGTH}, got {height}x{width}'
                )
        if not 0 <= self.seconds < float('inf'):
            raise InputError(f'--seconds must be 0 or more, got {self.seconds}')

    @property
    def budget(self) -> Budget:
        """Of one comparison."""
        rest_s = CPU_REST_S if self.device == 'cpu' else 0.0
        return Budget(self.seconds, 3 if self.quick else 5, rest_s=rest_s)


def default_precisions(device: str) -> tuple[str, ...]:
    """The precisions that are fast on a device; ratios are about the first."""
    if device.startswith('cuda'):
        return ('fp16', 'bf16', 'fp32')
    return ('fp32', 'bf16') if bf16_is_fast() else ('fp32',)


def _check(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f'unknown {what} {name!r}; choose from {", ".join(known)}')
