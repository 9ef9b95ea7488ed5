# SPDX-License-Identifier: Apache-2.0
"""Labels and confidence at the resolution of the frame, from class scores of the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.model.sgnet import resize_scores
from sgnet_core.types import UNLABELLED

STRIP_ROWS = 32
"""Rows per strip: 40 score maps of a strip fit into the cache of a CPU."""
CHUNK_PIXELS = 8192
"""Pixels whose 40 scores fit into the cache of a CPU."""


def most_probable_at(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Callable[[], Tensor]]:
    """`most_probable(resize_scores(scores, size))`, with less work on a CPU.

    Most consumers need no probabilities, which cost more than the classes. A function therefore
    computes them; it needs `scores` unchanged.

    Args:
        scores: (N, C, h, w), before softmax.
        size: (height, width) wanted.
    """
    scores = scores.float()
    if scores.device.type != 'cpu' or min(scores.shape[2:]) < 2 or not scores.isfinite().all():
        # A GPU needs no shortcuts; the products below would spread a NaN over the whole image.
        labels, confidence = most_probable(resize_scores(scores, size))
        return labels, lambda: confidence
    return torch.stack([_labels(image, size) for image in scores]), partial(
        _confidence, scores, size
    )


def _labels(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W) uint8, the best class of scores (C, h, w) after interpolation.

    A class that is best at the four corners of a cell is best in the whole cell, because all its
    pixels have the same four factors for all classes. Only the other cells are interpolated: along
    x where one of them needs the row, then along y.
    """
    classes, h, w = scores.shape
    width = size[1]
    corners = most_probable(scores[None])[0][0]
    right = corners[:, 1:] == corners[:, :-1]
    mixed = ~(right[1:] & right[:-1] & (corners[1:, 1:] == corners[:-1, 1:]))  # (h - 1, w - 1)
    (rows, row_factors), (columns, column_factors) = _neighbours(h, size[0]), _neighbours(w, width)
    labels = corners[:-1, :-1][:, columns][rows]

    mixed = mixed[:, columns]  # (h - 1, W)
    used = F.pad(mixed, (0, 0, 0, 1)) | F.pad(mixed, (0, 0, 1, 0))  # (h, W)
    used = used.view(-1).nonzero()[:, 0]
    y, x = used // width, used % width
    table = scores.permute(1, 2, 0).reshape(h * w, classes)
    first = y * w + columns[x]
    wide = _blend(table, first, first + 1, column_factors[x])  # (used, C)
    place = torch.empty(h * width, dtype=torch.int64)
    place[used] = torch.arange(len(used))

    for pixels in mixed[rows].view(-1).nonzero()[:, 0].split(CHUNK_PIXELS):
        y, x = pixels // width, pixels % width
        first = rows[y] * width + x
        values = _blend(wide, place[first], place[first + width], row_factors[y])
        labels.view(-1)[pixels] = _first_best(values, 1)[0]
    return labels


def _confidence(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W), the softmax probability of the best class after interpolation."""
    # Bilinear interpolation along an axis is a product with a matrix of two factors a row.
    wide = scores @ _interpolation(scores.shape[3], size[1]).t()  # (N, C, h, W)
    rows = _interpolation(scores.shape[2], size[0])  # (H, h)
    parts = []
    for factors in rows.split(STRIP_ROWS):
        strip = _interpolated(factors, wide)
        parts.append(_probability(strip, strip.amax(1, keepdim=True)))
    return torch.cat(parts, dim=1)


def probabilities_at(
    scores: Tensor, size: tuple[int, int], channels: list[int], stride: int = 1
) -> Tensor:
    """Probabilities of some classes, of which `most_probable_at` takes the largest.

    Args:
        scores: (1, C, h, w), before softmax.
        size: (height, width) of the image.
        channels: n of the C classes.
        stride: step between the rows and columns of the image that are returned.

    Returns:
        (height / stride, width / stride, n) float32, rounded up; 0 if a score is NaN.
    """
    scores = scores.float()
    rows, columns = (
        _interpolation(*sizes)[::stride].to(scores.device)
        for sizes in zip(scores.shape[2:], size, strict=True)
    )
    wide = scores @ columns.t()
    strips = rows.split(STRIP_ROWS)
    parts = [_interpolated(strip, wide).softmax(1)[0, channels] for strip in strips]
    return torch.cat(parts, dim=1).nan_to_num(nan=0.0).permute(1, 2, 0)


def most_probable(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and its softmax probability.

    Args:
        scores: (N, C, H, W), before softmax; C at most 255.

    Returns:
        Class ids (N, H, W) uint8, the first of equals, and probabilities (N, H, W) float32; 255 and
        0 if a score is NaN.
    """
    labels, best = _first_best(scores, 1)
    return labels, _probability(scores, best).nan_to_num(nan=0.0)


def _first_best(scores: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The first best class along `axis`, uint8 and 255 for NaN, and its score with the axis kept.

    It takes a third to a half of the time of `max` with indices, which is not vectorised.
    """
    classes = scores.shape[axis]
    best = scores.amax(axis, keepdim=True)
    countdown = torch.arange(classes, 0, -1, device=scores.device, dtype=scores.dtype)
    countdown = countdown.view(-1, *[1] * (scores.ndim - axis - 1))
    is_best = torch.eq(scores, best, out=torch.empty_like(scores))  # 1.0 or 0.0
    first = is_best.mul_(countdown).amax(axis)
    return torch.where(first > 0, classes - first, UNLABELLED).to(torch.uint8), best


def _probability(scores: Tensor, best: Tensor) -> Tensor:
    """Softmax probability of the class with the score `best`, (N, 1, H, W)."""
    return 1 / (scores - best).exp_().sum(1)


def _blend(rows: Tensor, first: Tensor, second: Tensor, factors: Tensor) -> Tensor:
    """(P, C): `rows` (R, C) at the indices `first` and `second`, weighted by `factors` (P, 2)."""
    indices = torch.stack((first, second), 1)
    return F.embedding_bag(indices, rows, mode='sum', per_sample_weights=factors)


def _interpolated(strip: Tensor, wide: Tensor) -> Tensor:
    """`strip @ wide`, computed with the rows of `wide` that the strip uses."""
    used = strip.any(0).nonzero()
    first, last = int(used[0]), int(used[-1])
    return strip[:, first : last + 1] @ wide[:, :, first : last + 1]


def _interpolation(size: int, length: int) -> Tensor:
    """(length, size): the factors of `F.interpolate` with align_corners=True."""
    identity = torch.eye(size)[None]
    return F.interpolate(identity, length, mode='linear', align_corners=True)[0].t()


def _neighbours(size: int, length: int) -> tuple[Tensor, Tensor]:
    """Index (length,) of the first of two neighbours, and both factors (length, 2)."""
    factors = _interpolation(size, length)
    first = (factors > 0).to(torch.uint8).argmax(1).clamp(max=size - 2)
    return first, factors.gather(1, torch.stack((first, first + 1), 1))
