# SPDX-License-Identifier: Apache-2.0
"""What was measured, and why the rest was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

NOT_ASKED_FOR = 'left out by --quick, --only, --variant, --backend, --precision or --size'


class Key(NamedTuple):
    """What one row is about; the device is the same for the whole run.

    Attributes:
        part: `operator`, `network`, `training`, `geometry` or `evaluation`.
        name: an S-Conv position, what is special about a network or a step, an encoding, or a part
            of an evaluation.
        backend: who computes it.
        precision: `fp32`, `fp16`, `bf16`, `fp64` or `auto`.
        size: of the frame, `HEIGHTxWIDTH`.
    """

    part: str
    name: str
    backend: str
    precision: str
    size: str


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        key: what was measured.
        variant: the network it belongs to.
        times_ms: of every round; empty where only memory was measured.
        peak_mb: highest memory above the level before, in 10^6 bytes; None = could not be measured.
        details: what else is worth knowing, plain JSON values.
    """

    key: Key
    variant: str
    times_ms: Sequence[float] = ()
    peak_mb: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def median_ms(self) -> float | None:
        return float(np.median(self.times_ms)) if len(self.times_ms) else None

    @property
    def p95_ms(self) -> float | None:
        return float(np.percentile(self.times_ms, 95)) if len(self.times_ms) else None

    @property
    def fps(self) -> float | None:
        """Frames a second, one after the other."""
        return None if self.median_ms is None else 1e3 / self.median_ms

    def as_json(self, device: str) -> dict[str, Any]:
        """The keys of design section 7, and more."""
        frames = {'fps': _rounded(self.fps)} if self.key.part == 'network' else {}
        return {
            **self.key._asdict(),
            'variant': self.variant,
            'device': device,
            'median_ms': _rounded(self.median_ms),
            'p95_ms': _rounded(self.p95_ms),
            'peak_mb': _rounded(self.peak_mb),
            'min_ms': _rounded(min(self.times_ms, default=None)),
            'rounds': len(self.times_ms),
            **frames,
            **self.details,
        }


@dataclass
class Results:
    """Fills up while a run goes on; what is in it stays when the run is interrupted.

    Attributes:
        rows: what was measured.
        skipped: what was not, and why.
        load_before: average number of processes that wanted a core before the run.
        notes: what went wrong without ending the run.
        interrupted: the run was stopped early.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)
    load_before: float | None = None
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    def add(self, row: Row) -> None:
        self.rows[row.key] = row

    def note(self, problem: str) -> None:
        """Remember what went wrong; '' is nothing."""
        if problem:
            self.notes.append(problem)

    def why_not(self, key: Key) -> str:
        """Why there is no figure of `key`."""
        if key in self.skipped:
            return self.skipped[key]
        if self.interrupted:
            return 'the run was interrupted before it'
        return NOT_ASKED_FOR


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
