# SPDX-License-Identifier: Apache-2.0
"""Fills missing depth from the measurements around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_missing_depth(depth_m: Tensor) -> Tensor:
    """Interpolate missing depth smoothly.

    Pull-push (Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4):
    measurements are averaged to half the size until none is missing; on the way back each level
    takes its missing values from the next smaller one.

    Args:
        depth_m: (..., H, W) float32 metres; not finite means no measurement.

    Returns:
        The same shape. Measurements are unchanged; an image without measurements is all NaN.
    """
    image = torch.where(depth_m.isfinite(), depth_m, torch.nan)
    image = image.reshape(-1, 1, *depth_m.shape[-2:])
    levels = [image]
    while max(image.shape[-2:]) > 1:
        share, total = (
            F.avg_pool2d(part, 2, ceil_mode=True)
            for part in ((~image.isnan()).to(image.dtype), image.nan_to_num(0.0))
        )
        image = total / share  # NaN if all four are missing
        levels.append(image)
    while len(levels) > 1:
        coarse, fine = levels.pop(), levels[-1]
        spread = F.interpolate(coarse, fine.shape[-2:], mode='bilinear', align_corners=False)
        levels[-1] = torch.where(fine.isnan(), spread, fine)
    return levels[0].reshape(depth_m.shape)
