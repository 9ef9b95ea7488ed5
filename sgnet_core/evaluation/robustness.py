# SPDX-License-Identifier: Apache-2.0
"""The share of its mIoU that a network keeps under corrupted colour and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sgnet_core.evaluation.class_counts import mean_iou, number, pixel_accuracy
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.evaluation.evaluation import Evaluation
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
    gather: Callable[[Evaluation], Evaluation] = lambda evaluation: evaluation,
    progress: bool = True,
) -> Iterator[list[dict[str, Any]]]:
    """Evaluate every corruption at every severity; yield the rows of each corruption.

    Late depth needs frames with enough predecessors in their sequence; `clean_miou` of a row is
    that of the same frames without corruption.

    Args:
        samples: with labels; each is read many times.
        indices: samples of this process.
        clean: counts of all samples without corruption, in order.
        gather: adds up the counts of all processes.
        progress: show a bar if standard error is a terminal.
    """
    # The number of frames before each one in its sequence.
    positions: list[int] = []
    for frame in clean.frames:
        positions.append(positions[-1] + 1 if frame.is_continuation else 0)
    delays = [c.delay(severity) for c in CORRUPTIONS.values() for severity in SEVERITIES]
    total = sum(positions[i] >= delay for delay in delays for i in indices)
    bar = tqdm(total=total, desc='robustness', unit='frame', disable=None if progress else True)
    with bar:
        for name, corruption in CORRUPTIONS.items():
            rows = []
            for severity in SEVERITIES:
                used = np.flatnonzero(np.array(positions) >= corruption.delay(severity))
                clean_counts = [clean.frames[i].class_counts for i in used]
                if not clean_counts:
                    continue
                chosen = set(used).intersection(indices)
                evaluation = evaluate(
                    segmenter,
                    # The generator is consumed before the loop continues.
                    (corruption.apply(samples, i, severity) for i in indices if i in chosen),
                    progress=False,
                    on_frame=lambda *_: bar.update(),
                )
                counts = gather(evaluation).confusion.class_counts
                rows.append(
                    {
                        'corruption': name,
                        'severity': severity,
                        'level': corruption.levels[severity - 1],
                        'unit': corruption.unit,
                        'miou': number(mean_iou(counts)),
                        'pixel_accuracy': number(pixel_accuracy(counts)),
                        'clean_miou': number(mean_iou(np.sum(clean_counts, 0, np.int64))),
                    }
                )
            yield rows


def relative_miou(rows: Rows, complete: bool = True) -> dict[str, float | None] | None:
    """The share of the clean mIoU that remains under each corruption, averaged over severities.

    `mean` is over all corruptions, None unless they are complete. None without rows or clean mIoU.
    """
    shares: dict[str, list[float]] = {}
    for row in rows:
        if row['clean_miou']:
            shares.setdefault(row['corruption'], []).append(row['miou'] / row['clean_miou'])
    if not shares:
        return None
    means = {name: float(np.mean(values)) for name, values in shares.items()}
    return {'mean': float(np.mean([*means.values()])) if complete else None, **means}


def table(rows: Rows, relative: dict[str, float | None]) -> str:
    """Text for a terminal: mIoU at every severity, and relative mIoU."""
    lines = [f'{"mIoU %, severity":20}{"1":>8}{"2":>8}{"3":>8}{"kept %":>9}']
    for name, share in relative.items():
        mious = [f'{100 * row["miou"]:8.2f}' for row in rows if row['corruption'] == name]
        percent = '-' if share is None else f'{100 * share:.1f}'
        lines.append(f'{name:20}{"".join(mious):24}{percent:>9}')
    return '\n'.join([lines[0], *lines[2:], lines[1]])
