# SPDX-License-Identifier: Apache-2.0
"""Scores that follow the edges of colour and depth.

A network decides coarsely, at stride 8 or 16; where one thing ends and the next begins is seen in
the image. Joint bilateral upsampling (Kopf et al., SIGGRAPH 2007) averages the coarse scores of
neighbours that look alike and lie at one depth: like S-Conv a convolution whose weights are those
of the scene. Its window is wide and cheap: along columns, then along rows (Pham and van Vliet,
"Separable bilateral filtering for fast video preprocessing", ICME 2005), two neighbours at a time,
at half the distance of the time before (Dammertz et al., "Edge-Avoiding À-Trous Wavelet Transform
for fast Global Illumination Filtering", HPG 2010).

Nothing here is learned, and it is linear in the scores: any network can be run with or without it,
and be trained through it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DISTANCES_PX = (8, 4, 2, 1)
"""To the two neighbours along each axis, one step after the other, in pixels of the result."""

# Chosen on `val`, with three networks (RESULTS.md); half or twice as much is little worse.
COLOUR_BANDWIDTH = 0.15
"""In standard deviations of the image, so that normalisation and exposure do not matter."""
SPATIAL_BANDWIDTH = 0.1
"""Metres of depth or XYZ; 25 grey levels of HHA."""


def joint_bilateral_upsample(scores: Tensor, image: Tensor, spatial: Tensor | None) -> Tensor:
    """Scores at twice the resolution, averaged between pixels that look alike.

    Args:
        scores: (N, K, h, w).
        image: (N, 3, H, W), normalised in any way.
        spatial: (N, c', h', w'), any resolution; None = colour alone.

    Returns:
        (N, K, 2 h, 2 w) float32.
    """
    size = (2 * scores.shape[2], 2 * scores.shape[3])
    scores = _resized(scores, size).contiguous()
    look = _look(image, spatial, size)  # (N, 3 + c', 2h, 2w)
    for distance in DISTANCES_PX:
        for axis in (2, 3):
            scores = _average(scores, look, axis, distance)
    return scores


def _average(scores: Tensor, look: Tensor, axis: int, distance: int) -> Tensor:
    """Of every pixel and its two neighbours, each as much as it looks like the pixel."""
    total, weight = scores, torch.ones_like(scores[:, :1])
    neighbours = zip(
        _neighbours(look, axis, distance), _neighbours(scores, axis, distance), strict=True
    )
    for their_look, their_scores in neighbours:
        alike = (their_look - look).square().sum(1, keepdim=True).mul(-0.5).exp()  # (N, 1, h, w)
        total = total + alike * their_scores
        weight = weight + alike
    return total / weight


def _look(image: Tensor, spatial: Tensor | None, size: tuple[int, int]) -> Tensor:
    """What pixels are compared by, in bandwidths."""
    image = _resized(image, size)
    deviation = image.std((1, 2, 3), correction=0, keepdim=True).clamp(min=1e-6)
    look = image / (COLOUR_BANDWIDTH * deviation)
    if spatial is None:
        return look
    return torch.cat([look, _resized(spatial, size) / SPATIAL_BANDWIDTH], 1)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x.float(), size, mode='bilinear', align_corners=False)


def _neighbours(x: Tensor, axis: int, distance: int) -> tuple[Tensor, Tensor]:
    """Those before and after every pixel; beyond the border, the last one inside."""
    length = x.shape[axis]
    margin = (0, 0, distance, distance) if axis == 2 else (distance, distance, 0, 0)
    x = F.pad(x, margin, mode='replicate')
    return x.narrow(axis, 0, length), x.narrow(axis, 2 * distance, length)
