# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage of the plug-ins of `image_transport` to raw images.

Colour, `compressed`: a JPEG or PNG file. `format` is `rgb8; jpeg compressed bgr8`: the encoding of
the raw image, the codec, and the channel order of its input; some drivers write only `jpeg`. The
colours of a JPEG are fixed by the file. PNG has its channels in the order of the input.

Depth, `compressedDepth`: `format` is `16UC1; compressedDepth png`, or `rvl`, or in earlier
versions no codec, which is PNG. The data are a header of 12 bytes (int32, float32 A, float32 B)
and a 16-bit PNG, or width, height (uint32) and RVL. 32FC1 is quantised as inverse depth,
A / depth + B, 0 = no measurement. A plain 16-bit PNG is also accepted.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from sgnet_core.errors import InputError
from sgnet_core.io.decoding import JPEG_START, MAX_PIXELS, PNG_START, EncodedImage, check_size
from sgnet_core.io.images import kind_of_image
from sgnet_ros.conversions.images import DEPTH_ENCODINGS, PackedImage, bytes_of, naming_stream
from sgnet_ros.conversions.rvl import decode_rvl

MAX_EMPTY_RVL_PIXELS, MAX_RVL_PIXELS_PER_BYTE = 4_000_000, 512
"""No camera sends larger images without depth; RVL could claim 64 megapixels in 8 bytes."""
_DEPTH_HEADER, _RVL_SIZE = struct.Struct('<iff'), struct.Struct('<II')


def decompressed_pair(
    image: Image | CompressedImage, depth: Image | CompressedImage, max_pixels: int = MAX_PIXELS
) -> tuple[Image | PackedImage, Image | PackedImage]:
    """Both as raw images; errors name the stream. Raw images are returned unchanged.

    Compressed images that claim more than `max_pixels` are not decoded.
    """
    with naming_stream('rgb/image'):
        image = image_from_compressed(image, max_pixels) if hasattr(image, 'format') else image
    with naming_stream('depth/image'):
        depth = depth_from_compressed(depth, max_pixels) if hasattr(depth, 'format') else depth
    return image, depth


def image_from_compressed(msg: CompressedImage, max_pixels: int = MAX_PIXELS) -> PackedImage:
    """The raw colour image in a JPEG or PNG, 8 bits a channel; InputError for any other data."""
    content = bytes_of(msg.data).tobytes()
    pixels = _decoded(msg, content, max_pixels)
    if pixels.dtype != np.uint8:
        raise InputError(f'colour must have 8 bits, {msg.format!r} is {kind_of_image(pixels)}')
    raw_encoding, _, codec = (part.strip() for part in msg.format.partition(';'))
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    encoding = {1: 'mono8', 3: 'bgr8', 4: 'bgra8'}[channels]
    is_png = content.startswith(PNG_START)
    if channels == 1 and raw_encoding.startswith('bayer') and is_png:
        encoding = raw_encoding
    # OpenCV encodes BGR. A publisher that passed RGB to it writes "compressed " or "rgb".
    passed_rgb = raw_encoding.startswith(('rgb', 'bgr')) and 'compressed bgr' not in codec and codec
    if is_png and passed_rgb:
        encoding = encoding.replace('bgr', 'rgb')
    return _packed(msg, pixels, encoding)


def depth_from_compressed(msg: CompressedImage, max_pixels: int = MAX_PIXELS) -> PackedImage:
    """The raw depth image: 16UC1 or mono16 as it was, or 32FC1 in metres, NaN = no measurement.

    Raises:
        InputError: another codec or encoding, truncated or damaged.
    """
    content = bytes_of(msg.data).tobytes()
    encoding = msg.format.partition(';')[0].strip()
    if content.startswith(JPEG_START):
        raise InputError(f'{msg.format!r}: a JPEG cannot hold depth; publish compressedDepth')
    if content.startswith(PNG_START):
        return _packed(msg, _depth_values(msg, content, max_pixels), '16UC1')
    if encoding not in DEPTH_ENCODINGS:
        raise InputError(
            f'unknown depth encoding in {msg.format!r}; supported: {", ".join(DEPTH_ENCODINGS)}, '
            'followed by "; compressedDepth png" or "; compressedDepth rvl"'
        )
    if len(content) < _DEPTH_HEADER.size + _RVL_SIZE.size:
        raise InputError(f'{msg.format!r}: {len(content)} bytes, truncated header')
    _, a, b = _DEPTH_HEADER.unpack_from(content)
    values = _depth_values(msg, content[_DEPTH_HEADER.size :], max_pixels)
    if DEPTH_ENCODINGS[encoding][0] is not np.float32:
        return _packed(msg, values, encoding)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise InputError(
            f'{msg.format!r}: invalid quantisation parameters in the compressedDepth header: '
            f'a={a}, b={b}'
        )
    depth_m = values.astype(np.float32)
    depth_m -= np.float32(b)
    with np.errstate(divide='ignore', over='ignore'):
        np.divide(np.float32(a), depth_m, out=depth_m)
    depth_m[values == 0] = np.nan
    return _packed(msg, depth_m, encoding)


def _depth_values(msg: CompressedImage, content: bytes, max_pixels: int) -> np.ndarray:
    """(H, W) uint16 of a PNG, or of RVL if `msg.format` names it."""
    if not content.startswith(PNG_START) and 'rvl' in msg.format:
        width, height = _RVL_SIZE.unpack_from(content)
        check_size(repr(msg.format), width, height, max_pixels)
        if width * height > MAX_EMPTY_RVL_PIXELS + MAX_RVL_PIXELS_PER_BYTE * len(content):
            raise InputError(f'{msg.format!r}: {len(content)} bytes cannot hold {width}x{height}')
        return decode_rvl(content[_RVL_SIZE.size :], width * height).reshape(height, width)
    values = _decoded(msg, content, max_pixels)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise InputError(
            f'{msg.format!r}: depth must be a 16-bit image with one channel, got '
            f'{kind_of_image(values)}'
        )
    return values


def _decoded(msg: CompressedImage, content: bytes, max_pixels: int) -> np.ndarray:
    """The stored pixels of a JPEG or PNG, (H, W) or (H, W, C) in OpenCV's order."""
    name = f'compressed image of format {msg.format!r}'
    if not content.startswith((JPEG_START, PNG_START)):
        raise InputError(f'{name}, {len(content)} bytes, is neither JPEG nor PNG')
    remedy = 'check its publisher and the connection'
    return EncodedImage(name, content, damaged=remedy, max_pixels=max_pixels).pixels()


def _packed(msg: Any, pixels: np.ndarray, encoding: str) -> PackedImage:
    height, width = pixels.shape[:2]
    return PackedImage.from_rows(pixels.reshape(height, -1), width, encoding, msg.header)
