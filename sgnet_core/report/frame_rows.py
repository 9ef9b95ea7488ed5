# SPDX-License-Identifier: Apache-2.0
"""Selected frames as rows of pictures: colour, depth, truth, prediction, error."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from sgnet_core.labels import LabelSet
from sgnet_core.report.frame_selection import SelectedFrame
from sgnet_core.report.template import percent
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.depth_colors import depth_to_rgb
from sgnet_core.visualization.overlay import colorize

ERROR_COLOR = (214, 40, 40)
_SMALLEST_SHARE = 0.003
"""A class with a smaller share of every picture is not in the legend."""
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


def frame_row(frame: SelectedFrame, label_set: LabelSet) -> list[dict[str, Any]]:
    """The pictures of a frame: `caption`, `uri`, `width`, `height`."""
    labelled = frame.truth != UNLABELLED
    wrong = (frame.truth != frame.prediction)[labelled].mean() if labelled.any() else None
    measured = frame.depth_m[np.isfinite(frame.depth_m)]
    depth = 'no depth'
    if measured.size:
        near_m, far_m = np.percentile(measured, (2, 98))
        depth = f'depth, {near_m:.1f} to {far_m:.1f} m'
    pictures = (
        ('colour', 'jpeg', frame.rgb),
        (depth, 'jpeg', depth_to_rgb(frame.depth_m)),
        ('truth', 'png', colorize(frame.truth, label_set.palette)),
        ('prediction', 'png', colorize(frame.prediction, label_set.palette)),
        (f'error, {percent(wrong, 0)}', 'jpeg', error_picture(frame)),
    )
    height, width = frame.truth.shape
    return [
        {'caption': caption, 'uri': _data_uri(rgb, kind), 'width': width, 'height': height}
        for caption, kind, rgb in pictures
    ]


def visible_classes(frames: Iterable[SelectedFrame]) -> list[int]:
    """Ids of the classes that are large enough to be seen in a truth or a prediction."""
    visible = set()
    for labels in (picture for frame in frames for picture in (frame.truth, frame.prediction)):
        counts = np.bincount(labels.ravel(), minlength=256)[:UNLABELLED]
        visible |= set(np.flatnonzero(counts >= max(1, _SMALLEST_SHARE * labels.size)).tolist())
    return sorted(visible)


def error_picture(frame: SelectedFrame) -> np.ndarray:
    """(h, w, 3) uint8: correct pixels are grey, wrong ones red, unlabelled ones white."""
    grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
    picture = cv2.cvtColor(grey // 2 + 110, cv2.COLOR_GRAY2RGB)
    labelled = frame.truth != UNLABELLED
    wrong = labelled & (frame.prediction != frame.truth)
    picture[wrong] = picture[wrong] // 4 + np.array(ERROR_COLOR, np.uint8) // 4 * 3
    picture[~labelled] = 255
    return picture


def _data_uri(rgb: np.ndarray, kind: str) -> str:
    """Encode (h, w, 3) uint8 RGB; `jpeg` for photographs, `png` for flat colours."""
    options = _JPEG if kind == 'jpeg' else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, content = cv2.imencode(f'.{kind}', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return f'data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}'
