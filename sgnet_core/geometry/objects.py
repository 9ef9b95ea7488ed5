# SPDX-License-Identifier: Apache-2.0
"""Objects: connected regions of a class, and the box of their points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import RgbdFrame, SegmentationResult

MIN_POINTS = 10
"""Fewest measured pixels of an object."""
MIN_SPREAD_M = 0.05
"""Depth this close to the median always belongs to the object."""
PERCENTILES = (2, 98)
"""Of the points, along each axis: the faces of the box."""


@dataclass(frozen=True)
class SceneObject:
    """One object.

    Attributes:
        class_id: id of its class.
        score: mean confidence of its pixels.
        center_m, size_m: (3,) float64, box along the axes x right, y down, z forward of the optical
            frame. Only the visible side of the object is in it.
    """

    class_id: int
    score: float
    center_m: np.ndarray
    size_m: np.ndarray


def find_objects(
    frame: RgbdFrame, result: SegmentationResult, class_ids: Iterable[int], min_pixels: int
) -> list[SceneObject]:
    """The connected regions (8 neighbours) of these classes, by class and size.

    Objects of one class that touch in the image are one region. Depth farther from the median of
    the region than three robust standard deviations (1.4826 MAD) is not of the object: background
    at its outline, or seen through it.

    Args:
        min_pixels: smallest region.
    """
    xyz = depth_to_xyz(frame.depth_m, frame.intrinsics)
    objects = []
    for class_id in sorted(set(class_ids) & set(np.unique(result.labels).tolist())):
        is_class = (result.labels == class_id).view(np.uint8)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(is_class, connectivity=8)
        by_size = (1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable')).tolist()
        for region in by_size:
            left, top, width, height, pixels = stats[region].tolist()
            if pixels < min_pixels:
                break
            window = np.s_[top : top + height, left : left + width]
            inside = regions[window] == region
            points = xyz[(slice(None), *window)][:, inside]
            points = points[:, np.isfinite(points[2])]
            if points.shape[1] < MIN_POINTS:
                continue
            away_m = np.abs(points[2] - np.median(points[2]))
            points = points[:, away_m <= max(3 * 1.4826 * np.median(away_m), MIN_SPREAD_M)]
            low, high = np.percentile(points, PERCENTILES, axis=1)
            score = float(result.confidence[window][inside].mean())
            objects.append(SceneObject(class_id, score, (low + high) / 2, high - low))
    return objects
