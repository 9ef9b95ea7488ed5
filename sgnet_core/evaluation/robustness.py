# SPDX-License-Identifier: Apache-2.0
"""How much of its mIoU a network keeps when colour or depth are worse than they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sgnet_core.evaluation.class_counts import mean_iou, number, pixel_accuracy
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.evaluation.evaluation import Evaluation, FrameScores
from sgnet_core.evaluation.evaluator import evaluate
from sgnet_core.types import Sample

if TYPE_CHECKING:
    from sgnet_core.inference.segmenter import Segmenter

Rows = Sequence[dict[str, Any]]


def measure_robustness(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    indices: Sequence[int],
    clean: Evaluation,
    whole: Callable[[Evaluation], Evaluation] = lambda evaluation: evaluation,
    progress: bool = True,
) -> Iterator[list[dict[str, Any]]]:
    """Evaluate every corruption at every severity: the rows of one as soon as it is complete.

    Late depth is for frames that have enough of their sequence before them, in three severities or
    fewer; `clean_miou` of a row is that of the same frames as they are.

    Args:
        samples: with labels; each is read many times.
        indices: of those that this process is to use.
        clean: counts of all samples as they are, in order.
        whole: from the counts of these indices to those of all processes that share the work.
        progress: show a bar where standard error is a terminal.
    """
    before = _sequence_positions(clean.frames)
    delays = [c.delay(severity) for c in CORRUPTIONS.values() for severity in SEVERITIES]
    total = sum(before[i] >= delay for delay in delays for i in indices)
    hidden = None if progress else True
    with tqdm(total=total, desc='robustness', unit='frame', disable=hidden) as bar:
        for name, corruption in CORRUPTIONS.items():
            rows = []
            for severity in SEVERITIES:
                delay = corruption.delay(severity)
                clean_miou = _miou(
                    f for f, n in zip(clean.frames, before, strict=True) if n >= delay
                )
                if clean_miou is None:
                    continue
                evaluation = evaluate(
                    segmenter,
                    # Read before the loop goes on to the next.
                    (corruption.apply(samples, i, severity) for i in indices if before[i] >= delay),
                    progress=False,
                    on_frame=lambda *_: bar.update(),
                )
                class_counts = whole(evaluation).confusion.class_counts
                rows.append(
                    {
                        'corruption': name,
                        'severity': severity,
                        'level': corruption.levels[severity - 1],
                        'unit': corruption.unit,
                        'miou': number(mean_iou(class_counts)),
                        'pixel_accuracy': number(pixel_accuracy(class_counts)),
                        'clean_miou': clean_miou,
                    }
                )
            yield rows


def _sequence_positions(frames: Iterable[FrameScores]) -> list[int]:
    """How many frames of its sequence come before each."""
    before: list[int] = []
    for frame in frames:
        before.append(before[-1] + 1 if frame.is_continuation else 0)
    return before


def _miou(frames: Iterable[FrameScores]) -> float | None:
    """Of all of them together; None where they have no labelled pixel."""
    class_counts = [frame.class_counts for frame in frames]
    return number(mean_iou(np.sum(class_counts, axis=0, dtype=np.int64))) if class_counts else None


def relative_miou(rows: Rows, complete: bool = True) -> dict[str, float | None] | None:
    """The share of the clean mIoU which is left with each corruption.

    A mean over its severities; `mean` is that over all corruptions: the one summary figure, None
    unless they are complete. None without rows, and where there is nothing to keep.
    """
    shares: dict[str, list[float]] = {}
    for row in rows:
        if row['clean_miou']:
            shares.setdefault(row['corruption'], []).append(row['miou'] / row['clean_miou'])
    if not shares:
        return None
    means = {name: float(np.mean(values)) for name, values in shares.items()}
    return {'mean': float(np.mean([*means.values()])) if complete else None, **means}


def table(rows: Rows, kept: dict[str, float | None]) -> str:
    """For people: mIoU at every severity, and what `relative_miou` says."""
    lines = [f'{"mIoU %, severity":20}{"1":>8}{"2":>8}{"3":>8}{"kept %":>9}']
    for name, share in kept.items():
        found = [f'{100 * row["miou"]:8.2f}' for row in rows if row['corruption'] == name]
        percent = '-' if share is None else f'{100 * share:.1f}'
        lines.append(f'{name:20}{"".join(found):24}{percent:>9}')
    return '\n'.join([lines[0], *lines[2:], lines[1]])
