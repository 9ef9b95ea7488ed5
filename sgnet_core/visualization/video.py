# SPDX-License-Identifier: Apache-2.0
"""Pictures with a legend as an MP4 file."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.errors import WriteError
from sgnet_core.io.files import atomic_write
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.legend import legend

CODECS = ('vp09', 'mp4v')
"""VP9, which browsers play, and MPEG-4, which they do not. The wheels of OpenCV have no H.264."""
LEGEND_CLASSES = 20
"""Room in the legend, which has the same height in all frames: the largest classes are listed."""

_logger = logging.getLogger(__name__)

WriteFrame = Callable[[np.ndarray, np.ndarray], None]


@contextmanager
def mask_video(
    path: Path, rate_hz: float, class_names: Sequence[str], palette: np.ndarray
) -> Iterator[WriteFrame]:
    """Write an MP4; yields a function that adds a picture and the legend of its labels.

    The function takes (H, W, 3) uint8 and (H, W) uint8 class ids, 255 = unlabelled; pictures of
    another size than the first are resized. Without a picture, or if OpenCV has no encoder, there
    is no file.

    Raises:
        WriteError: the disk is full.
    """
    with atomic_write(path) as partial:
        writer, size, written = None, (0, 0), 0

        def write(picture: np.ndarray, labels: np.ndarray) -> None:
            nonlocal writer, size, written
            page = _with_legend(picture, labels, class_names, palette)
            if writer is None:
                size = page.shape[1] // 2 * 2, page.shape[0] // 2 * 2
                writer = _open(partial, path, rate_hz, size)
            page = page[: size[1], : size[0]]
            if page.shape[1::-1] != size:
                page = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
            writer.write(cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
            written += writer.isOpened()

        try:
            yield write
        finally:
            if writer is not None:
                writer.release()
        # OpenCV reports no errors of writing.
        if cv2.VideoCapture(str(partial)).get(cv2.CAP_PROP_FRAME_COUNT) < written:
            raise WriteError(path, OSError(errno.ENOSPC, 'the video is incomplete'))


def _with_legend(
    picture: np.ndarray, labels: np.ndarray, class_names: Sequence[str], palette: np.ndarray
) -> np.ndarray:
    width = picture.shape[1]
    counts = np.bincount(labels.ravel(), minlength=256)
    counts[UNLABELLED] = 0
    largest = np.argsort(-counts, kind='stable')[:LEGEND_CLASSES]
    names = legend(class_names, palette, largest[counts[largest] > 0], width)
    some = min(len(class_names), LEGEND_CLASSES)
    height = len(legend(class_names, palette, range(some), width))
    paper = np.full((height, width, 3), 255, np.uint8)
    paper[: len(names)] = names[:height]
    return np.vstack([picture, paper])


def _open(partial: Path, path: Path, rate_hz: float, size: tuple[int, int]) -> cv2.VideoWriter:
    for codec in CODECS:
        fourcc = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, fourcc, rate_hz, size)
        if writer.isOpened():
            if codec != CODECS[0]:
                _logger.warning('%s: OpenCV has no VP9; browsers do not play this file', path)
            return writer
    _logger.warning('%s is not written: OpenCV has no encoder for MP4', path)
    return writer
