# SPDX-License-Identifier: Apache-2.0
"""Runs a segmenter over labelled samples and counts: one implementation for data sets and bags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sgnet_core.data.sample import Sample
from sgnet_core.errors import InputError
from sgnet_core.labels import LabelSet
from sgnet_core.metrics import ConfusionMatrix

if TYPE_CHECKING:
    from sgnet_core.segmenter import Segmenter

PROTOCOL = 'single scale, full image, labels at the resolution of the colour image, 255 ignored'


def evaluate(
    segmenter: Segmenter,
    samples: Iterable[Sample],
    total: int | None = None,
    progress: bool = True,
) -> tuple[ConfusionMatrix, int]:
    """Count truth against prediction over every labelled pixel.

    Args:
        segmenter: whose classes are those of the labels.
        samples: each with labels.
        total: how many samples there are, for the progress bar.
        progress: show one where standard error is a terminal.

    Returns:
        The confusion matrix and the number of frames.

    Raises:
        InputError: a sample has no labels.
    """
    confusion = ConfusionMatrix(segmenter.class_names)
    frames = 0
    bar = tqdm(samples, 'evaluate', total, unit='frame', disable=None if progress else True)
    for sample in bar:
        if sample.labels is None:
            raise InputError(f'frame {sample.id} has no labels: there is nothing to compare with')
        confusion.update(sample.labels, segmenter.segment(sample.frame).labels)
        frames += 1
    return confusion, frames


def check_same_classes(
    segmenter: Segmenter | LabelSet, class_names: tuple[str, ...] | None, of: str
) -> None:
    """Raise InputError where the labels of `of` name other classes than the checkpoint's."""
    if class_names is None:
        raise InputError(f'{of} has no class names: there are no labels to compare with')
    if tuple(class_names) == segmenter.class_names:
        return
    if len(class_names) != len(segmenter.class_names):
        difference = f'{len(class_names)} classes against {len(segmenter.class_names)}'
    else:
        pairs = zip(class_names, segmenter.class_names, strict=True)
        i, (truth, known) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
        difference = f'class {i} is {truth!r} there and {known!r} here'
    raise InputError(
        f'{of} and the checkpoint are for other classes: {difference}; use a checkpoint trained '
        'on these classes'
    )


def report(confusion: ConfusionMatrix, frames: int) -> dict[str, Any]:
    """The figures of design section 7, ready for JSON."""
    return {**confusion.scores(), 'frames': frames, 'protocol': PROTOCOL}
