# SPDX-License-Identifier: Apache-2.0
"""Whether confidence means what it says: of pixels with 0.8, four of five should be right.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017), with their
15 bins. Confidence is counted in steps of 1/255, as the node publishes it, so that all counts are
whole numbers.
"""

from __future__ import annotations

from typing import Any

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.evaluation.histogram import joint_counts

BINS = 15
LEVELS = 256


def confidence_counts(confidence: np.ndarray, right: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many pixels have each level of confidence, the wrong ones and the right ones.

    Args:
        confidence: (H, W) float32 in [0, 1].
        right: (H, W) bool.
        counted: (H, W) bool; others are left out.

    Returns:
        (2, LEVELS) int64: wrong, right.
    """
    levels = cv2.convertScaleAbs(confidence, alpha=LEVELS - 1)
    kind = right + ~counted * np.uint8(2)
    return joint_counts([kind, levels], [2, LEVELS])


def calibration(counts: np.ndarray) -> dict[str, Any] | None:
    """Expected calibration error and reliability curve of summed counts, for JSON.

    `confidence` and `accuracy` of a bin are means over its pixels, None where it has none; `ece` is
    the mean of their differences over all pixels. None without a pixel.
    """
    total = int(counts.sum())
    if not total:
        return None
    levels = np.arange(LEVELS) / (LEVELS - 1)
    bin_of_level = np.minimum((levels * BINS + 1e-9).astype(int), BINS - 1)
    bins, error = [], 0.0
    for index in range(BINS):
        part = bin_of_level == index
        pixels, right = int(counts[:, part].sum()), int(counts[1, part].sum())
        confidence = float(counts[:, part].sum(0) @ levels[part])
        error += abs(right - confidence) / total
        bins.append(
            {
                'from': index / BINS,
                'to': (index + 1) / BINS,
                'pixels': pixels,
                'confidence': confidence / pixels if pixels else None,
                'accuracy': right / pixels if pixels else None,
            }
        )
    return {'ece': error, 'bins': bins}
