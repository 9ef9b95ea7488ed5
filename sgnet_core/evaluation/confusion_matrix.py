# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores from one confusion matrix of exact pixel counts.

    update (one frame) ─► counts ─► scores (for JSON), table (for people)

A labelled pixel the network left unlabelled (255) is wrong: it is part of its row, so it lowers
accuracy and IoU of the class it is, but it is a false alarm for no class. Those pixels are counted
in `unpredicted`, beside the square matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.class_counts import (
    SCORES,
    class_accuracy,
    class_iou,
    count_classes,
    number,
)
from sgnet_core.evaluation.histogram import joint_counts
from sgnet_core.labels import MAX_CLASSES
from sgnet_core.types import UNLABELLED


class ConfusionMatrix:
    """Pixel counts of (true class, predicted class), summed over frames.

    Attributes:
        class_names: C names.
        pixels: (C, C + 1) int64, rows truth, columns prediction; the last one is "unlabelled".
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        """Start at zero.

        Raises:
            InputError: no class, or more than a uint8 mask can hold.
        """
        self.class_names = tuple(class_names)
        if not 1 <= len(self.class_names) <= MAX_CLASSES:
            raise InputError(f'{len(self.class_names)} classes; give 1 to {MAX_CLASSES} names')
        size = len(self.class_names)
        self.pixels = np.zeros((size, size + 1), np.int64)

    @property
    def counts(self) -> np.ndarray:
        """(C, C) int64, the square part of `pixels`."""
        return self.pixels[:, :-1]

    @property
    def unpredicted(self) -> np.ndarray:
        """(C,) int64, pixels of each true class that were predicted as unlabelled."""
        return self.pixels[:, -1]

    @property
    def class_counts(self) -> np.ndarray:
        """(3, C) int64, see `class_counts.py`."""
        return count_classes(self.pixels)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count one frame.

        Args:
            truth: (H, W) uint8 class ids; pixels of 255 are ignored.
            prediction: (H, W) uint8 class ids; 255 where the network says nothing.

        Raises:
            InputError: sizes or dtypes differ from that, or an id is no class. Nothing is counted.
        """
        check_labels(truth, prediction, len(self.class_names))
        one = np.zeros(truth.shape, np.uint8)
        self.pixels += pixel_counts(truth, prediction, len(self.class_names), one, 1)[0]

    def add(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix, for example of another process.

        Raises:
            InputError: it is of other classes.
        """
        if other.class_names != self.class_names:
            raise InputError(
                f'cannot add counts of {len(other.class_names)} classes {other.class_names[:3]}... '
                f'to {len(self.class_names)} classes {self.class_names[:3]}...; '
                'the names and their order must be the same'
            )
        self.pixels += other.pixels

    def scores(self) -> dict[str, Any]:
        """The metrics of the matrix, ready for JSON; fractions of 1, None where undefined."""
        class_counts = self.class_counts
        per_class = zip(self.class_names, map(number, class_iou(class_counts)), strict=True)
        return {
            **{key: number(score(class_counts)) for key, score in SCORES.items()},
            'per_class_iou': dict(per_class),
            'confusion': self.counts.tolist(),
            'unpredicted': self.unpredicted.tolist(),
        }

    def table(self) -> str:
        """The metrics for people: a line per class, the commonest first, then the averages."""
        class_counts, scores = self.class_counts, self.scores()
        true = class_counts[1]
        total = int(true.sum())
        width = max(len(name) for name in (*self.class_names, 'weighted by share'))
        rows = [f'{"class":{width}}    IoU %  accuracy %  share %']
        iou, accuracy = class_iou(class_counts), class_accuracy(class_counts)
        for index in np.argsort(-true, kind='stable'):
            share = true[index] / total if total else None
            rows.append(
                f'{self.class_names[index]:{width}}  {_percent(iou[index])}     '
                f'{_percent(accuracy[index])}  {_percent(share)}'
            )
        rows.append('-' * len(rows[0]))
        rows.append(
            f'{"mean":{width}}  {_percent(scores["miou"])}     {_percent(scores["mean_accuracy"])}'
        )
        weighted = scores['frequency_weighted_iou']
        rows.append(f'{"weighted by share":{width}}  {_percent(weighted)}')
        rows.append(f'{"pixel accuracy":{width}}  {"":12}{_percent(scores["pixel_accuracy"])}')
        missing = int(self.unpredicted.sum())
        if missing:
            rows.append(f'{missing} of {total} labelled pixels have no prediction: counted wrong')
        return '\n'.join(rows)


def check_labels(truth: np.ndarray, prediction: np.ndarray, classes: int) -> None:
    """Raise InputError unless they are class ids or 255, (H, W) uint8 of one size."""
    if truth.shape != prediction.shape:
        raise InputError(
            f'truth is {truth.shape}, the prediction {prediction.shape}; a prediction must '
            'have the size of the labels'
        )
    _check_ids('truth', truth, classes)
    _check_ids('prediction', prediction, classes)


def pixel_counts(
    truth: np.ndarray, prediction: np.ndarray, classes: int, part: np.ndarray, parts: int
) -> np.ndarray:
    """How many pixels of each part of an image are of which class and predicted as which.

    Args:
        truth, prediction: as `check_labels` allows them.
        classes: C, how many there are.
        part: (H, W) uint8, which of `parts` a pixel is in.

    Returns:
        (parts, C, C + 1) int64, rows truth, columns prediction, the last one "unlabelled".
    """
    # An unlabelled prediction becomes id C; an unlabelled truth stays 255, which is not counted.
    prediction = prediction - (prediction == UNLABELLED) * np.uint8(UNLABELLED - classes)
    return joint_counts([part, truth, prediction], [parts, classes, classes + 1])


def _check_ids(what: str, labels: np.ndarray, classes: int) -> None:
    if labels.dtype != np.uint8:
        raise InputError(f'the {what} must be uint8 class ids, got {labels.dtype}')
    foreign = (labels >= classes) & (labels != UNLABELLED)
    if foreign.any():
        raise InputError(
            f'the {what} has class id {labels[foreign].max()}, but there are {classes} classes; '
            f'ids must be 0..{classes - 1}, or {UNLABELLED} for unlabelled'
        )


def _percent(value: float | None) -> str:
    """`  71.3`, seven characters."""
    return f'{"-":>7}' if value is None or np.isnan(value) else f'{100 * value:7.2f}'
