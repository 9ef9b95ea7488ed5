# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: class overlays, depth in colours, legends, contact sheets.

Every picture is (H, W, 3) uint8 RGB. `legend` and `contact_sheet` share paper and margins: stack
them with `np.vstack([sheet, legend(..., width=sheet.shape[1])])`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch  # noqa: F401  before cv2
import cv2
import numpy as np

from sgnet_core.data.image_files import write_rgb
from sgnet_core.errors import InputError
from sgnet_core.labels import check_class_ids
from sgnet_core.lettering import (
    FAINT_INK,
    GAP,
    HEADING_SIZE,
    INK,
    MARGIN,
    TEXT_SIZE,
    TITLE_SIZE,
    blank_paper,
    text_strip,
    text_width,
    write_text,
)
from sgnet_core.overlay import class_colors, host_tensor
from sgnet_core.overlay import overlay as tensor_overlay
from sgnet_core.types import UNLABELLED

NO_DEPTH = (40, 40, 40)
_TURBO_RANGE = (24, 240)
"""Of the 0..255 of the colour map: its dark ends look like missing depth."""


def overlay(
    rgb: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5
) -> np.ndarray:
    """`sgnet_core.overlay.overlay` of arrays, which are checked.

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


def legend(
    class_names: Sequence[str],
    palette: np.ndarray,
    present_ids: Iterable[int] | None = None,
    width: int = 960,
) -> np.ndarray:
    """A swatch and a name per class, in equal columns on paper `width` pixels wide.

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
    names = ['unlabelled' if i == UNLABELLED else class_names[i] for i in ids]
    colors = [(0, 0, 0) if i == UNLABELLED else palette[i].tolist() for i in ids]
    swatch, line = TEXT_SIZE + 6, TEXT_SIZE + 18
    column = max((text_width(name, TEXT_SIZE) for name in names), default=0) + swatch + 3 * GAP
    columns = max(1, min(len(names), (width - 2 * MARGIN + 2 * GAP) // column))
    rows = -(-len(names) // columns)
    paper = blank_paper(GAP + rows * line + MARGIN, width)
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        # Down the columns, as people read lists.
        left = MARGIN + index // rows * column
        top = GAP + index % rows * line + (line - swatch) // 2
        corner = (left + swatch - 1, top + swatch - 1)
        cv2.rectangle(paper, (left, top), corner, color, cv2.FILLED)
        cv2.rectangle(paper, (left, top), corner, FAINT_INK, 1)
        write_text(paper, name, left + swatch + GAP, top + (swatch - TEXT_SIZE) // 2, TEXT_SIZE)
    return paper


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] = (),
    captions: Sequence[str] = (),
    title: str = '',
    cell_width: int = 360,
) -> np.ndarray:
    """Rows of pictures on white paper, all scaled to one cell size, with text around them.

    Args:
        rows: pictures (H, W, 3) uint8 of any size; each is fitted into a cell of `cell_width` and
            the proportions of the first picture.
        column_titles: above the columns.
        captions: one per row, below it.

    Raises:
        InputError: there is no picture, or more titles or captions than columns or rows.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise InputError('a contact sheet needs at least one picture')
    if len(column_titles) > columns or len(captions) > len(rows):
        raise InputError(
            f'{len(column_titles)} column titles and {len(captions)} captions for {columns} '
            f'columns and {len(rows)} rows'
        )
    first = next(picture for row in rows for picture in row)
    cell = (max(1, round(cell_width * first.shape[0] / first.shape[1])), cell_width)
    width = 2 * MARGIN + columns * (cell_width + GAP) - GAP
    strips = [blank_paper(MARGIN, width)]
    if title:
        strips += [text_strip([title], width, width, TITLE_SIZE, INK), blank_paper(GAP, width)]
    if column_titles:
        strips.append(text_strip(column_titles, width, cell_width + GAP, HEADING_SIZE, INK))
    for index, row in enumerate(rows):
        captioned = index < len(captions)
        strip = blank_paper(cell[0] if captioned else cell[0] + GAP, width)
        for position, picture in enumerate(row):
            left = MARGIN + position * (cell_width + GAP)
            strip[: cell[0], left : left + cell_width] = _fitted(picture, cell)
        strips.append(strip)
        if captioned:
            strips.append(text_strip([captions[index]], width, width, TEXT_SIZE, FAINT_INK))
            strips.append(blank_paper(GAP, width))
    return np.vstack([*strips, blank_paper(MARGIN - GAP, width)])


def write_png(path: str | Path, rgb: np.ndarray) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, as PNG; folders above it are made.

    Raises:
        InputError: the name does not end in .png.
        SgnetError: the file cannot be written.
    """
    if Path(path).suffix.lower() != '.png':
        raise InputError(f'{path}: pictures are written as PNG; choose a name that ends in .png')
    write_rgb(Path(path), rgb)


def _fitted(picture: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """The picture scaled into (height, width), its proportions kept, centred on paper."""
    scale = min(cell[0] / picture.shape[0], cell[1] / picture.shape[1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    # Small pictures are enlarged by whole pixels: a mask must not show colours of no class.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    paper = blank_paper(*cell)
    top, left = (cell[0] - height) // 2, (cell[1] - width) // 2
    paper[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=how
    )
    return paper
