# SPDX-License-Identifier: Apache-2.0
"""Labels and confidence at the resolution of the frame, from class scores of the network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.model.sgnet import resize_scores
from sgnet_core.types import UNLABELLED

STRIP_ROWS = 32
"""Rows per strip: 40 score maps of a strip fit into the cache of a CPU."""


def most_probable_at(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`most_probable(resize_scores(scores, size))`, without all score maps at full size at once.

    Args:
        scores: (N, C, h, w), before softmax.
        size: (height, width) wanted.
    """
    scores = scores.float()
    if scores.device.type != 'cpu' or not scores.isfinite().all():
        # A GPU needs no strips; the products below would spread a NaN over the whole image.
        return most_probable(resize_scores(scores, size))
    # Bilinear interpolation along an axis is a product with a matrix of two factors a row.
    wide = scores @ _interpolation(scores, 3, size[1]).t()  # (N, C, h, W)
    rows = _interpolation(scores, 2, size[0])  # (H, h)
    strips = [most_probable(_interpolated(strip, wide)) for strip in rows.split(STRIP_ROWS)]
    labels, confidence = (torch.cat(parts, dim=1) for parts in zip(*strips, strict=True))
    return labels, confidence


def most_probable(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and its softmax probability.

    Args:
        scores: (N, C, H, W), before softmax; C at most 255.

    Returns:
        Class ids (N, H, W) uint8, the first of equals, and probabilities (N, H, W) float32; 255 and
        0 if a score is NaN.
    """
    classes = scores.shape[1]
    best = scores.amax(1, keepdim=True)
    # A third of the time of `max` with indices, which does not vectorise across channels.
    countdown = torch.arange(classes, 0, -1, device=scores.device, dtype=scores.dtype)
    is_best = torch.eq(scores, best, out=torch.empty_like(scores))  # 1.0 or 0.0
    first = is_best.mul_(countdown.view(1, -1, 1, 1)).amax(1)
    labels = torch.where(first > 0, classes - first, UNLABELLED).to(torch.uint8)
    confidence = 1 / (scores - best).exp_().sum(1)
    return labels, confidence.nan_to_num(nan=0.0)


def _interpolated(strip: Tensor, wide: Tensor) -> Tensor:
    """`strip @ wide`, computed with the rows of `wide` that the strip uses."""
    used = strip.any(0).nonzero()
    first, last = int(used[0]), int(used[-1])
    return strip[:, first : last + 1] @ wide[:, :, first : last + 1]


def _interpolation(scores: Tensor, axis: int, length: int) -> Tensor:
    """(length, size of `axis`): the factors of `F.interpolate` with align_corners=True."""
    identity = torch.eye(scores.shape[axis], device=scores.device)[None]
    return F.interpolate(identity, length, mode='linear', align_corners=True)[0].t()
