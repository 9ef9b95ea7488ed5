# SPDX-License-Identifier: Apache-2.0
"""Picked frames as rows of pictures inside the page: colour, depth, truth, prediction, error."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np

from sgnet_core.labels import LabelSet, colorize
from sgnet_core.report.chart import percent, swatch
from sgnet_core.report.picks import Picked
from sgnet_core.types import UNLABELLED
from sgnet_core.visualize import depth_to_rgb

WRONG = (214, 40, 40)
_VISIBLE = 0.003
"""Share of a picture below which a class is not worth a line of the legend."""
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


def shots(picked: Mapping[str, Sequence[Picked]], label_set: LabelSet) -> str:
    """HTML of all frames by what they were picked for, and a legend of their classes."""
    parts, present = [], set()
    for name, frames in picked.items():
        for frame in frames:
            parts.append(
                f'<h3>{escape(name.capitalize())}: frame {escape(frame.id)}, '
                f'mIoU {percent(frame.score)}</h3>{_row(frame, label_set)}'
            )
            for labels in (frame.truth, frame.prediction):
                present |= _visible(labels)
    names = [
        f'<span>{swatch(label_set.palette[i].tolist())} {escape(label_set.class_names[i])}</span>'
        for i in sorted(present)
    ]
    return f'{"".join(parts)}<div class="legend">{"".join(names)}</div>' if parts else ''


def error_picture(frame: Picked) -> np.ndarray:
    """(h, w, 3) uint8: grey where right, red where wrong, white where the truth says nothing."""
    grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
    picture = cv2.cvtColor(grey // 2 + 110, cv2.COLOR_GRAY2RGB)
    labelled = frame.truth != UNLABELLED
    wrong = labelled & (frame.prediction != frame.truth)
    picture[wrong] = picture[wrong] // 4 + np.array(WRONG, np.uint8) // 4 * 3
    picture[~labelled] = 255
    return picture


def _row(frame: Picked, label_set: LabelSet) -> str:
    labelled = frame.truth != UNLABELLED
    wrong = (frame.truth != frame.prediction)[labelled].mean() if labelled.any() else None
    measured = frame.depth_m[np.isfinite(frame.depth_m)]
    depth = 'no depth'
    if measured.size:
        near_m, far_m = np.percentile(measured, (2, 98))
        depth = f'depth, {near_m:.1f} to {far_m:.1f} m'
    pictures = (
        ('colour', '.jpg', frame.rgb),
        (depth, '.jpg', depth_to_rgb(frame.depth_m)),
        ('truth', '.png', colorize(frame.truth, label_set.palette)),
        ('prediction', '.png', colorize(frame.prediction, label_set.palette)),
        (f'error, {percent(wrong, 0)}', '.jpg', error_picture(frame)),
    )
    cells = ''.join(
        f'<figure><img src="{data_uri(picture, suffix)}" width="{picture.shape[1]}" '
        f'height="{picture.shape[0]}" alt="{escape(caption)} of frame {escape(frame.id)}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
        for caption, suffix, picture in pictures
    )
    return f'<div class="shots">{cells}</div>'


def data_uri(rgb: np.ndarray, suffix: str) -> str:
    """(h, w, 3) uint8 RGB as a `data:` address; `.jpg` for photographs, `.png` for flat colours."""
    options = _JPEG if suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, content = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    kind = {'.jpg': 'jpeg', '.png': 'png'}[suffix]
    return f'data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}'


def _visible(labels: np.ndarray) -> set[int]:
    counts = np.bincount(labels.ravel(), minlength=256)[:UNLABELLED]
    return set(np.flatnonzero(counts >= max(1, _VISIBLE * labels.size)).tolist())
