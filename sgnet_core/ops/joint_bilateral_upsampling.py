# SPDX-License-Identifier: Apache-2.0
"""Scores that follow the edges of colour and depth.

A network decides coarsely, at stride 8 or 16; where one thing ends and the next begins is seen in
the image. Joint bilateral upsampling (Kopf et al., SIGGRAPH 2007) averages the coarse scores of
neighbours that look alike and lie at one depth: like S-Conv a convolution whose weights are those
of the scene. Its window is wide and cheap: along columns, then along rows (Pham and van Vliet,
"Separable bilateral filtering for fast video preprocessing", ICME 2005), two neighbours at a time,
each time half as far away (Dammertz et al., "Edge-Avoiding À-Trous Wavelet Transform for fast
Global Illumination Filtering", HPG 2010, in the reverse order). How far does not weigh.

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
"""In standard deviations of the image, so that exposure and contrast do not matter."""
SPATIAL_BANDWIDTH = 0.1
"""Metres: of depth, or of the distance in space between points of XYZ. Of HHA 25 grey levels."""


def joint_bilateral_upsample(scores: Tensor, image: Tensor, spatial: Tensor | None) -> Tensor:
    """Scores at twice the resolution, averaged between pixels that look alike.

    A score that is no number reaches as far as the window, 15 pixels along each axis.

    Args:
        scores: (N, K, h, w).
        image: (N, 3, H, W), normalised in any way that is about alike for all channels.
        spatial: (N, c', h', w'), any resolution; None = colour alone.

    Returns:
        (N, K, 2 h, 2 w) float32.
    """
    size = (2 * scores.shape[2], 2 * scores.shape[3])
    # Where features are, at the centres of their pixels: aligned corners scored 0.1 points less.
    scores = F.interpolate(scores.float(), size, mode='bilinear', align_corners=False)
    # Channels last, as convolutions give them, are slow to take rows and columns of.
    scores = scores.contiguous()
    features = _features(image, spatial, size)
    for distance in DISTANCES_PX:
        for axis in (2, 3):
            scores = _average(scores, features, axis, distance)
    return scores


def _average(scores: Tensor, features: Tensor, axis: int, distance: int) -> Tensor:
    """Of every pixel and its two neighbours, each as much as it looks like the pixel."""
    length = scores.shape[axis]
    features, padded = (_padded(x, axis, distance) for x in (features, scores))
    # Each pair is compared once: what is after one pixel is before the other.
    pairs = length + distance
    difference = features.narrow(axis, distance, pairs) - features.narrow(axis, 0, pairs)
    alike = difference.square().sum(1, keepdim=True).mul(-0.5).exp()
    before, after = (alike.narrow(axis, start, length) for start in (0, distance))  # (N, 1, h, w)
    total = (
        scores
        + before * padded.narrow(axis, 0, length)
        + after * padded.narrow(axis, 2 * distance, length)
    )
    return total / (1 + before + after)


def _features(image: Tensor, spatial: Tensor | None, size: tuple[int, int]) -> Tensor:
    """(N, 3 + c', *size): what pixels are compared by, in bandwidths."""
    image = _resized(image, size)
    deviation = image.var((2, 3), correction=0, keepdim=True).mean(1, keepdim=True).sqrt()
    # An image of one colour has no edges. Half precision, too, can divide by this.
    image = image / (COLOUR_BANDWIDTH * deviation.clamp(min=1e-3))
    if spatial is None:
        return image
    return torch.cat([image, _resized(spatial, size) / SPATIAL_BANDWIDTH], 1)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """As seen where `resize_scores` puts each of the scores: corners aligned."""
    return F.interpolate(x.float(), size, mode='bilinear', align_corners=True)


def _padded(x: Tensor, axis: int, distance: int) -> Tensor:
    """Longer at both ends, by the pixels at the border."""
    margin = (0, 0, distance, distance) if axis == 2 else (distance, distance, 0, 0)
    return F.pad(x, margin, mode='replicate')
