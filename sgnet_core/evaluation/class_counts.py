# SPDX-License-Identifier: Apache-2.0
"""Scores from a tally: how many pixels of each class were hit, are true, and were predicted.

A tally is (..., 3, C) whole numbers: hits (of the class and predicted as it), true (of the class),
predicted (as the class). Tallies of parts add up to that of the whole. Scores are float64, NaN
where nothing defines them. With TP, row and column of a confusion matrix:

    accuracy of a class = TP / row             IoU of a class = TP / (row + column - TP)

`mean_iou` is over classes that occur in truth or prediction (a class only predicted scores 0),
`mean_accuracy` over classes that occur in the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def tally_of(table: np.ndarray) -> np.ndarray:
    """(3, C) of a confusion table (..., C, C + 1), whose last column is "unlabelled"."""
    square = table[..., :-1]
    hits = np.diagonal(square, axis1=-2, axis2=-1)
    return np.stack([hits, table.sum(-1), square.sum(-2)], axis=-2)


def class_iou(tally: np.ndarray) -> np.ndarray:
    """(..., C)."""
    hits, true, predicted = np.moveaxis(tally, -2, 0)
    return _ratio(hits, true + predicted - hits)


def class_accuracy(tally: np.ndarray) -> np.ndarray:
    """(..., C)."""
    return _ratio(tally[..., 0, :], tally[..., 1, :])


def mean_iou(tally: np.ndarray) -> np.ndarray:
    """(...)."""
    return _mean(class_iou(tally))


def mean_accuracy(tally: np.ndarray) -> np.ndarray:
    """(...)."""
    return _mean(class_accuracy(tally))


def pixel_accuracy(tally: np.ndarray) -> np.ndarray:
    """(...): the share of labelled pixels that were hit."""
    hits, true = tally[..., 0, :].sum(-1), tally[..., 1, :].sum(-1)
    return _ratio(hits, true)


def frequency_weighted_iou(tally: np.ndarray) -> np.ndarray:
    """(...): IoU of the classes, weighted by their shares of the labelled pixels."""
    true = tally[..., 1, :]
    weighted = np.where(true > 0, true * np.nan_to_num(class_iou(tally)), 0.0).sum(-1)
    return _ratio(weighted, true.sum(-1))


SCORES = {
    'miou': mean_iou,
    'pixel_accuracy': pixel_accuracy,
    'mean_accuracy': mean_accuracy,
    'frequency_weighted_iou': frequency_weighted_iou,
}
"""The averages that every report has, by their key."""


def summary(tally: np.ndarray) -> dict[str, Any]:
    """Labelled pixels and the two figures of a part, for JSON."""
    return {
        'pixels': int(tally[1].sum()),
        'miou': number(mean_iou(tally)),
        'pixel_accuracy': number(pixel_accuracy(tally)),
    }


def number(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is not NaN; NaN where all is."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(-1))
