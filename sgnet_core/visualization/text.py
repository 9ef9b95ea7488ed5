# SPDX-License-Identifier: Apache-2.0
"""Text on pictures: paper, ink, and lettering that stays sharp and inside. Pictures are RGB."""

from __future__ import annotations

import cv2
import numpy as np

PAPER = (255, 255, 255)
INK = (33, 37, 41)
FAINT_INK = (108, 117, 125)
MARGIN = 24
GAP = 10

TEXT_SIZE = 12
"""Height of capital letters, pixels."""
_SUPERSAMPLING = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_CAPITALS = 21
"""Height of a capital letter of the font at scale 1, pixels."""


def blank_paper(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 to draw on."""
    return np.full((height, width, 3), PAPER, np.uint8)


def text_width(text: str, size: int) -> int:
    """Pixels from left to right, in capitals `size` pixels high."""
    (width, _), _ = cv2.getTextSize(_printable(text), _FONT, size / _FONT_CAPITALS, 1)
    return width + 2


def write_text(
    paper: np.ndarray,
    text: str,
    left: int,
    top: int,
    size: int,
    color: tuple[int, int, int] = INK,
) -> None:
    """Write on the paper in place; `top` is the upper edge of a capital letter of `size` pixels."""
    # Drawn large and shrunk: the strokes of OpenCV's fonts are ragged at reading size.
    top, head = max(0, top - size // 3), min(top, size // 3)  # strokes and `l` rise above capitals
    box = (min(2 * size, paper.shape[0] - top), min(text_width(text, size), paper.shape[1] - left))
    if min(box) <= 0:
        return
    large = np.zeros((box[0] * _SUPERSAMPLING, box[1] * _SUPERSAMPLING), np.uint8)
    origin = (_SUPERSAMPLING // 2, (head + size) * _SUPERSAMPLING)
    scale = size * _SUPERSAMPLING / _FONT_CAPITALS
    stroke = round(size * _SUPERSAMPLING / 9)
    cv2.putText(large, _printable(text), origin, _FONT, scale, 255, stroke, cv2.LINE_AA)
    ink = cv2.resize(large, box[::-1], interpolation=cv2.INTER_AREA)[..., None] / 255.0
    part = paper[top : top + box[0], left : left + box[1]]
    part[:] = np.rint(part * (1 - ink) + np.array(color) * ink)


def _printable(text: str) -> str:
    """OpenCV's fonts are ASCII: anything else becomes a question mark."""
    return text.encode('ascii', 'replace').decode().replace('\n', ' ')
