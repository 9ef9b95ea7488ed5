# SPDX-License-Identifier: Apache-2.0
"""Joint bilateral upsampling: scores follow the edges of colour and depth.

Kopf et al., "Joint Bilateral Upsampling" (SIGGRAPH 2007), averages the coarse scores of neighbours
with similar colour and depth. The filter is separable (Pham and van Vliet, "Separable bilateral
filtering for fast video preprocessing", ICME 2005) and takes two neighbours per step at halving
distances (Dammertz et al., "Edge-Avoiding À-Trous Wavelet Transform for fast Global Illumination
Filtering", HPG 2010, in reverse order). Distance has no weight of its own.

It has no weights and is linear in the scores: any network runs with or without it, and can be
trained through it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

DISTANCES_PX = (8, 4, 2, 1)
"""Distances to the two neighbours along each axis, step by step, in pixels of the result."""

# Chosen on `val` with three networks (RESULTS.md); half or twice the value is little worse.
COLOUR_BANDWIDTH = 0.15
"""Standard deviations of the image, which makes it independent of exposure and contrast."""
SPATIAL_BANDWIDTH = 0.1
"""Metres of depth, or of distance between XYZ points; 25 grey levels of HHA."""


def joint_bilateral_upsample(scores: Tensor, image: Tensor, spatial: Tensor | None) -> Tensor:
    """Scores at twice the resolution, averaged between similar pixels.

    A NaN score propagates over the filter window (15 px per axis).

    Args:
        scores: (N, K, h, w) float.
        image: (N, 3, H, W) float, normalised; channels need about the same scale.
        spatial: (N, c', h', w') float, any resolution; None = colour only.

    Returns:
        (N, K, 2 h, 2 w) float32.
    """
    size = (2 * scores.shape[2], 2 * scores.shape[3])
    # Features are at pixel centres: aligned corners scored 0.1 points less.
    scores = F.interpolate(scores.float(), size, mode='bilinear', align_corners=False)
    # Rows and columns of channels-last scores are slow to access.
    scores = scores.contiguous()
    features = _features(image, spatial, size)
    for distance in DISTANCES_PX:
        for axis in (2, 3):
            scores = _average(scores, features, axis, distance)
    return scores


def _average(scores: Tensor, features: Tensor, axis: int, distance: int) -> Tensor:
    """Mean of every pixel and its two neighbours, weighted by similarity to the pixel."""
    weights = _weights(features, axis, distance)
    if not torch.compiler.is_compiling():
        return _WeightedMean.apply(scores, *weights, axis, distance)
    # A graph, compiled or exported, has no changes in place.
    own, before, after = weights
    padded, length = _padded(scores, axis, distance), scores.shape[axis]
    earlier, later = (padded.narrow(axis, start, length) for start in (0, 2 * distance))
    return own * scores + before * earlier + after * later


def _weights(features: Tensor, axis: int, distance: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (N, 1, h, w) of a pixel, of the neighbour before it and of that after it; sum 1."""
    length = features.shape[axis]
    features = _padded(features, axis, distance)
    # Each pair is compared once, for both of its pixels.
    pairs = length + distance
    difference = features.narrow(axis, distance, pairs) - features.narrow(axis, 0, pairs)
    exponent = difference.square().sum(1, keepdim=True).mul(-0.5)
    # Smaller results are denormal numbers, which take a CPU ten times as long, and count no more.
    alike = exponent.clamp(min=-50).exp()
    before, after = (alike.narrow(axis, start, length) for start in (0, distance))
    own = 1 / (1 + before + after)
    return own, before * own, after * own


def _padded(x: Tensor, axis: int, distance: int) -> Tensor:
    margin = (0, 0, distance, distance) if axis == 2 else (distance, distance, 0, 0)
    return F.pad(x, margin, mode='replicate')


class _WeightedMean(torch.autograd.Function):
    """own * score + before * score of the earlier neighbour + after * score of the later one.

    Changes in place take a third of the time of the same sum in the graph. The weights have no
    gradient: they depend on the inputs of the network alone.
    """

    @staticmethod
    def forward(ctx, scores, own, before, after, axis, distance):
        ctx.save_for_backward(own, before, after)
        ctx.axis, ctx.distance = axis, distance
        mean = own * scores
        for weight, pixels, neighbours in _neighbours(before, after, axis, distance):
            part = mean.narrow(axis, *pixels)
            part.addcmul_(weight.narrow(axis, *pixels), scores.narrow(axis, *neighbours))
        return mean

    @staticmethod
    def backward(ctx, grad):
        own, before, after = ctx.saved_tensors
        axis = ctx.axis
        grad_scores = own * grad
        for weight, pixels, neighbours in _neighbours(before, after, axis, ctx.distance):
            part = grad_scores.narrow(axis, *neighbours)
            terms = weight.narrow(axis, *pixels), grad.narrow(axis, *pixels)
            if part.shape == terms[1].shape:
                part.addcmul_(*terms)
            else:
                part.add_(torch.mul(*terms).sum(axis, keepdim=True))
        return grad_scores, None, None, None, None, None


def _neighbours(before: Tensor, after: Tensor, axis: int, distance: int) -> Iterator[tuple]:
    """Weight, (start, length) of pixels along `axis`, and that of their neighbours.

    Pixels near the border share one neighbour, the pixel at the border.
    """
    length = before.shape[axis]
    edge = min(distance, length)
    inner = length - edge
    yield before, (edge, inner), (0, inner)
    yield before, (0, edge), (0, 1)
    yield after, (0, inner), (edge, inner)
    yield after, (inner, edge), (length - 1, 1)


def _features(image: Tensor, spatial: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Features (N, 3 + c', *size) of the comparison, in units of bandwidth."""
    image = _resized(image, size)
    deviation = image.var((2, 3), correction=0, keepdim=True).mean(1, keepdim=True).sqrt()
    # Clamped for images of one colour, to a value that half precision can divide by.
    image = image / (COLOUR_BANDWIDTH * deviation.clamp(min=1e-3))
    if spatial is None:
        return image
    return torch.cat([image, _resized(spatial, size) / SPATIAL_BANDWIDTH], 1)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resized with aligned corners, as `resize_scores` places the scores."""
    return F.interpolate(x.float(), size, mode='bilinear', align_corners=True)
