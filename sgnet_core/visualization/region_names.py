# SPDX-License-Identifier: Apache-2.0
"""Class names inside the regions of a picture: several of the 40 colours look alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.legend import printable

_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
_CELL = 4
"""Regions are measured at this fraction of the resolution: a tenth of the time."""
_SMALLEST_RADIUS = 12
"""Smallest radius, in pixels, of a circle inside a region that gets its name."""


def write_region_names(
    picture: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> np.ndarray:
    """Write the class name into each large enough region, in place, where the most room is.

    Args:
        picture: (H, W, 3) uint8.
        labels: (H, W) uint8 class ids, 255 = unlabelled.
    """
    cells = np.ascontiguousarray(labels[_CELL // 2 :: _CELL, _CELL // 2 :: _CELL])
    for index in np.unique(cells):
        if index == UNLABELLED:
            continue
        # Borders of the picture count as borders of the region.
        inside = np.pad((cells == index).view(np.uint8), 1)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        distance[distance * _CELL < _SMALLEST_RADIUS] = 0
        _, regions = cv2.connectedComponents(inside, connectivity=4)
        for region in np.unique(regions[distance > 0]):
            mask = (regions == region).view(np.uint8)
            _, _, _, (column, row) = cv2.minMaxLoc(distance, mask)
            centre = ((column - 0.5) * _CELL, (row - 0.5) * _CELL)
            _write_centred(picture, printable(class_names[index]), centre)
    return picture


def _write_centred(picture: np.ndarray, text: str, centre: tuple[float, float]) -> None:
    """White with a dark edge, and inside the picture if it fits."""
    (width, height), _ = cv2.getTextSize(text, _FONT, _SCALE, 1)
    left = int(np.clip(centre[0] - width / 2, 2, max(2, picture.shape[1] - width - 2)))
    base = int(centre[1] + height / 2)
    for color, stroke in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (left, base), _FONT, _SCALE, color, stroke, cv2.LINE_AA)
