# SPDX-License-Identifier: Apache-2.0
"""Which pixels lie near a boundary between classes, for Boundary IoU.

Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU" (CVPR 2021): the IoU of a class over only
those of its pixels, in truth and in prediction each, that are within 2 % of the image's diagonal
from a contour. Here nothing is a contour but where two classes meet: neither the edge of the image,
where things go on, nor that of unlabelled pixels.
"""

from __future__ import annotations

import math

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

DILATION_RATIO = 0.02
"""Of the image's diagonal, as in the paper: 16 pixels at 640x480."""


def boundary_region(labels: np.ndarray) -> np.ndarray:
    """Where another class is within reach, in rows or columns.

    Args:
        labels: (H, W) uint8 class ids, 255 = unlabelled.

    Returns:
        (H, W) bool; whatever it is at unlabelled pixels.
    """
    reach = max(round(DILATION_RATIO * math.hypot(*labels.shape)), 1)
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    # Unlabelled is above every id for the minimum, and wraps to 0, below all, for the maximum.
    lowest = cv2.erode(labels, window)
    highest = cv2.dilate(labels + np.uint8(1), window)
    return highest - np.uint8(1) != lowest
