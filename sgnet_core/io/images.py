# SPDX-License-Identifier: Apache-2.0
"""Reads and writes colour, depth and label images.

Readers raise `DataError` with the file name if a file is missing, cut off or of another type.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from sgnet_core.errors import DataError, InputError
from sgnet_core.io.files import write_file
from sgnet_core.types import UNLABELLED

MILLIMETRE = 0.001
JPEG_QUALITY = 95

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_GREY, _PNG_INDEXED = 0, b'\x03'


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB in sensor orientation: EXIF rotation is not applied."""
    return decode_rgb(path, _read(path))


def decode_rgb(name: Path | str, content: bytes) -> np.ndarray:
    """`read_rgb` of the content of a file; errors call it `name`."""
    bgr = _decode(name, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_stored(path: Path, indices: bool = False) -> np.ndarray:
    """Raw values of an image file: (H, W), or (H, W, C) in BGR order.

    With `indices`, the indices of an indexed PNG instead of its colours.
    """
    return _decode(path, _read(path), cv2.IMREAD_UNCHANGED, indices)


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
    raw = _decode(name, content, cv2.IMREAD_UNCHANGED)
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise DataError(
            f'{name}: depth must be a 16-bit image of one channel, this one is '
            f'{kind_of_image(raw)}; export the raw depth (a picture of it has lost the metres)'
        )
    return raw


def read_labels(path: Path, offset: int, class_count: int) -> np.ndarray:
    """(H, W) uint8 class ids = file value - `offset`; 255 if that is below 0 or 255.

    File values of an indexed PNG are its indices. An id must be below `class_count`.
    """
    raw = read_stored(path, indices=True)
    if raw.ndim != 2 or raw.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f'{path}: labels must be an 8- or 16-bit image of one channel, this one is '
            f'{kind_of_image(raw)}; store class numbers, not colours'
        )
    ids = raw.astype(np.int32) - offset
    ids[ids < 0] = UNLABELLED
    foreign = (ids >= class_count) & (ids != UNLABELLED)
    if foreign.any():
        void = f'0..{offset - 1}' if offset > 1 else '0' if offset == 1 else f'{UNLABELLED}'
        raise DataError(
            f'{path}: label value {raw[foreign].max()} in {foreign.sum()} pixels is out of range; '
            f'{class_count} classes with label_offset {offset} are values {offset}..'
            f'{class_count - 1 + offset} ({void} is unlabelled): '
            'correct the image, the classes file or label_offset'
        )
    return ids.astype(np.uint8)


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


def _decode(name: Path | str, content: bytes, flags: int, indices: bool = False) -> np.ndarray:
    if is_cut_off(content):
        raise DataError(f'{name}: cut off after {len(content)} bytes; restore the file')
    # Bytes 24 and 25 of a PNG are its bits per pixel and its colour type.
    indexed = indices and content.startswith(_PNG_START) and content[25:26] == _PNG_INDEXED
    if indexed:
        content = _indexed_as_grey(content)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if image is None:
        raise DataError(f'{name}: {len(content)} bytes are not an image; restore the file')
    # OpenCV stretches grey of fewer than 8 bits to 0..255.
    return image // (255 // (2 ** content[24] - 1)) if indexed else image


def _indexed_as_grey(content: bytes) -> bytes:
    """An indexed PNG as a grey one: OpenCV would return colours instead of indices."""
    grey = bytearray(_PNG_START)
    for kind, chunk in _png_chunks(content):
        if kind == b'IHDR':
            header = bytearray(chunk)
            header[17] = _PNG_GREY
            header[-4:] = struct.pack('>I', zlib.crc32(header[4:-4]))
            chunk = bytes(header)
        if kind in (b'IHDR', b'IDAT', b'IEND'):
            grey += chunk
    return bytes(grey)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and bytes of every complete chunk of a PNG."""
    start = len(_PNG_START)
    while start + 12 <= len(content):
        (length,) = struct.unpack_from('>I', content, start)
        chunk = content[start : start + 12 + length]
        if len(chunk) < 12 + length:
            return
        yield chunk[4:8], chunk
        start += len(chunk)


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG lacks its end marker, or a PNG its last chunk.

    OpenCV fills missing parts with grey without an error, and trusts the length of a damaged chunk:
    one wrong byte can cost 2 GB and two seconds.
    """
    if content.startswith(_JPEG_START):
        return _JPEG_END not in content
    if content.startswith(_PNG_START):
        return all(kind != b'IEND' for kind, _ in _png_chunks(content))
    return False


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
    """For example `8-bit, 3 channels`."""
    channels = '1 channel' if image.ndim == 2 else f'{image.shape[2]} channels'
    return f'{image.dtype.itemsize * 8}-bit, {channels}'
