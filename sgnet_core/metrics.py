# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores from one confusion matrix of exact pixel counts.

    update (one frame) ─► counts ─► scores (for JSON), table (for people)

With TP, row (pixels of a class in the truth) and column (pixels predicted as it):
class accuracy = TP / row, IoU = TP / (row + column - TP).

A labelled pixel the network left unlabelled (255) is wrong: it is part of its row, so it lowers
accuracy and IoU of the class it is, but it is a false alarm for no class. Those pixels are counted
in `unpredicted`, beside the square matrix.

Averages: `miou` over classes that occur in truth or prediction (a class only predicted scores 0);
`mean_accuracy` over classes that occur in the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.labels import MAX_CLASSES
from sgnet_core.types import UNLABELLED


class ConfusionMatrix:
    """Pixel counts of (true class, predicted class), summed over frames.

    Attributes:
        class_names: C names.
        counts: (C, C) int64, rows truth, columns prediction.
        unpredicted: (C,) int64, pixels of each true class that were predicted as unlabelled.
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
        self.counts = np.zeros((size, size), np.int64)
        self.unpredicted = np.zeros(size, np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count one frame.

        Args:
            truth: (H, W) uint8 class ids; pixels of 255 are ignored.
            prediction: (H, W) uint8 class ids; 255 where the network says nothing.

        Raises:
            InputError: sizes or dtypes differ from that, or an id is no class. Nothing is counted.
        """
        size = len(self.class_names)
        if truth.shape != prediction.shape:
            raise InputError(
                f'truth is {truth.shape}, the prediction {prediction.shape}; a prediction must '
                'have the size of the labels'
            )
        self._check('truth', truth)
        self._check('prediction', prediction)
        # Unlabelled becomes id C: one more row, which is dropped, and one more column.
        pairs = np.minimum(truth, size).astype(np.int64) * (size + 1) + np.minimum(prediction, size)
        counts = np.bincount(pairs.ravel(), minlength=(size + 1) ** 2).reshape(size + 1, size + 1)
        self.counts += counts[:size, :size]
        self.unpredicted += counts[:size, size]

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
        self.counts += other.counts
        self.unpredicted += other.unpredicted

    def scores(self) -> dict[str, Any]:
        """The figures of the matrix, ready for JSON; fractions of 1, None where undefined."""
        total = int(self._true.sum())
        iou = self._iou()
        share = self._true / max(total, 1)
        return {
            'miou': _mean(iou),
            'pixel_accuracy': float(np.trace(self.counts) / total) if total else None,
            'mean_accuracy': _mean(self._accuracy()),
            'frequency_weighted_iou': float(np.nansum(share * iou)) if total else None,
            'per_class_iou': {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(self.class_names, iou, strict=True)
            },
            'confusion': self.counts.tolist(),
            'unpredicted': self.unpredicted.tolist(),
        }

    def table(self) -> str:
        """The figures for people: a line per class, the commonest first, then the averages."""
        scores, total = self.scores(), int(self._true.sum())
        width = max(len(name) for name in (*self.class_names, 'weighted by share'))
        rows = [f'{"class":{width}}    IoU %  accuracy %  share %']
        iou, accuracy = self._iou(), self._accuracy()
        for index in np.argsort(-self._true, kind='stable'):
            share = self._true[index] / total if total else None
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

    @property
    def _true(self) -> np.ndarray:
        """(C,) labelled pixels of each class."""
        return self.counts.sum(axis=1) + self.unpredicted

    def _iou(self) -> np.ndarray:
        hits = np.diag(self.counts)
        return _ratio(hits, self._true + self.counts.sum(axis=0) - hits)

    def _accuracy(self) -> np.ndarray:
        return _ratio(np.diag(self.counts), self._true)

    def _check(self, what: str, labels: np.ndarray) -> None:
        size = len(self.class_names)
        if labels.dtype != np.uint8:
            raise InputError(f'the {what} must be uint8 class ids, got {labels.dtype}')
        foreign = (labels >= size) & (labels != UNLABELLED)
        if foreign.any():
            raise InputError(
                f'the {what} has class id {labels[foreign].max()}, but there are {size} classes; '
                f'ids must be 0..{size - 1}, or {UNLABELLED} for unlabelled'
            )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """(C,) float64; NaN where the denominator is 0."""
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _mean(values: np.ndarray) -> float | None:
    """Of the values that are not NaN; None where all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def _percent(value: float | None) -> str:
    """`  71.3`, seven characters."""
    return f'{"-":>7}' if value is None or np.isnan(value) else f'{100 * value:7.2f}'
