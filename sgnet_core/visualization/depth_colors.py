# SPDX-License-Identifier: Apache-2.0
"""Depth in colours."""

from __future__ import annotations

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

NO_DEPTH = (40, 40, 40)
_TURBO_RANGE = (24, 240)
"""Part of the colour map: its dark ends look like missing depth."""


def depth_to_rgb(
    depth_m: np.ndarray, near_m: float | None = None, far_m: float | None = None
) -> np.ndarray:
    """(H, W) float32 metres, NaN = no measurement, to (H, W, 3) uint8 RGB.

    Near is blue, far is red, no measurement is dark grey. Without `near_m` and `far_m` the colours
    span the 2nd to the 98th percentile: a few flying pixels must not squeeze the rest together.
    """
    measured = np.isfinite(depth_m)
    if not measured.any():
        return np.full((*depth_m.shape, 3), NO_DEPTH, np.uint8)
    low, high = np.percentile(depth_m[measured], (2, 98)) if far_m is None else (near_m, far_m)
    grey = (np.where(measured, depth_m, low) - low) / max(high - low, 1e-6)
    grey = np.rint(np.interp(grey, (0, 1), _TURBO_RANGE)).astype(np.uint8)
    rgb = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    rgb[~measured] = NO_DEPTH
    return rgb
