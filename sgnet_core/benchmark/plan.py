# SPDX-License-Identifier: Apache-2.0
"""What a run is to measure: the options of the command, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sgnet_core.benchmark.clock import Budget
from sgnet_core.benchmark.sensor import Size
from sgnet_core.device import PRECISIONS, resolve_device
from sgnet_core.errors import InputError
from sgnet_core.machine import bf16_is_fast
from sgnet_core.model.sgnet import VARIANTS

PARTS = ('operator', 'network', 'memory', 'geometry', 'evaluation')
BACKENDS = ('torch', 'onnxruntime')
DEFAULT_VARIANTS = ('sgnet_lite0', 'sgnet_r50', 'sgnet_r101', 'sgnet_aspp_r101')
DEFAULT_SIZE = (480, 640)
HALF_SIZE = (240, 320)
"""Where no size is asked for, the lite variants are measured at this one as well."""
OPERATOR_VARIANTS = ('sgnet_r50', 'sgnet_r101')
"""The operator is measured at the positions of the first, and where the second has other shapes."""
DEFAULT_SECONDS = 8.0
GEOMETRY_SIZES = (DEFAULT_SIZE, HALF_SIZE, (720, 1280), (1080, 1920))
QUICK_SIZE = (96, 128)
QUICK_VARIANTS = ('sgnet_lite0',)
QUICK_BACKENDS = ('torch',)


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know.

    Attributes:
        device: as resolved, for example `cpu`, `cuda`.
        parts: of `PARTS`.
        variants: networks to measure end to end.
        backends: of `BACKENDS`.
        precisions: the first is the one that ratios without a suffix are about.
        sizes: (height, width) of frames; the first is that of the operator and of training.
        seconds: how long one comparison of networks is measured.
        quick: shows that everything works; the figures mean little.
    """

    device: str
    parts: tuple[str, ...]
    variants: tuple[str, ...]
    backends: tuple[str, ...]
    precisions: tuple[str, ...]
    sizes: tuple[Size, ...]
    sizes_are_default: bool
    seconds: float
    quick: bool

    def sizes_of(self, variant: str) -> tuple[Size, ...]:
        """Frame sizes to measure a variant at."""
        if self.sizes_are_default and variant.startswith('sgnet_lite'):
            return (*self.sizes, HALF_SIZE)
        return self.sizes

    @property
    def geometry_sizes(self) -> tuple[Size, ...]:
        """Frame sizes to encode."""
        return GEOMETRY_SIZES if self.sizes_are_default else self.sizes

    @property
    def network_budget(self) -> Budget:
        return self._budget(self.seconds)

    @property
    def operator_budget(self) -> Budget:
        """A position is a small part of a network."""
        return self._budget(self.seconds / 6)

    def _budget(self, seconds: float) -> Budget:
        rest_s = 0.02 if self.device == 'cpu' else 0.0
        return Budget(seconds, 3 if self.quick else 5, rest_s=rest_s)


def make_plan(
    device: str,
    asked: dict[str, list[str] | None],
    sizes: list[str] | None,
    seconds: float | None,
    quick: bool,
) -> Plan:
    """Check what the user asked for and fill in the rest; None = not said.

    Args:
        asked: `part`, `variant`, `backend`, `precision` -> names.

    Raises:
        InputError: a name, a size or a time that cannot be; it says what can.
    """
    device = resolve_device(device)
    if seconds is not None and not 0 <= seconds < float('inf'):
        raise InputError(f'--seconds must be 0 or more, got {seconds}')
    known = {
        'part': (PARTS, PARTS),
        'variant': (tuple(VARIANTS), QUICK_VARIANTS if quick else DEFAULT_VARIANTS),
        'backend': (BACKENDS, QUICK_BACKENDS if quick else BACKENDS),
        'precision': (tuple(PRECISIONS), default_precisions(device, quick)),
    }
    chosen = {what: _chosen(what, asked.get(what), *known[what]) for what in known}
    default_sizes = (QUICK_SIZE if quick else DEFAULT_SIZE,)
    return Plan(
        device,
        chosen['part'],
        chosen['variant'],
        chosen['backend'],
        chosen['precision'],
        tuple(parse_size(text) for text in sizes) if sizes else default_sizes,
        not sizes and not quick,
        seconds if seconds is not None else 0.0 if quick else DEFAULT_SECONDS,
        quick,
    )


def default_precisions(device: str, quick: bool = False) -> tuple[str, ...]:
    """What is used on such a device; the first is what its targets are about."""
    if device.startswith('cuda'):
        return ('fp16',) if quick else ('fp16', 'bf16', 'fp32')
    return ('fp32', 'bf16') if bf16_is_fast() and not quick else ('fp32',)


def parse_size(text: str) -> Size:
    """`480x640`, height first, to (480, 640).

    Raises:
        InputError: it is not two numbers of at least 64.
    """
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < 64:
        raise InputError(f'a size is HEIGHTxWIDTH, each at least 64, as 480x640; got {text!r}')
    return size


def _chosen(
    what: str, asked: list[str] | None, known: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    for name in asked or ():
        if name not in known:
            raise InputError(f'unknown {what} {name!r}; there are {", ".join(known)}')
    return tuple(dict.fromkeys(asked)) if asked else default
