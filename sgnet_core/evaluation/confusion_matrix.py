# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores from one confusion matrix of exact pixel counts.

A labelled pixel that is predicted as unlabelled (255) counts in its row, so it lowers accuracy and
IoU of its class, but it is a false positive of no class. These pixels are `unpredicted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.evaluation.class_counts import (
    SCORES,
    class_accuracy,
    class_iou,
    count_classes,
    number,
)
from sgnet_core.labels import MAX_CLASSES
from sgnet_core.types import UNLABELLED

MAX_STRIP_PIXELS = 2**24
"""OpenCV counts in float32, which is exact up to here."""


class ConfusionMatrix:
    """Pixel counts of (true class, predicted class), summed over frames.

    Attributes:
        pixels: (C, C + 1) int64, rows truth, columns prediction; the last one is "unlabelled".

    Raises:
        InputError: no class, or more than a uint8 mask can hold.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        size = len(self.class_names)
        if not 1 <= size <= MAX_CLASSES:
            raise InputError(f'{size} classes; give 1 to {MAX_CLASSES} names')
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
        """Count one frame: (H, W) uint8 class ids, 255 = unlabelled, ignored in the truth.

        Raises:
            InputError: sizes or dtypes differ, or an id is not a class. Nothing is counted.
        """
        check_labels(truth, prediction, len(self.class_names))
        part = np.zeros(truth.shape, np.uint8)
        self.pixels += pixel_counts(truth, prediction, len(self.class_names), part, 1)[0]

    def add(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix, for example of another process.

        Raises:
            InputError: the matrices have different classes.
        """
        if other.class_names != self.class_names:
            raise InputError(
                f'cannot add counts of {len(other.class_names)} classes {other.class_names[:3]}... '
                f'to {len(self.class_names)} classes {self.class_names[:3]}...; '
                'the names and their order must be the same'
            )
        self.pixels += other.pixels

    def scores(self) -> dict[str, Any]:
        """The scores for JSON: fractions of 1, None where undefined."""
        counts = self.class_counts
        per_class = zip(self.class_names, map(number, class_iou(counts)), strict=True)
        return {
            **{key: number(score(counts)) for key, score in SCORES.items()},
            'per_class_iou': dict(per_class),
            'confusion': self.counts.tolist(),
            'unpredicted': self.unpredicted.tolist(),
        }

    def table(self) -> str:
        """Text for a terminal: a line per class, the most frequent first, then the averages."""
        counts = self.class_counts
        truth, total = counts[1], int(counts[1].sum())
        scores = {key: _percent(score(counts)) for key, score in SCORES.items()}
        width = max(len(name) for name in (*self.class_names, 'weighted by share'))
        lines = [f'{"class":{width}}    IoU %  accuracy %  share %']
        columns = class_iou(counts), class_accuracy(counts), truth / max(total, 1)
        for i in np.argsort(-truth, kind='stable'):
            iou, accuracy, share = (_percent(column[i]) for column in columns)
            lines.append(f'{self.class_names[i]:{width}}  {iou}     {accuracy}  {share}')
        lines.append('-' * len(lines[0]))
        lines.append(f'{"mean":{width}}  {scores["miou"]}     {scores["mean_accuracy"]}')
        lines.append(f'{"weighted by share":{width}}  {scores["frequency_weighted_iou"]}')
        lines.append(f'{"pixel accuracy":{width}}  {"":12}{scores["pixel_accuracy"]}')
        missing = int(self.unpredicted.sum())
        if missing:
            lines.append(f'{missing} of {total} labelled pixels have no prediction: counted wrong')
        return '\n'.join(lines)


def check_labels(truth: np.ndarray, prediction: np.ndarray, classes: int) -> None:
    """Raise InputError unless both are (H, W) uint8 class ids or 255, of one size."""
    if truth.shape != prediction.shape:
        raise InputError(
            f'truth is {truth.shape}, the prediction {prediction.shape}; a prediction must '
            'have the size of the labels'
        )
    for name, labels in (('truth', truth), ('prediction', prediction)):
        if labels.dtype != np.uint8:
            raise InputError(f'the {name} must be uint8 class ids, got {labels.dtype}')
        foreign = (labels >= classes) & (labels != UNLABELLED)
        if foreign.any():
            raise InputError(
                f'the {name} has class id {labels[foreign].max()}, but there are {classes} '
                f'classes; ids must be 0..{classes - 1}, or {UNLABELLED} for unlabelled'
            )


def pixel_counts(
    truth: np.ndarray, prediction: np.ndarray, classes: int, part: np.ndarray, parts: int
) -> np.ndarray:
    """(parts, C, C + 1) int64: one confusion matrix for each `part` (H, W) of an image."""
    # An unlabelled prediction becomes id C; an unlabelled truth stays 255, which is not counted.
    prediction = prediction - (prediction == UNLABELLED) * np.uint8(UNLABELLED - classes)
    return joint_counts([part, truth, prediction], [parts, classes, classes + 1])


def joint_counts(images: Sequence[np.ndarray], bins: Sequence[int]) -> np.ndarray:
    """Joint histogram of (H, W) uint8 in a third of the time of `np.bincount`: int64.

    `bins` is its shape: the number of values, from 0, of each image. Other pixels are left out.
    """
    counts = np.zeros(bins, np.int64)
    limits = [limit for size in bins for limit in (0, size)]
    strips = images[0].size // MAX_STRIP_PIXELS + 1
    for rows in zip(*(np.array_split(image, strips) for image in images), strict=True):
        if rows[0].size:
            histogram = cv2.calcHist(rows, [*range(len(bins))], None, list(bins), limits)
            counts += histogram.astype(np.int64).reshape(bins)
    return counts


def _percent(value: float) -> str:
    return f'{"-":>7}' if np.isnan(value) else f'{100 * value:7.2f}'
