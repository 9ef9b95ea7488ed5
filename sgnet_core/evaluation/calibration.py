# SPDX-License-Identifier: Apache-2.0
"""Calibration: of the pixels with confidence 0.8, four of five should be correct.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017), with their
15 bins. Confidence is counted in steps of 1/255, as the node publishes it, so counts are exact.
"""

from __future__ import annotations

from typing import Any

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.evaluation.confusion_matrix import joint_counts

BINS = 15
LEVELS = 256


def confidence_counts(
    confidence: np.ndarray, correct: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    """(2, LEVELS) int64: wrong and correct pixels of those counted at each level of confidence."""
    levels = cv2.convertScaleAbs(confidence, alpha=LEVELS - 1)
    return joint_counts([correct + ~counted * np.uint8(2), levels], [2, LEVELS])


def calibration(counts: np.ndarray) -> dict[str, Any] | None:
    """Expected calibration error (`ece`) and reliability curve, for JSON; None without a pixel.

    `confidence` and `accuracy` of a bin are means over its pixels, None if it has none.
    """
    total = int(counts.sum())
    if not total:
        return None
    levels = np.arange(LEVELS) / (LEVELS - 1)
    bin_of_level = np.minimum((levels * BINS + 1e-9).astype(int), BINS - 1)
    bins, error = [], 0.0
    for index in range(BINS):
        inside = bin_of_level == index
        pixels, correct = int(counts[:, inside].sum()), int(counts[1, inside].sum())
        confidence = float(counts[:, inside].sum(0) @ levels[inside])
        error += abs(correct - confidence) / total
        bins.append(
            {
                'from': index / BINS,
                'to': (index + 1) / BINS,
                'pixels': pixels,
                'confidence': confidence / pixels if pixels else None,
                'accuracy': correct / pixels if pixels else None,
            }
        )
    return {'ece': error, 'bins': bins}
