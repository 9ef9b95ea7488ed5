# SPDX-License-Identifier: Apache-2.0
"""The noun of every check: one thing that is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING = 'error', 'warning'
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a data set.

    Attributes:
        severity: `error`, what ruins a training or stops it, or `warning`, what may harm it.
        check: a name for programs, for example `depth_mirrored`.
        seen: what is wrong, with the value got and what was expected.
        remedy: what to do.
        ids: the frames in which it was seen; empty where it is about the whole data set.
    """

    severity: str
    check: str
    seen: str
    remedy: str
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`error: what was seen (in 5 frames: 1, 2, 3, ...); what to do`."""
        where = f' ({in_frames(self.ids)})' if self.ids else ''
        return f'{self.severity}: {self.seen}{where}; {self.remedy}'


def error(check: str, seen: str, remedy: str, ids: Iterable[str] = ()) -> Finding:
    """What ruins a training."""
    return Finding(ERROR, check, seen, remedy, tuple(ids))


def warning(check: str, seen: str, remedy: str, ids: Iterable[str] = ()) -> Finding:
    """What may harm a training."""
    return Finding(WARNING, check, seen, remedy, tuple(ids))


def in_frames(ids: tuple[str, ...]) -> str:
    """`in 5 frames: 1, 2, 3, ...`."""
    return f'in {counted(len(ids), "frame")}: {few(ids)}'


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f'{number} {noun}{"" if number == 1 else "s"}'


def few(items: Iterable[object], shown: int = _SHOWN) -> str:
    """The first items with commas between, and three dots for the rest."""
    texts = [str(item) for item in items]
    return ', '.join(texts[:shown] + (['...'] if len(texts) > shown else []))


def share(part: float, whole: float) -> str:
    """`12 %`, `0.3 %`: never 0 for what is there."""
    percent = 100 * part / max(whole, 1)
    if percent >= 10 or percent == 0:
        return f'{percent:.0f} %'
    return f'{percent:.1f} %' if percent >= 0.1 else 'below 0.1 %'
