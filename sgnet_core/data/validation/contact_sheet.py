# SPDX-License-Identifier: Apache-2.0
"""The contact sheet of a check: some frames as colour, depth and labels, and edges on colour."""

from __future__ import annotations

import cv2
import numpy as np

from sgnet_core.data.validation.alignment import depth_edges
from sgnet_core.data.validation.finding import few
from sgnet_core.data.validation.raw_frame import FrameReader, StoredFrame
from sgnet_core.data.validation.report import verdict
from sgnet_core.data.validation.validator import CheckedDataset, evenly_spread, metres
from sgnet_core.labels import colorize, label_set_of
from sgnet_core.lettering import FAINT_INK
from sgnet_core.types import UNLABELLED
from sgnet_core.visualize import contact_sheet, depth_to_rgb, legend

ROWS = 6
_EDGE = (0, 255, 0)
_BLANK = (480, 640)


def sheet_of(checked: CheckedDataset) -> np.ndarray:
    """(H, W, 3) uint8 RGB: frames with findings first, then others evenly spread.

    What of a frame cannot be read is grey.
    """
    reader = FrameReader(checked.root, checked.file)
    # Too many findings must not leave room for nothing else.
    suspects = list(dict.fromkeys(f.ids[0] for f in checked.findings if f.ids))[: ROWS // 2]
    others = [i for i in evenly_spread(checked.read, ROWS) if i not in suspects]
    frames = [reader.read(i) for i in (*suspects, *others)]
    # A row without any picture says nothing, unless all are like that.
    frames = ([frame for frame in frames if not frame.is_blank] or frames)[:ROWS]
    near_m, far_m = (checked.depth.percentile_m(percent) or 0.0 for percent in (2, 98))
    titles = ['colour', f'depth, {near_m:.2g} to {far_m:.2g} m']
    titles += ['labels'] if checked.file.label else []
    titles.append('edges of depth on colour')
    sheet = contact_sheet(
        [_pictures(frame, checked, (near_m, far_m)) for frame in frames],
        titles,
        [_caption(frame, checked) for frame in frames],
        f'{checked.file.name}: {len(checked.frames.ids)} frames, {verdict(checked)}',
    )
    if checked.labels is None:
        return sheet
    known = label_set_of(checked.labels.class_names)
    present = set()
    for frame in frames:
        if frame.labels is not None:
            present |= set(np.unique(_class_ids(frame.labels, checked)).tolist())
    return np.vstack([sheet, legend(known.class_names, known.palette, present, sheet.shape[1])])


def _caption(frame: StoredFrame, checked: CheckedDataset) -> str:
    wrong = dict.fromkeys(f.check for f in checked.findings if frame.id in f.ids)
    text = frame.id
    if frame.depth is not None:
        depth_m = metres(frame.depth, checked.file)
        measured = np.isfinite(depth_m)
        median = f'median {np.median(depth_m[measured]):.2g} m, ' if measured.any() else ''
        text += f': depth {median}{1 - measured.mean():.0%} without'
    return f'{text}. {few(wrong, 4)}' if wrong else text


def _pictures(
    frame: StoredFrame, checked: CheckedDataset, range_m: tuple[float, float]
) -> list[np.ndarray]:
    blank = np.full((*_BLANK, 3), FAINT_INK, np.uint8)
    depth_m = None if frame.depth is None else metres(frame.depth, checked.file)
    pictures = [
        blank if frame.rgb is None else frame.rgb,
        blank if depth_m is None else depth_to_rgb(depth_m, *range_m),
    ]
    if checked.file.label:
        has_classes = frame.labels is not None and checked.labels is not None
        pictures.append(_label_picture(frame.labels, checked) if has_classes else blank)
    drawn = blank
    if frame.rgb is not None and depth_m is not None and depth_m.shape == frame.rgb.shape[:2]:
        drawn = _with_edges(frame.rgb, depth_edges(depth_m))
    return [*pictures, drawn]


def _class_ids(labels: np.ndarray, checked: CheckedDataset) -> np.ndarray:
    """(H, W) uint8 class ids; unlabelled also where a value is no class."""
    ids = labels.astype(np.int64) - checked.file.label_offset
    count = len(checked.labels.class_names)
    return np.where((ids >= 0) & (ids < count), ids, UNLABELLED).astype(np.uint8)


def _label_picture(labels: np.ndarray, checked: CheckedDataset) -> np.ndarray:
    return colorize(_class_ids(labels, checked), label_set_of(checked.labels.class_names).palette)


def _with_edges(rgb: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Colour, a little darker, with edges thick enough to be seen when it is made small."""
    drawn = (rgb * 0.7).astype(np.uint8)
    thickness = max(1, round(rgb.shape[1] / 300))
    thick = cv2.dilate(edges.astype(np.uint8), np.ones((thickness, thickness), np.uint8))
    drawn[thick > 0] = _EDGE
    return drawn
