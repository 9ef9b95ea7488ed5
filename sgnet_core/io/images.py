# SPDX-License-Identifier: Apache-2.0
"""Reads and writes colour, depth and label images.

Readers raise `DataError` with the file name if a file is missing, cut off or of another type.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from sgnet_core.errors import DataError, InputError
from sgnet_core.io.decoding import JPEG_START, EncodedImage
from sgnet_core.io.files import write_file
from sgnet_core.types import UNLABELLED

MILLIMETRE = 0.001
JPEG_QUALITY = 95

COLOUR_REMEDY = 'save it as JPEG or PNG'
DEPTH_REMEDY = 'multiply metres by 1000, round, and save as 16-bit PNG with depth_scale: 0.001'
LABEL_REMEDY = 'save class numbers instead of colours, as 8-bit grey PNG'

TURNED_REMEDY = (
    'it is turned by 90 degrees: turn it back, colour, depth and labels are read as stored and the '
    'EXIF orientation is not applied'
)

_logger = logging.getLogger(__name__)


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB in sensor orientation: EXIF rotation is not applied."""
    return decode_rgb(path, _read(path))


def decode_rgb(name: Path | str, content: bytes) -> np.ndarray:
    """`read_rgb` of the content of a file; errors call it `name`."""
    image = _encoded(name, content, COLOUR_REMEDY)
    bgr = image.pixels(cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_stored(path: Path, remedy: str = DEPTH_REMEDY) -> np.ndarray:
    """Raw values of an image file: (H, W), or (H, W, C) in BGR order.

    `remedy` is for files of unsupported formats.
    """
    return _encoded(path, _read(path), remedy).pixels()


def read_depth(path: Path, scale: float, invalid: Sequence[int]) -> np.ndarray:
    """(H, W) float32 metres = raw * `scale`; NaN where raw is one of `invalid`."""
    return depth_in_metres(decode_depth(path, _read(path)), scale, invalid)


def depth_in_metres(raw: np.ndarray, scale: float, invalid: Sequence[int]) -> np.ndarray:
    """`read_depth` of raw values."""
    # Like the conversion of ROS depth messages: a frame has the same bits from disk and from a bag.
    depth_m = raw.astype(np.float32) * np.float32(scale)
    for value in invalid:
        depth_m[raw == value] = np.nan
    return depth_m


def decode_depth(name: Path | str, content: bytes) -> np.ndarray:
    """(H, W) uint16 raw values of the content of a depth image; errors call it `name`."""
    raw = _encoded(name, content, DEPTH_REMEDY).pixels()
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise DataError(
            f'{name}: depth must be a 16-bit integer image of one channel, this one is '
            f'{kind_of_image(raw)}; {depth_remedy(raw)}'
        )
    return raw


def depth_remedy(image: np.ndarray) -> str:
    """The remedy for depth of another type: floats are the measurement, 8 bits a picture of it."""
    if image.ndim == 2 and image.itemsize > 1:
        return DEPTH_REMEDY
    return f'export the raw depth, or {DEPTH_REMEDY}; a picture of depth has lost the metres'


class LabelFiles:
    """The label images of one dataset.

    The value of a pixel of an indexed PNG is its grey if the palette is grey, and else its index.
    Optimisers of PNG files sort the palette of each file, which changes the indices and not the
    greys. So a value must have the same colour in all files.
    """

    def __init__(self) -> None:
        self._colours: dict[int, tuple[tuple[int, ...], Path]] = {}

    def read(self, path: Path, offset: int, class_count: int) -> np.ndarray:
        """(H, W) uint8 class ids = file value - `offset`; 255 if that is below 0 or 255.

        An id must be below `class_count`.
        """
        content = _read(path)
        if content.startswith(JPEG_START):
            raise DataError(
                f'{path}: labels are a JPEG, which mixes them at class borders; {LABEL_REMEDY}'
            )
        raw = self._values(path, content)
        if raw.ndim != 2 or raw.dtype not in (np.uint8, np.uint16):
            raise DataError(
                f'{path}: labels must be an 8- or 16-bit image of one channel, this one is '
                f'{kind_of_image(raw)}; {LABEL_REMEDY}'
            )
        ids = raw.astype(np.int32) - offset
        ids[ids < 0] = UNLABELLED
        foreign = (ids >= class_count) & (ids != UNLABELLED)
        if foreign.any():
            void = f'0..{offset - 1}' if offset > 1 else '0' if offset == 1 else f'{UNLABELLED}'
            raise DataError(
                f'{path}: label value {raw[foreign].max()} in {foreign.sum()} pixels is out of '
                f'range; {class_count} classes with label_offset {offset} are values {offset}..'
                f'{class_count - 1 + offset} ({void} is unlabelled): '
                'correct the image, the classes file or label_offset'
            )
        return ids.astype(np.uint8)

    def read_stored(self, path: Path) -> np.ndarray:
        """The values of a file, of any type and range."""
        return self._values(path, _read(path))

    def _values(self, path: Path, content: bytes) -> np.ndarray:
        image = _encoded(path, content, LABEL_REMEDY)
        if (indexed := image.indices()) is None:
            return image.pixels()
        indices, palette = indexed
        used = np.flatnonzero(np.bincount(indices.ravel()))
        greys = palette[:, 0]
        # Equal greys of two indices, often all 0, mean nothing.
        grey = (palette == greys[:, None]).all() and len(set(greys[used].tolist())) == len(used)
        values = greys[used] if grey else used
        if not (grey and (values == used).all()):
            self._compare_colours(path, values, palette[used])
        return greys[indices] if grey else indices

    def _compare_colours(self, path: Path, values: np.ndarray, colours: np.ndarray) -> None:
        for value, colour in zip(values.tolist(), map(tuple, colours.tolist()), strict=True):
            known, where = self._colours.setdefault(value, (colour, path))
            if known != colour:
                raise DataError(
                    f'{path}: label value {value} has the colour {colour} in the palette, but '
                    f'{known} in {where}: the palettes differ from file to file; {LABEL_REMEDY}'
                )


def write_rgb(path: Path, rgb: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB to PNG, or to JPEG of quality 95 if the name ends in .jpg."""
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    is_jpeg = path.suffix.lower() in ('.jpg', '.jpeg')
    _encode(path, bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if is_jpeg else [])


def write_depth(path: Path, depth_m: np.ndarray) -> None:
    """(H, W) float metres to 16-bit PNG of millimetres.

    NaN, negative depth and depth beyond 65.535 m become 0, no measurement.
    """
    millimetres = np.rint(np.nan_to_num(depth_m, nan=0.0, posinf=0.0, neginf=0.0) / MILLIMETRE)
    millimetres[(millimetres < 0) | (millimetres > np.iinfo(np.uint16).max)] = 0
    _encode(path, millimetres.astype(np.uint16))


def write_mask(path: Path, labels: np.ndarray) -> None:
    """(H, W) uint8 class ids to 8-bit PNG, unchanged: 255 is unlabelled."""
    _encode(path, labels)


def write_labels(path: Path, labels: np.ndarray) -> None:
    """(H, W) uint8 class ids to 8-bit PNG with offset 1: 0 is unlabelled."""
    # uint8 arithmetic wraps 255 to 0, as intended.
    _encode(path, labels + np.uint8(1))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f'{path}: no such file; restore it, or leave its id out') from error
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}; make it readable') from error


def _encoded(name: Path | str, content: bytes, remedy: str) -> EncodedImage:
    image = EncodedImage(name, content, convert=remedy)
    if image.orientation != 1:
        _warn_of_orientation(Path(name).parent, image.orientation)
    return image


@cache
def _warn_of_orientation(folder: Path, orientation: int) -> None:
    """Once for each folder."""
    _logger.warning(
        '%s: EXIF orientation %d is not applied, as images are read as stored; store colour, depth '
        'and labels in the same orientation',
        folder,
        orientation,
    )


def _encode(path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    try:
        _, content = cv2.imencode(path.suffix, image, list(options))
    except cv2.error as error:
        raise InputError(
            f'{path}: cannot write {image.shape} {image.dtype} as {path.suffix or "no suffix"!r}; '
            'use .png or .jpg'
        ) from error
    write_file(path, content.tobytes())


def kind_of_image(image: np.ndarray) -> str:
    """For example `8-bit, 3 channels` or `32-bit float, 1 channel`."""
    channels = '1 channel' if image.ndim == 2 else f'{image.shape[2]} channels'
    kind = {'f': ' float', 'i': ' signed'}.get(image.dtype.kind, '')
    return f'{image.dtype.itemsize * 8}-bit{kind}, {channels}'
