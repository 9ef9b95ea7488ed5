# SPDX-License-Identifier: Apache-2.0
"""Plausible depth where the camera measured none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_missing_depth(depth_m: Tensor) -> Tensor:
    """Continue the measurements around a hole smoothly into it.

    Pull-push (Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4):
    what has a value is averaged to half the size until nothing is missing, and on the way back
    each level takes what it misses from the next smaller one.

    Args:
        depth_m: (..., H, W) float32 metres, not finite = no measurement.

    Returns:
        The same shape. Measurements stay exactly as they are; an image without any is all NaN.
    """
    image = torch.where(depth_m.isfinite(), depth_m, torch.nan)
    image = image.reshape(-1, 1, *depth_m.shape[-2:])
    levels = [image]
    while max(image.shape[-2:]) > 1:
        share, total = (
            F.avg_pool2d(part, 2, ceil_mode=True)
            for part in ((~image.isnan()).to(image.dtype), image.nan_to_num(0.0))
        )
        image = total / share  # NaN again where nothing is measured
        levels.append(image)
    while len(levels) > 1:
        coarse, fine = levels.pop(), levels[-1]
        spread = F.interpolate(coarse, fine.shape[-2:], mode='bilinear', align_corners=False)
        levels[-1] = torch.where(fine.isnan(), spread, fine)
    return levels[0].reshape(depth_m.shape)
