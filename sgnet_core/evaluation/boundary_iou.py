# SPDX-License-Identifier: Apache-2.0
"""The pixels that count for Boundary IoU.

Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU" (CVPR 2021): the IoU over the pixels of
truth and prediction within 2 % of the image diagonal of a contour. Here only edges between two
classes are contours, not the edges of the image or of unlabelled pixels.
"""

from __future__ import annotations

import math

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

DILATION_RATIO = 0.02
"""Fraction of the image diagonal, as in the paper: 16 pixels at 640x480."""


def boundary_region(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: another class is within reach in rows or columns. Undefined where unlabelled."""
    reach = max(round(DILATION_RATIO * math.hypot(*labels.shape)), 1)
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    # 255 is above every id for the minimum, and wraps to 0, below every id, for the maximum.
    lowest = cv2.erode(labels, window)
    highest = cv2.dilate(labels + np.uint8(1), window)
    return highest - np.uint8(1) != lowest
