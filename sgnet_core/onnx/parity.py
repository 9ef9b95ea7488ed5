# SPDX-License-Identifier: Apache-2.0
"""Parity of an exported network and the PyTorch network, on frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from tqdm import tqdm

from sgnet_core.errors import InputError
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.preprocessing import InputSpec
from sgnet_core.types import Sample

Network = Callable[[Tensor, Tensor | None], Tensor]
"""(image, spatial) -> scores."""

MIN_EQUAL_LABELS = 0.999
"""Rounding alone changes a few pixels in a million."""


@dataclass(frozen=True)
class Parity:
    """Two networks on the same frames.

    Attributes:
        frames: how many.
        largest_difference, mean_difference: of scores before softmax; NaN where one is not finite.
        equal_labels: share of the pixels of the colour images that get the same class.
    """

    frames: int
    largest_difference: float
    mean_difference: float
    equal_labels: float

    @property
    def good(self) -> bool:
        """The networks are interchangeable."""
        return math.isfinite(self.largest_difference) and self.equal_labels >= MIN_EQUAL_LABELS


def compare(
    reference: Network, other: Network, spec: InputSpec, samples: Iterable[Sample], batch: int = 1
) -> Parity:
    """Run both on every frame, `batch` of them at a time.

    Args:
        spec: how both see a frame.
        samples: frames; the labels compared are at their full resolution.

    Raises:
        InputError: there is no frame.
    """
    frames = values = pixels = equal = 0
    largest = total = 0.0
    remaining = iter(tqdm(samples, 'parity', unit='frame', disable=None))
    while group := list(islice(remaining, batch)):
        with torch.inference_mode():
            images, spatials = zip(*(spec.preprocess(s.frame) for s in group), strict=True)
            inputs = torch.cat(images), None if spatials[0] is None else torch.cat(spatials)
            wanted, got = reference(*inputs).float(), other(*inputs).float()
            difference = (wanted - got).abs().double()
            # NaN survives neither `max` of Python nor a comparison; it does here.
            largest = float(torch.fmax(difference.max(), difference.new_tensor(largest)))
            total += float(difference.sum())
            for i, sample in enumerate(group):
                labels = [
                    resize_scores(s[i : i + 1], sample.frame.size).argmax(1) for s in (wanted, got)
                ]
                equal += int((labels[0] == labels[1]).sum())
                pixels += labels[0].numel()
        values += difference.numel()
        frames += len(group)
    if not frames:
        raise InputError('there is no frame to compare on; give at least one')
    mean = total / values
    return Parity(frames, largest if math.isfinite(mean) else math.nan, mean, equal / pixels)
