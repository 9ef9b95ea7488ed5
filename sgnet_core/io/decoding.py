# SPDX-License-Identifier: Apache-2.0
"""Decodes images from files and messages. Nothing about their bytes is trusted.

Pillow reads the header, OpenCV decodes. An image whose size is unknown or too large is refused
before it is decoded, and all errors are `DataError`.
"""

from __future__ import annotations

import io
import re
import warnings

import cv2
import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from sgnet_core.errors import DataError, first_line

# Of damaged metadata, which nothing uses.
warnings.filterwarnings('ignore', module='PIL')

MEGAPIXEL = 1_000_000
MAX_PIXELS = 64 * MEGAPIXEL
"""Default limit: larger images would exhaust the memory."""
MAX_JPEG_SCANS = 4
"""Largest number of scans of an image of `MAX_PIXELS`; smaller images may have more in proportion.

Each scan costs the time of decoding the whole image. Progressive images have about 10.
"""

RESTORE = 'restore the file'
_ORIENTATION = 0x0112

JPEG_START, PNG_START = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
_JPEG_SCAN, _JPEG_END = b'\xda', b'\xd9'
# Stuffed zeros, restart markers, TEM and fill bytes do not begin a segment.
_JPEG_MARKER = re.compile(rb'\xff([^\x00\x01\xd0-\xd7\xff])', re.DOTALL)
_READERS: dict[bytes, type[ImageFile]] = {
    JPEG_START: JpegImageFile,
    PNG_START: PngImageFile,
    **dict.fromkeys((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'), TiffImageFile),
    b'BM': BmpImageFile,
    b'RIFF': WebPImageFile,
    **dict.fromkeys((b'P1', b'P2', b'P3', b'P4', b'P5', b'P6'), PpmImageFile),
}
"""First bytes -> reader of the header."""
_OTHER_FORMATS = {
    b'v/1\x01': 'OpenEXR',
    b'\x93NUMPY': 'NumPy',
    b'PK': 'ZIP or NPZ',
    b'GIF8': 'GIF',
    b'\0\0\0\x0cjP': 'JPEG 2000',
    b'Pf': 'PFM',
    b'PF': 'PFM',
}


def check_size(name: object, width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise DataError unless 0 < `width` x `height` <= `max_pixels`."""
    if not 0 < width * height <= max_pixels:
        raise DataError(
            f'{name}: the header claims {width}x{height} pixels, valid are 1 pixel to '
            f'{max_pixels / MEGAPIXEL:g} megapixels; reduce the image'
        )


class EncodedImage:
    """The content of an image file or message, with a checked header.

    Args:
        name: the file or message in errors.
        content: its bytes.
        damaged: remedy for a damaged image.
        convert: remedy for a file of another format.
        max_pixels: largest width x height.

    Attributes:
        name: as given.
        size: (height, width).

    Raises:
        DataError: another format, cut off, damaged, or too large.
    """

    def __init__(
        self,
        name: object,
        content: bytes,
        damaged: str = RESTORE,
        convert: str = 'save it as PNG',
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.name, self._content, self._damaged = name, content, damaged
        self._reader = next((r for start, r in _READERS.items() if content.startswith(start)), None)
        if self._reader is None:
            raise self._unknown_format(convert)
        if not self._has_end():
            raise self._error(f'cut off after {len(content)} bytes')
        try:
            # The reader itself: Image.open has another limit, and prints warnings.
            self._header = self._reader(io.BytesIO(content))
            jpeg_bits = 0
            if isinstance(self._header, JpegImageFile):
                jpeg_bits = _jpeg_bits(self._header)
            if self._reader is PngImageFile:
                # OpenCV trusts the length of a damaged chunk: one byte can cost 2 GB and 2 s.
                PngImageFile(io.BytesIO(content)).verify()
        except Exception as error:  # Pillow raises errors of many types for damaged headers
            if self._reader in (JpegImageFile, PngImageFile):
                raise self._error(f'damaged ({first_line(error)})') from error
            raise DataError(  # for example TIFF of 64-bit floats
                f'{name}: damaged or not supported ({first_line(error)}); {damaged}, or {convert}'
            ) from error
        width, height = self._header.size
        self.size = height, width
        check_size(name, width, height, max_pixels)
        if self._reader is JpegImageFile:
            if jpeg_bits > 8 * len(content):
                raise self._error(f'{len(content)} bytes cannot hold {width}x{height} pixels')
            scans = _jpeg_scans(content, self._header.fp.tell())
            if scans is None:
                raise self._error(f'cut off after {len(content)} bytes')
            if scans * width * height > MAX_JPEG_SCANS * max(max_pixels, MAX_PIXELS):
                raise DataError(
                    f'{name}: {scans} scans of {width}x{height} pixels take too long to decode; '
                    'save it as a JPEG that is not progressive, or reduce it'
                )

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8; 1 = as stored."""
        try:
            if isinstance(self._header, TiffImageFile):
                return int(self._header.tag_v2.get(_ORIENTATION, 1))
            exif = Image.Exif()
            exif.load(self._header.info.get('exif', b''))
            return int(exif.get(_ORIENTATION, 1))
        except Exception:  # damaged metadata
            return 1

    def pixels(self, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
        """(H, W) or (H, W, C) in OpenCV's channel order, as stored; DataError if damaged."""
        if isinstance(self._header, TiffImageFile) and self.orientation != 1:
            raise DataError(  # OpenCV turns TIFF always, and other formats on request
                f'{self.name}: TIFF with orientation {self.orientation}; save it unturned, without '
                'this tag'
            )
        try:
            pixels = cv2.imdecode(np.frombuffer(self._content, np.uint8), flags)
        except Exception as error:
            raise self._error(f'cannot be decoded ({first_line(error)})') from error
        if pixels is None or pixels.shape[:2] != self.size:
            raise self._error('damaged')
        return pixels

    def indices(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(H, W) uint8 and the palette, (N, 3) uint8, of an indexed PNG; None for other images."""
        if self._reader is not PngImageFile or self._header.mode != 'P':
            return None
        try:
            indices = np.array(self._header)
            palette = np.array(self._header.getpalette(), np.uint8).reshape(-1, 3)
        except Exception as error:
            raise self._error(f'cannot be decoded ({first_line(error)})') from error
        if indices.max() >= len(palette):
            raise self._error(f'damaged (index {indices.max()} of {len(palette)} colours)')
        return indices, palette

    def _has_end(self) -> bool:
        """Whether a JPEG or PNG is complete: OpenCV fills the rest with grey without an error."""
        end = {JpegImageFile: b'\xff\xd9', PngImageFile: b'IEND'}.get(self._reader, b'')
        return end in self._content

    def _unknown_format(self, convert: str) -> DataError:
        content, remedy = self._content, f'{self._damaged}, or {convert}'
        for start, found in _OTHER_FORMATS.items():
            if content.startswith(start):
                return DataError(f'{self.name}: {found} is not supported; {convert}')
        return DataError(
            f'{self.name}: {len(content)} bytes are not an image, or of another format than JPEG, '
            f'PNG, TIFF, BMP, WebP and PNM; {remedy if content else self._damaged}'
        )

    def _error(self, problem: str) -> DataError:
        return DataError(f'{self.name}: {problem}; {self._damaged}')


def _jpeg_bits(header: JpegImageFile) -> int:
    """The fewest bits of this JPEG with Huffman codes.

    A block of 8x8 values has a code for the first one and a code for the end. Progressive images
    can have one end for many blocks.
    """
    width, height = header.size
    samplings = [across * down for _, across, down, _ in header.layer]
    blocks = width * height * sum(samplings) // (64 * max(samplings))
    return blocks if header.info.get('progressive') else 2 * blocks


def _jpeg_scans(content: bytes, at: int) -> int | None:
    """The number of scans of a JPEG whose first one is at `at`; None if it has no end.

    Thumbnails before it and videos behind it have markers of their own.
    """
    scans = 1
    while marker := _JPEG_MARKER.search(content, at):
        if marker[1] == _JPEG_END:
            return scans
        scans += marker[1] == _JPEG_SCAN
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], 'big')
    return None
