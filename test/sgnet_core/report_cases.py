# SPDX-License-Identifier: Apache-2.0
"""Evaluations of random frames, and a reader that is strict about HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from sgnet_core.evaluation import Evaluation
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample, SegmentationResult

NAMES = ('wall', '<i>floor</i>', 'chair & "sofa"', "it's a lamp", 'never there')
SIZE = (23, 34)
# Of names that were not escaped, and of what a report does without.
FORBIDDEN = {'i', 's', 'script', 'iframe', 'object'}
VOID = {'meta', 'link', 'img', 'br', 'hr'}


def sample_of(index: int, seed: int = 0) -> Sample:
    """Stripes of the first four classes, some unlabelled; the same for the same index and seed."""
    rng = np.random.default_rng((seed, index))
    height, width = SIZE
    labels = np.repeat(rng.integers(0, 4, 5), 7)[:width].astype(np.uint8)
    labels = np.tile(labels, (height, 1))
    labels[:2] = UNLABELLED
    depth_m = rng.uniform(0.5, 6, SIZE).astype(np.float32)
    depth_m[rng.random(SIZE) < 0.1 * (index % 4)] = np.nan
    rgb = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    camera = CameraIntrinsics(width, height, 30.0, 31.0, 16.5, 11.0)
    return Sample(f'<s>{index}</s>', RgbdFrame(rgb, depth_m, camera), labels)


def result_of(sample: Sample, wrong: float, seed: int) -> SegmentationResult:
    """The truth, with a share `wrong` of the pixels replaced by any class."""
    rng = np.random.default_rng(seed)
    labels = np.where(sample.labels == UNLABELLED, 0, sample.labels).astype(np.uint8)
    hit = rng.random(SIZE) < wrong
    labels[hit] = rng.integers(0, 4, hit.sum())
    confidence = rng.uniform(0.3, 1, SIZE).astype(np.float32)
    return SegmentationResult(labels, confidence, NAMES)


def evaluation_of(
    wrong: float, frames: range = range(9), seed: int = 1, on_frame=None
) -> Evaluation:
    """Frames of which the later ones are worse."""
    evaluation = Evaluation(NAMES)
    for index in frames:
        sample = sample_of(index)
        result = result_of(sample, wrong * (1 + index / 9), seed * 1000 + index)
        counts = evaluation.update(sample, result, 0.1 + 0.01 * index)
        if on_frame is not None:
            on_frame(sample, result, counts)
    return evaluation


class StrictReader(HTMLParser):
    """Fails where a tag is not closed in turn, or forbidden; gathers text, addresses and pictures.

    Attributes:
        text: all of it, as people read it.
        addresses: of whatever a browser would fetch.
        tags: how many of each.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.addresses, self.tags = '', [], {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f'never closed: {self._open}'

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in FORBIDDEN, tag
        self.tags[tag] = self.tags.get(tag, 0) + 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f'{tag} has an attribute twice: {names}'
        self.addresses += [v for name, v in attrs if name in ('src', 'href', 'srcset', 'data')]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f'</{tag}> closes {self._open[-1:]}'
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if 'style' not in self._open:
            self.text += data
