# SPDX-License-Identifier: Apache-2.0
"""A segmenter that looks at a frame at several scales, mirrored as well, and averages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
import cv2

from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.errors import InputError
from sgnet_core.evaluation.evaluation import PROTOCOL
from sgnet_core.inference.postprocessing import most_probable
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.preprocessing import SIZE_MULTIPLE
from sgnet_core.types import Gravity, RgbdFrame, SegmentationResult

SCALES = 0.25, 4.0
"""The smallest and the largest that are allowed."""


class MultiScaleSegmenter:
    """Used as a `Segmenter`: class probabilities are the means over all views.

    Attributes:
        description: one line for a log.
    """

    def __init__(self, segmenters: Sequence[Segmenter], flip: bool) -> None:
        """Average `segmenters` of one network at several input sizes.

        Args:
            flip: let each see the mirrored frame, too.
        """
        self._segmenters, self._mirrored = segmenters, (False, True) if flip else (False,)
        sizes = [f'{s.input_spec.width}x{s.input_spec.height}' for s in segmenters]
        also = ' and mirrored' if flip else ''
        self.description = f'{segmenters[0].description}; mean of inputs {", ".join(sizes)}{also}'

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of class id i at index i."""
        return self._segmenters[0].class_names

    @property
    def label_set(self) -> LabelSet:
        """The classes and their colours."""
        return self._segmenters[0].label_set

    @property
    def device(self) -> str:
        """As resolved, for example `cuda:0`."""
        return self._segmenters[0].device

    def segment(self, frame: RgbdFrame) -> SegmentationResult:
        """The most probable class of every pixel of `frame`, and its mean probability."""
        total = None
        with torch.inference_mode():
            for segmenter in self._segmenters:
                for mirrored in self._mirrored:
                    scores = segmenter.scores(mirror(frame) if mirrored else frame)
                    scores = scores.flip(3) if mirrored else scores
                    view = resize_scores(scores, frame.size).softmax(1)
                    total = view if total is None else total.add_(view)
            # Logarithms of probabilities are scores: their softmax is the probabilities.
            labels, confidence = most_probable(total.log_())
        return SegmentationResult(
            labels[0].cpu().numpy(), confidence[0].cpu().numpy(), self.class_names
        )


def load_segmenter(
    checkpoint: str | Path | None,
    scales: Sequence[float],
    flip: bool,
    device: str = 'auto',
    precision: str = 'auto',
    backend: str = 'auto',
) -> Segmenter | MultiScaleSegmenter:
    """A checkpoint at these scales of its input size, rounded to multiples of 32.

    Raises:
        InputError: a scale is beyond `SCALES`, or of an exported network, whose size is fixed; or
            see `Segmenter.from_checkpoint`.
    """
    options = device, precision, backend
    if list(scales) == [1.0]:
        segmenters = [Segmenter.from_checkpoint(checkpoint, *options)]
        return MultiScaleSegmenter(segmenters, flip) if flip else segmenters[0]
    for scale in scales:
        if not SCALES[0] <= scale <= SCALES[1]:
            raise InputError(f'scales must be from {SCALES[0]} to {SCALES[1]:g}, got {scale:g}')
    if checkpoint and Path(checkpoint).suffix == '.onnx':
        raise InputError(
            f'{checkpoint} has one input size: for scales give the checkpoint it was made of'
        )
    size = load_checkpoint(checkpoint).input_spec.size
    sizes = [
        tuple(max(round(n * scale / SIZE_MULTIPLE), 1) * SIZE_MULTIPLE for n in size)
        for scale in scales
    ]
    return MultiScaleSegmenter(
        [Segmenter.from_checkpoint(checkpoint, *options, s) for s in sizes], flip
    )


def protocol(scales: Sequence[float], flip: bool) -> str:
    """The protocol of an evaluation of such views, in words."""
    if list(scales) == [1.0] and not flip:
        return PROTOCOL
    named = ' '.join(f'{scale:g}' for scale in scales)
    views = f'mean over scales {named}{" and their mirror images" if flip else ""}'
    return PROTOCOL.replace('single scale', views)


def mirror(frame: RgbdFrame) -> RgbdFrame:
    """The frame left to right, as a mirrored camera would see it."""
    gravity = frame.gravity
    if gravity is not None:
        gravity = Gravity(gravity.down * (-1, 1, 1), gravity.camera_height_m)
    return dataclasses.replace(
        frame,
        rgb=cv2.flip(frame.rgb, 1),
        depth_m=cv2.flip(frame.depth_m, 1),
        intrinsics=frame.intrinsics.flipped(),
        gravity=gravity,
    )
