# SPDX-License-Identifier: Apache-2.0
"""`Finding`: one problem of a data set, its frames, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sgnet_core.geometry.plausibility import Problem

ERROR, WARNING = 'error', 'warning'


@dataclass(frozen=True)
class Finding:
    """One problem of a data set.

    Attributes:
        severity: `error` prevents or ruins a training, `warning` may harm it.
        check: a name for programs, for example `depth_mirrored`.
        seen: the problem, with the value found and the values expected.
        ids: the frames that show the problem; empty if it concerns the whole data set.
    """

    severity: str
    check: str
    seen: str
    remedy: str
    ids: Sequence[str] = ()

    def __str__(self) -> str:
        """`error: PROBLEM (in 5 frames: 1, 2, 3, ...); REMEDY`."""
        where = f' (in {counted(len(self.ids), "frame")}: {few(self.ids)})' if self.ids else ''
        return f'{self.severity}: {self.seen}{where}; {self.remedy}'


error, warning = partial(Finding, ERROR), partial(Finding, WARNING)


def from_problems(problems: Iterable[Problem]) -> list[Finding]:
    """Implausible values as findings."""
    return [Finding(ERROR if p.certain else WARNING, p.check, p.seen, p.remedy) for p in problems]


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f'{number} {noun}{"" if number == 1 else "s"}'


def few(items: Iterable[object], shown: int = 3) -> str:
    """The first items, separated by commas, and three dots for the rest."""
    texts = [str(item) for item in items]
    return ', '.join(texts[:shown] + ['...'] * (len(texts) > shown))


def share(part: float, whole: float) -> str:
    """`12 %`, `0.3 %`, `below 0.1 %`: 0 only if `part` is 0."""
    percent = 100 * part / max(whole, 1)
    if percent >= 10 or percent == 0:
        return f'{percent:.0f} %'
    return f'{percent:.1f} %' if percent >= 0.1 else 'below 0.1 %'
