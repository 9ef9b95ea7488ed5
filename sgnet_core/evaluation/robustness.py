# SPDX-License-Identifier: Apache-2.0
"""How much of its mIoU a network keeps when colour or depth are worse than they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sgnet_core.data.sample import Sample
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.evaluation.evaluation import Evaluation
from sgnet_core.evaluation.run import evaluate
from sgnet_core.evaluation.tally import mean_iou, number, pixel_accuracy

if TYPE_CHECKING:
    from sgnet_core.segmenter import Segmenter

Rows = Sequence[dict[str, Any]]


def measure_robustness(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    indices: Sequence[int],
    film: bool,
    whole: Callable[[Evaluation], Evaluation] = lambda evaluation: evaluation,
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Evaluate every corruption at every severity: a row for each, as soon as it is known.

    Args:
        samples: with labels; each is read many times.
        indices: of those to use.
        film: they are neighbours in time, so that depth can be late.
        whole: from the counts of these indices to those of all processes that share the work.
        progress: show a bar where standard error is a terminal.
    """
    chosen = {name: c for name, c in CORRUPTIONS.items() if film or c.change is not None}
    total = len(chosen) * len(SEVERITIES) * len(indices)
    hidden = None if progress else True
    with tqdm(total=total, desc='robustness', unit='frame', disable=hidden) as bar:
        for name, corruption in chosen.items():
            for severity in SEVERITIES:
                evaluation = evaluate(
                    segmenter,
                    # Read before the loop goes on to the next.
                    (corruption.apply(samples, i, severity) for i in indices),
                    progress=False,
                    watch=lambda *_: bar.update(),
                )
                tally = whole(evaluation).confusion.tally
                yield {
                    'corruption': name,
                    'severity': severity,
                    'level': corruption.levels[severity - 1],
                    'unit': corruption.unit,
                    'miou': number(mean_iou(tally)),
                    'pixel_accuracy': number(pixel_accuracy(tally)),
                }


def retained(rows: Rows, miou: float | None) -> dict[str, float] | None:
    """The share of `miou`, that of clean frames, which is left with each corruption.

    A mean over its severities; `mean` is that over all corruptions: the one summary figure. None
    without rows, and where there is nothing to keep.
    """
    if not rows or not miou:
        return None
    shares: dict[str, list[float]] = {}
    for row in rows:
        shares.setdefault(row['corruption'], []).append(row['miou'] / miou)
    means = {name: float(np.mean(values)) for name, values in shares.items()}
    return {'mean': float(np.mean([*means.values()])), **means}


def table(rows: Rows, kept: dict[str, float]) -> str:
    """For people: mIoU at every severity, and what `retained` says."""
    lines = [f'{"mIoU %, severity":20}{"1":>8}{"2":>8}{"3":>8}{"kept %":>9}']
    for name, share in kept.items():
        found = [f'{100 * row["miou"]:8.2f}' for row in rows if row['corruption'] == name]
        lines.append(f'{name:20}{"".join(found):24}{100 * share:9.1f}')
    return '\n'.join([lines[0], *lines[2:], lines[1]])
