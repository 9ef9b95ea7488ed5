# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation: the mean over several input scales and the mirrored image."""

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
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.preprocessing import SIZE_MULTIPLE
from sgnet_core.types import Gravity, RgbdFrame, SegmentationResult

MIN_SCALE, MAX_SCALE = 0.25, 4.0


class MultiScaleSegmenter:
    """Used as a `Segmenter`: class probabilities are means over scales and mirror images."""

    def __init__(self, segmenters: Sequence[Segmenter], flip: bool) -> None:
        """Average one network at several input sizes, with `flip` also over the mirrored frame."""
        self._segmenters, self._mirrored = segmenters, (False, True) if flip else (False,)
        first = segmenters[0]
        self.label_set, self.class_names = first.label_set, first.class_names
        self.device = first.device
        sizes = [f'{s.input_spec.width}x{s.input_spec.height}' for s in segmenters]
        also = ' and mirrored' if flip else ''
        self.description = f'{first.description}; mean of inputs {", ".join(sizes)}{also}'

    def segment(self, frame: RgbdFrame) -> SegmentationResult:
        """The most probable class of every pixel of `frame`, and its mean probability."""
        total = None
        with torch.inference_mode():
            for segmenter in self._segmenters:
                for mirrored in self._mirrored:
                    scores = segmenter.scores(mirror(frame) if mirrored else frame)
                    scores = scores.flip(3) if mirrored else scores
                    probabilities = resize_scores(scores, frame.size).softmax(1)
                    total = probabilities if total is None else total.add_(probabilities)
            # Logarithms of probabilities are scores: their softmax is the probabilities.
            labels, confidence = most_probable(total.log_())
        return SegmentationResult(
            labels[0].cpu().numpy(), confidence[0].cpu().numpy(), self.class_names
        )


def load_segmenter(
    checkpoint: str | Path | None, scales: Sequence[float], flip: bool, *options: str
) -> Segmenter | MultiScaleSegmenter:
    """A checkpoint at these scales of its input size, rounded to multiples of 32.

    `options` are device, precision and backend of `Segmenter.from_checkpoint`.

    Raises:
        InputError: a scale is out of range, or the network is an exported one of fixed size.
    """
    if list(scales) == [1.0]:
        segmenter = Segmenter.from_checkpoint(checkpoint, *options)
        return MultiScaleSegmenter([segmenter], flip) if flip else segmenter
    for scale in scales:
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise InputError(f'scales must be from {MIN_SCALE} to {MAX_SCALE:g}, got {scale:g}')
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
        [Segmenter.from_checkpoint(checkpoint, *options, size) for size in sizes], flip
    )


def protocol(scales: Sequence[float], flip: bool) -> str:
    """The protocol of an evaluation at these scales, in words."""
    if list(scales) == [1.0] and not flip:
        return PROTOCOL
    named = ' '.join(f'{scale:g}' for scale in scales)
    mirrored = ' and their mirror images' if flip else ''
    return PROTOCOL.replace('single scale', f'mean over scales {named}{mirrored}')


def mirror(frame: RgbdFrame) -> RgbdFrame:
    """The frame of a mirrored camera."""
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
