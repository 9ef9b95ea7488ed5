# SPDX-License-Identifier: Apache-2.0
"""Class overlays, depth in colours and legends. Every picture is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.io.images import write_rgb
from sgnet_core.labels import check_class_ids
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.overlay import class_colors, host_tensor
from sgnet_core.visualization.overlay import overlay as tensor_overlay
from sgnet_core.visualization.text import (
    FAINT_INK,
    GAP,
    MARGIN,
    TEXT_SIZE,
    blank_paper,
    text_width,
    write_text,
)

NO_DEPTH = (40, 40, 40)
_TURBO_RANGE = (24, 240)
"""Of the 0..255 of the colour map: its dark ends look like missing depth."""


def overlay(
    rgb: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5
) -> np.ndarray:
    """`sgnet_core.visualization.overlay.overlay` of arrays, which are checked.

    Args:
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8 class ids, 255 = unlabelled.
        palette: (C, 3) uint8.
        alpha: 0 shows the image only, 1 the classes only.

    Raises:
        InputError: sizes differ, alpha is not in 0..1, or a class id is not in the palette.
    """
    if labels.shape != rgb.shape[:2]:
        raise InputError(f'labels {labels.shape} and image {rgb.shape[:2]} differ in size')
    if not 0 <= alpha <= 1:
        raise InputError(f'alpha {alpha} must be in 0..1')
    check_class_ids(labels, len(palette))
    if labels.size == 0:
        return rgb.copy()
    ids = host_tensor(labels)
    return tensor_overlay(host_tensor(rgb), ids, class_colors(ids, palette), alpha).numpy()


def depth_to_rgb(
    depth_m: np.ndarray, near_m: float | None = None, far_m: float | None = None
) -> np.ndarray:
    """Depth in colours: near is blue, far is red, no measurement is dark grey.

    Args:
        depth_m: (H, W) float32 metres, NaN = no measurement.
        near_m, far_m: the range of the colours; without them the 2nd and 98th percentile of this
            image. Give both to compare pictures.
    """
    measured = np.isfinite(depth_m)
    if not measured.any():
        return np.full((*depth_m.shape, 3), NO_DEPTH, np.uint8)
    # Percentiles: a few flying pixels must not squeeze the rest into one colour.
    low, high = np.percentile(depth_m[measured], (2, 98))
    low = low if near_m is None else near_m
    high = high if far_m is None else far_m
    grey = (np.where(measured, depth_m, low) - low) / max(high - low, 1e-6)
    grey = np.rint(np.interp(grey, (0, 1), _TURBO_RANGE)).astype(np.uint8)
    rgb = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    rgb[~measured] = NO_DEPTH
    return rgb


def legend_entries(
    class_names: Sequence[str], palette: np.ndarray, present_ids: Iterable[int] | None = None
) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and colour of each class of a legend, in the order of their ids.

    Args:
        class_names, palette: C names, (C, 3) uint8.
        present_ids: the class ids to list, for example `np.unique(labels)`; 255 is "unlabelled".
            Without it all classes.

    Raises:
        InputError: an id is no class.
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
    """A swatch and a name per class, in equal columns on paper `width` pixels wide.

    The other arguments are those of `legend_entries`.

    Raises:
        InputError: an id is no class.
    """
    entries = legend_entries(class_names, palette, present_ids)
    swatch, line = TEXT_SIZE + 6, TEXT_SIZE + 18
    column = max((text_width(name, TEXT_SIZE) for name, _ in entries), default=0) + swatch + 3 * GAP
    columns = max(1, min(len(entries), (width - 2 * MARGIN + 2 * GAP) // column))
    rows = -(-len(entries) // columns)
    paper = blank_paper(GAP + rows * line + MARGIN, width)
    for index, (name, color) in enumerate(entries):
        # Down the columns, as people read lists.
        left = MARGIN + index // rows * column
        top = GAP + index % rows * line + (line - swatch) // 2
        corner = (left + swatch - 1, top + swatch - 1)
        cv2.rectangle(paper, (left, top), corner, color, cv2.FILLED)
        cv2.rectangle(paper, (left, top), corner, FAINT_INK, 1)
        write_text(paper, name, left + swatch + GAP, top + (swatch - TEXT_SIZE) // 2, TEXT_SIZE)
    return paper


def write_png(path: str | Path, rgb: np.ndarray) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, as PNG; folders above it are made.

    Raises:
        InputError: the name does not end in .png.
        SgnetError: the file cannot be written.
    """
    if Path(path).suffix.lower() != '.png':
        raise InputError(f'{path}: pictures are written as PNG; choose a name that ends in .png')
    write_rgb(Path(path), rgb)
