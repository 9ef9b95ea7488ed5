# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage of the plug-ins of `image_transport` to raw images.

Colour, `compressed`: a JPEG or PNG file. `format` is `rgb8; jpeg compressed bgr8`: the encoding of
the raw image, the codec, and the channel order of its input; some drivers write only `jpeg`.

Depth, `compressedDepth`: `format` is `16UC1; compressedDepth png`, or `rvl`, or in earlier
versions no codec, which is PNG. The data are a header of 12 bytes (int32, float32 A, float32 B)
and a 16-bit PNG, or width, height (uint32) and RVL. 32FC1 is quantised as inverse depth,
A / depth + B, 0 = no measurement. A plain 16-bit PNG is also accepted.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from sgnet_core.errors import InputError
from sgnet_core.io.images import is_cut_off, kind_of_image
from sgnet_ros.conversions.images import DEPTH_ENCODINGS, PackedImage, naming_stream
from sgnet_ros.conversions.rvl import decode_rvl

MAX_PIXELS = 1 << 25
"""Pixels of an 8K image. A header with more is damaged and would exhaust the memory."""
_JPEG, _PNG = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
_PNG_SIZE_AT = 16
_JPEG_FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DEPTH_HEADER, _RVL_SIZE = struct.Struct('<iff'), struct.Struct('<II')


def decompressed_pair(
    image: Image | CompressedImage, depth: Image | CompressedImage
) -> tuple[Image | PackedImage, Image | PackedImage]:
    """Both as raw images; errors name the stream. Raw images are returned unchanged."""
    with naming_stream('rgb/image'):
        image = image_from_compressed(image) if hasattr(image, 'format') else image
    with naming_stream('depth/image'):
        depth = depth_from_compressed(depth) if hasattr(depth, 'format') else depth
    return image, depth


def image_from_compressed(msg: CompressedImage) -> PackedImage:
    """The raw colour image in a JPEG or PNG, 8 bits a channel; InputError for any other data."""
    pixels = _decoded(msg, bytes(msg.data))
    if pixels.dtype != np.uint8:
        raise InputError(f'colour must have 8 bits, {msg.format!r} is {kind_of_image(pixels)}')
    raw_encoding, _, codec = (part.strip() for part in msg.format.partition(';'))
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    encoding = {1: 'mono8', 3: 'bgr8', 4: 'bgra8'}[channels]
    if channels == 1 and raw_encoding.startswith('bayer') and 'png' in codec:
        encoding = raw_encoding
    # OpenCV encodes BGR. A publisher that passed RGB to it writes "compressed " or "rgb".
    if raw_encoding.startswith(('rgb', 'bgr')) and 'compressed bgr' not in codec and codec:
        encoding = encoding.replace('bgr', 'rgb')
    return _packed(msg, pixels, encoding)


def depth_from_compressed(msg: CompressedImage) -> PackedImage:
    """The raw depth image: 16UC1 or mono16 as it was, or 32FC1 in metres, NaN = no measurement.

    Raises:
        InputError: another codec or encoding, truncated or damaged.
    """
    content = bytes(msg.data)
    encoding = msg.format.partition(';')[0].strip()
    if content.startswith(_JPEG):
        raise InputError(f'{msg.format!r}: a JPEG cannot hold depth; publish compressedDepth')
    if content.startswith(_PNG):
        return _packed(msg, _depth_values(msg, content), '16UC1')
    if encoding not in DEPTH_ENCODINGS:
        raise InputError(
            f'unknown depth encoding in {msg.format!r}; supported: {", ".join(DEPTH_ENCODINGS)}, '
            'followed by "; compressedDepth png" or "; compressedDepth rvl"'
        )
    if len(content) < _DEPTH_HEADER.size + _RVL_SIZE.size:
        raise InputError(f'{msg.format!r}: {len(content)} bytes, truncated header')
    _, a, b = _DEPTH_HEADER.unpack_from(content)
    values = _depth_values(msg, content[_DEPTH_HEADER.size :])
    if DEPTH_ENCODINGS[encoding][0] is not np.float32:
        return _packed(msg, values, encoding)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise InputError(
            f'{msg.format!r}: invalid quantisation parameters in the compressedDepth header: '
            f'a={a}, b={b}'
        )
    with np.errstate(divide='ignore'):
        depth_m = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    depth_m[values == 0] = np.nan
    return _packed(msg, depth_m, encoding)


def _depth_values(msg: CompressedImage, content: bytes) -> np.ndarray:
    """(H, W) uint16 of a PNG, or of RVL if `msg.format` names it."""
    if not content.startswith(_PNG) and 'rvl' in msg.format:
        width, height = _RVL_SIZE.unpack_from(content)
        if not 0 < width * height <= MAX_PIXELS:
            raise InputError(f'{msg.format!r}: invalid size {width}x{height}: damaged')
        return decode_rvl(content[_RVL_SIZE.size :], width * height).reshape(height, width)
    values = _decoded(msg, content)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise InputError(
            f'{msg.format!r}: depth must be a 16-bit image with one channel, got '
            f'{kind_of_image(values)}'
        )
    return values


def _decoded(msg: CompressedImage, content: bytes) -> np.ndarray:
    """The stored pixels of a JPEG or PNG, (H, W) or (H, W, C) in OpenCV's order."""
    what = f'compressed image of format {msg.format!r}, {len(content)} bytes,'
    if not content.startswith((_JPEG, _PNG)):
        raise InputError(f'{what} is neither JPEG nor PNG')
    if is_cut_off(content):
        raise InputError(f'{what} is truncated')
    pixels = None
    if _pixels_in_header(content) <= MAX_PIXELS:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f'{what} is damaged')
    return pixels


def _pixels_in_header(content: bytes) -> int:
    """Width x height in the header of a JPEG or PNG; 0 if it is missing."""
    if content.startswith(_PNG):
        return math.prod(struct.unpack_from('>II', content, _PNG_SIZE_AT))
    at = len(_JPEG)
    while at + 9 <= len(content):
        marker, length = struct.unpack_from('>xBH', content, at)
        if marker in _JPEG_FRAME_MARKERS:
            return math.prod(struct.unpack_from('>HH', content, at + 5))
        at += 2 + length
    return 0


def _packed(msg: Any, pixels: np.ndarray, encoding: str) -> PackedImage:
    height, width = pixels.shape[:2]
    return PackedImage.from_rows(pixels.reshape(height, -1), width, encoding, msg.header)
