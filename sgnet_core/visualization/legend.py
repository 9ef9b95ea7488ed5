# SPDX-License-Identifier: Apache-2.0
"""Legends of class colours for overlays, drawn by OpenCV: the node does without matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.types import UNLABELLED

PAPER, INK, EDGE = (255, 255, 255), (33, 37, 41), (108, 117, 125)
MARGIN, GAP = 24, 10
TEXT_SIZE = 12
"""Height of capital letters, pixels."""
_SUPERSAMPLING = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_CAPITALS = 21
"""Height of a capital letter of the font at scale 1, pixels."""


def legend_entries(
    class_names: Sequence[str], palette: np.ndarray, present_ids: Iterable[int] | None = None
) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and colour of each class of a legend, ordered by id.

    Args:
        class_names, palette: C names, (C, 3) uint8.
        present_ids: the ids to list, for example `np.unique(labels)`; 255 is "unlabelled". None
            lists all classes.

    Raises:
        InputError: an id is not a class.
    """
    ids = range(len(class_names)) if present_ids is None else sorted({int(i) for i in present_ids})
    foreign = [i for i in ids if not (0 <= i < len(class_names) or i == UNLABELLED)]
    if foreign:
        raise InputError(f'class id {foreign[0]} in a legend of {len(class_names)} classes')
    unlabelled = ('unlabelled', (0, 0, 0))
    return [
        unlabelled if i == UNLABELLED else (class_names[i], tuple(palette[i].tolist())) for i in ids
    ]


def legend(
    class_names: Sequence[str],
    palette: np.ndarray,
    present_ids: Iterable[int] | None = None,
    width: int = 960,
) -> np.ndarray:
    """A swatch and a name for each of the `legend_entries`, in equal columns: (h, width, 3) uint8.

    Raises:
        InputError: an id is not a class.
    """
    entries = legend_entries(class_names, palette, present_ids)
    swatch, line = TEXT_SIZE + 6, TEXT_SIZE + 18
    column = max((_text_width(name) for name, _ in entries), default=0) + swatch + 3 * GAP
    columns = max(1, min(len(entries), (width - 2 * MARGIN + 2 * GAP) // column))
    rows = -(-len(entries) // columns)
    paper = np.full((GAP + rows * line + MARGIN, width, 3), PAPER, np.uint8)
    for index, (name, color) in enumerate(entries):
        left = MARGIN + index // rows * column
        top = GAP + index % rows * line + (line - swatch) // 2
        corner = (left + swatch - 1, top + swatch - 1)
        cv2.rectangle(paper, (left, top), corner, color, cv2.FILLED)
        cv2.rectangle(paper, (left, top), corner, EDGE, 1)
        _write_text(paper, name, left + swatch + GAP, top + (swatch - TEXT_SIZE) // 2)
    return paper


def _text_width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(printable(text), _FONT, TEXT_SIZE / _FONT_CAPITALS, 1)
    return width + 2


def _write_text(paper: np.ndarray, text: str, left: int, top: int) -> None:
    """Write in place; `top` is the upper edge of capital letters. Text is cut at the edge."""
    # Drawn large and shrunk: the strokes of OpenCV's fonts are ragged at this size.
    head = TEXT_SIZE // 3  # strokes and `l` rise above capitals
    height, width = 2 * TEXT_SIZE, min(_text_width(text), paper.shape[1] - left)
    if width <= 0:
        return
    large = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), np.uint8)
    origin = (_SUPERSAMPLING // 2, (head + TEXT_SIZE) * _SUPERSAMPLING)
    scale = TEXT_SIZE * _SUPERSAMPLING / _FONT_CAPITALS
    stroke = round(TEXT_SIZE * _SUPERSAMPLING / 9)
    cv2.putText(large, printable(text), origin, _FONT, scale, 255, stroke, cv2.LINE_AA)
    ink = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255.0
    part = paper[top - head : top - head + height, left : left + width]
    part[:] = np.rint(part * (1 - ink) + np.array(INK) * ink)


def printable(text: str) -> str:
    """OpenCV's fonts are ASCII: other characters become question marks."""
    return text.encode('ascii', 'replace').decode().replace('\n', ' ')
