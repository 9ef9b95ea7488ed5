# SPDX-License-Identifier: Apache-2.0
"""Scores from the number of true positive, true and predicted pixels of each class.

Class counts are (..., 3, C) whole numbers: true positives, ground truth, predicted. Counts of parts
of an image add up to those of the whole. Scores (...) are float64, NaN where they are undefined:

    accuracy of a class = TP / truth         IoU of a class = TP / (truth + predicted - TP)

`mean_iou` is over classes that occur in truth or prediction (a class only predicted scores 0),
`mean_accuracy` over classes that occur in the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def count_classes(confusion: np.ndarray) -> np.ndarray:
    """(..., 3, C) of confusion matrices (..., C, C + 1), whose last column is "unlabelled"."""
    square = confusion[..., :-1]
    true_positives = np.diagonal(square, axis1=-2, axis2=-1)
    return np.stack([true_positives, confusion.sum(-1), square.sum(-2)], axis=-2)


def class_iou(counts: np.ndarray) -> np.ndarray:
    true_positives, truth, predicted = np.moveaxis(counts, -2, 0)
    return _ratio(true_positives, truth + predicted - true_positives)


def class_accuracy(counts: np.ndarray) -> np.ndarray:
    return _ratio(counts[..., 0, :], counts[..., 1, :])


def mean_iou(counts: np.ndarray) -> np.ndarray:
    return _nan_mean(class_iou(counts))


def mean_accuracy(counts: np.ndarray) -> np.ndarray:
    return _nan_mean(class_accuracy(counts))


def pixel_accuracy(counts: np.ndarray) -> np.ndarray:
    return _ratio(counts[..., 0, :].sum(-1), counts[..., 1, :].sum(-1))


def frequency_weighted_iou(counts: np.ndarray) -> np.ndarray:
    """IoU of the classes, weighted by their shares of the labelled pixels."""
    truth = counts[..., 1, :]
    weighted = np.where(truth > 0, truth * np.nan_to_num(class_iou(counts)), 0.0).sum(-1)
    return _ratio(weighted, truth.sum(-1))


SCORES = {
    'miou': mean_iou,
    'pixel_accuracy': pixel_accuracy,
    'mean_accuracy': mean_accuracy,
    'frequency_weighted_iou': frequency_weighted_iou,
}
"""JSON key -> score."""


def summary(counts: np.ndarray) -> dict[str, Any]:
    """Labelled pixels, mIoU and pixel accuracy, for JSON."""
    scores = {key: number(SCORES[key](counts)) for key in ('miou', 'pixel_accuracy')}
    return {'pixels': int(counts[1].sum()), **scores}


def number(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _nan_mean(values: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(-1))
