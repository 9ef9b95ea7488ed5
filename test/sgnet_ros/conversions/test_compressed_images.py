# SPDX-License-Identifier: Apache-2.0
"""Compressed messages against a reference encoder: intact, truncated and damaged."""

import array
import contextlib
import struct

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from compressed_bytes import compressed_depth, digits, holed_depth, png
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sgnet_ros.conversions.compressed_images import (
    decompressed_pair,
    depth_from_compressed,
    image_from_compressed,
)
from sgnet_ros.conversions.images import (
    COLOUR_BYTES_PER_PIXEL,
    COLOUR_SYNONYMS,
    DEPTH_ENCODINGS,
    MessageError,
    depth_from_msg,
    rgb_from_msg,
)

HEADER = Header(stamp=Time(sec=3, nanosec=4), frame_id='optical')
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (11, 14, 3)).astype(np.uint8)
DEPTH = holed_depth((13, 22), seed=5)


def compressed(image_format, data):
    return CompressedImage(header=HEADER, format=image_format, data=array.array('B', data))


def jpeg(rgb):
    return cv2.imencode('.jpg', rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def smooth(shape=(24, 40)):
    """Red grows to the right, green downwards, blue is 40; swapped channels show."""
    height, width = shape
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([red, green, np.full(shape, 40)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ('image_format', 'as_stored'),
    [
        ('rgb8; png compressed bgr8', 'rgb'),
        ('bgr8; png compressed bgr8', 'rgb'),
        ('bgra8; png compressed bgr8', 'rgb'),
        ('yuv422_yuy2; png compressed bgr8', 'rgb'),
        ('png', 'rgb'),
        ('png', 'rgba'),
        ('', 'rgb'),
        ('rgb8; png compressed ', 'bgr'),
        ('bgr8; png compressed rgb8', 'bgr'),
    ],
)
def test_channel_order_follows_the_format(image_format, as_stored):
    """Without "bgr" the publisher passed RGB to OpenCV, which stored it as BGR."""
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 9, np.uint8)])
    stored = rgba[:, :, ['rgba'.index(channel) for channel in as_stored]]
    image = image_from_compressed(compressed(image_format, png(np.ascontiguousarray(stored))))
    assert (image.height, image.width, image.header) == (11, 14, HEADER)
    np.testing.assert_array_equal(rgb_from_msg(image), RGB)


@pytest.mark.parametrize(
    'image_format',
    [
        *('jpeg', 'jpg', 'bgr8; jpeg compressed bgr8', 'rgb8; jpeg compressed bgr8'),
        # Drivers that fill in the name of the raw encoding, or nothing.
        *('rgb8; jpeg compressed rgb8', 'bgr8; jpeg compressed', 'rgb8; jpeg', 'rgb8;jpeg', 'rgb8'),
    ],
)
def test_colours_of_a_jpeg_are_fixed_by_the_file(image_format):
    rgb = rgb_from_msg(image_from_compressed(compressed(image_format, jpeg(smooth()))))
    assert np.abs(rgb.astype(int) - smooth()).mean() < 3


@pytest.mark.parametrize('codec', ['jpeg', 'png'])
def test_grey_images_stay_grey(codec):
    grey = smooth()[:, :, 0]
    data = png(grey) if codec == 'png' else cv2.imencode('.jpg', grey)[1].tobytes()
    image = image_from_compressed(compressed(f'mono8; {codec} compressed mono8', data))
    rgb = rgb_from_msg(image)
    assert np.abs(rgb.astype(int) - grey[:, :, None]).max() <= 4 * (codec == 'jpeg')
    if codec == 'jpeg':
        image = image_from_compressed(compressed('bayer_rggb8; jpeg compressed mono8', data))
        assert image.encoding == 'mono8'


def test_bayer_png_keeps_its_encoding():
    message = compressed('bayer_grbg8; png compressed ', png(RGB[:, :, 0]))
    assert image_from_compressed(message).encoding == 'bayer_grbg8'


@pytest.mark.parametrize(
    ('image_format', 'codec'),
    [
        ('16UC1; compressedDepth png', 'png'),
        ('16UC1; compressedDepth', 'png'),
        ('16UC1', 'png'),
        ('mono16; compressedDepth png', 'png'),
        ('16UC1; compressedDepth rvl', 'rvl'),
        ('mono16; compressedDepth rvl', 'rvl'),
        ('16UC1; png compressed ', 'plain'),
        ('png', 'plain'),
    ],
)
def test_depth_in_millimetres_is_lossless(image_format, codec):
    data = png(DEPTH) if codec == 'plain' else compressed_depth(DEPTH, codec)
    image = depth_from_compressed(compressed(image_format, data))
    assert (image.height, image.width, image.header) == (13, 22, HEADER)
    depth_m = depth_from_msg(image)
    expected = np.where(DEPTH == 0, np.nan, DEPTH * np.float32(0.001))
    np.testing.assert_array_equal(depth_m, expected.astype(np.float32))
    assert np.isnan(depth_m).any()


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_depth_in_metres_is_inverse_depth(codec):
    """The publisher's formula: depth_quantization 100, depth_max 10 m."""
    depth_m = np.random.default_rng(1).uniform(0.3, 12.0, (9, 16)).astype(np.float32)
    depth_m[2, 3] = np.nan
    a, near = 100.0 * 101.0, depth_m < 10.0
    b = 1.0 - a / 10.0
    code = np.where(near, a / np.where(near, depth_m, 1.0) + b, 0).astype(np.uint16)
    data = compressed_depth(code, codec, (a, b))
    image = depth_from_compressed(compressed(f'32FC1; compressedDepth {codec}', data))
    got = depth_from_msg(image)
    np.testing.assert_array_equal(np.isnan(got), ~near)
    # One step of the code is depth squared over A; it is rounded down.
    error, step = (got - depth_m)[near], depth_m[near] ** 2 / a
    assert ((error >= -1e-4) & (error <= 1.2 * step + 1e-4)).all()


def test_codes_without_depth_are_nan():
    """A / (v - B) with v = B, and below."""
    data = compressed_depth(np.array([[5, 4, 7]], np.uint16), 'png', (10.0, 5.0))
    got = depth_from_msg(depth_from_compressed(compressed('32FC1; compressedDepth png', data)))
    np.testing.assert_array_equal(got, np.array([[np.nan, np.nan, 5.0]], np.float32))


def test_raw_messages_are_returned_unchanged():
    image, depth = Image(encoding='rgb8'), Image(encoding='16UC1')
    assert decompressed_pair(image, depth)[0] is image
    mixed = decompressed_pair(compressed('png', png(RGB)), depth)
    assert mixed[0].encoding == 'bgr8'
    assert mixed[1] is depth


def patched(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def rvl_of_zeros(count):
    """A run of zeros and one of nothing, in words of eight nibbles."""
    nibbles = [*digits(count), *digits(0)]
    nibbles += [0] * (-len(nibbles) % 8)
    hexadecimal = ''.join(f'{nibble:x}' for nibble in nibbles)
    return np.frombuffer(bytes.fromhex(hexadecimal), '>u4').astype('<u4').tobytes()


JPEG, PNG, RVL = jpeg(smooth()), png(RGB), compressed_depth(DEPTH, 'rvl')
JPEG_SIZE_AT = JPEG.index(struct.pack('>HH', 24, 40))
BAD_COLOUR = {
    'not an image': ('h264', bytes(99), 'neither JPEG nor PNG'),
    'nothing': ('jpeg', b'', '0 bytes, is neither'),
    'jpeg truncated': ('jpeg', JPEG[:300], "'jpeg': cut off after 300 bytes; check its pub"),
    'png truncated': ('png', PNG[:-40], 'cut off'),
    'png damaged': ('png', patched(PNG, 60, b'\7'), 'damaged'),
    # OpenCV 4.14 does not check the length: it would read 2 GB.
    'png of a long chunk': ('png', patched(PNG, 33, b'\x77'), 'damaged'),
    'jpeg too large': ('jpeg', patched(JPEG, JPEG_SIZE_AT, b'\xff' * 4), 'claims 65535x65535 '),
    'png too large': ('png', patched(PNG, 16, struct.pack('>II', 70_000, 70_000)), 'damaged'),
    'png without a header': ('png', PNG[:8] + PNG[-12:], 'damaged'),
    'jpeg fill byte': (
        'jpeg',
        JPEG[: JPEG_SIZE_AT - 5]
        + b'\xff'
        + patched(JPEG, JPEG_SIZE_AT, b'\xff\xdc' * 2)[JPEG_SIZE_AT - 5 :],
        'claims 65500x65500 pixels, valid are 1 pixel to 64 megapixels',
    ),
    '16 bits': ('png', png(DEPTH), '8 bits, .* is 16-bit, 1 channel'),
}
BAD_DEPTH = {
    'colour': ('16UC1; compressedDepth', bytes(12) + PNG, '8-bit, 3 channels'),
    'jpeg of depth': ('16UC1; jpeg compressed mono8', JPEG, 'JPEG'),
    'no depth': ('bgr8; compressedDepth png', bytes(50), 'unknown depth encoding'),
    'header only': ('16UC1; compressedDepth', RVL[:12], '12 bytes, truncated'),
    'no codec': ('16UC1; compressedDepth', RVL, 'neither JPEG nor PNG'),
    'rvl truncated': ('16UC1; compressedDepth rvl', RVL[:99], 'RVL .* pixels'),
    'rvl of nothing': ('16UC1; compressedDepth rvl', bytes(40), 'claims 0x0 pixels'),
    'rvl too large': (
        '16UC1; compressedDepth rvl',
        patched(RVL, 12, struct.pack('<II', 1 << 16, 1 << 16)),
        '65536x65536 pixels, valid are 1 pixel to 64 mega',
    ),
    'rvl without depth': (
        '16UC1; compressedDepth rvl',
        patched(RVL[:20], 12, struct.pack('<II', 8000, 8000)) + rvl_of_zeros(64_000_000),
        'bytes cannot hold 8000x8000',
    ),
    'no quantisation': (
        '32FC1; compressedDepth png',
        compressed_depth(DEPTH, 'png', (float('nan'), 1.0)),
        'invalid quantisation parameters .* a=nan, b=1.0',
    ),
}


@pytest.mark.parametrize('case', [*BAD_COLOUR, *BAD_DEPTH])
def test_undecodable_message_names_its_stream(case):
    image_format, data, text = (BAD_COLOUR | BAD_DEPTH)[case]
    bad = compressed(image_format, data)
    pair = (bad, Image()) if case in BAD_COLOUR else (Image(), bad)
    with pytest.raises(MessageError, match=text) as error:
        decompressed_pair(*pair)
    assert error.value.stream == ('rgb/image' if case in BAD_COLOUR else 'depth/image')


def test_limit_of_the_size_is_a_parameter():
    pair = compressed('jpeg', JPEG), compressed('16UC1; compressedDepth rvl', RVL)
    image, depth = decompressed_pair(*pair, max_pixels=24 * 40)
    assert (image.height, depth.height) == (24, 13)
    for limit, stream in ((24 * 40 - 1, 'rgb/image'), (13 * 22 - 1, 'rgb/image')):
        with pytest.raises(MessageError, match='claims 40x24 pixels') as error:
            decompressed_pair(*pair, max_pixels=limit)
        assert error.value.stream == stream
    with pytest.raises(MessageError, match='claims 22x13 pixels') as error:
        decompressed_pair(Image(), pair[1], max_pixels=13 * 22 - 1)
    assert error.value.stream == 'depth/image'


GOLDEN = np.array([[0, 0, 1200, 1201], [1199, 65535, 1, 0], [0, 0, 0, 3000]], np.uint16)
# RVL by the C program of the paper, PNG by Pillow, raw rows by hand: 4x3 millimetres.
GOLDEN_RVL = bytes.fromhex(
    '000000000000000000000000040000000300000023d48c25bff3ab8ced41f3ff000010db'
)
GOLDEN_PNG = bytes.fromhex(
    '000000000000000000000000'
    '89504e470d0a1a0a0000000d4948445200000004000000031000000000c10f2d59'
    '0000001d4944415478da636460606060d9c0c0c8c0b2feff7f06460618e0de01003802042c72fdabfe'
    '0000000049454e44ae426082'
)
GOLDEN_BIG = bytes.fromhex('0000 0000 04b0 04b1 ee 04af ffff 0001 0000 ee 0000 0000 0000 0bb8 ee')
GOLDEN_MESSAGES = {
    'rvl': compressed('16UC1; compressedDepth rvl', GOLDEN_RVL),
    'png': compressed('16UC1; compressedDepth png', GOLDEN_PNG),
    'big-endian, padded': Image(
        width=4, height=3, encoding='16UC1', is_bigendian=1, step=9, data=GOLDEN_BIG
    ),
}


@pytest.mark.parametrize('name', GOLDEN_MESSAGES)
def test_golden_depth_message(name):
    depth = decompressed_pair(Image(), GOLDEN_MESSAGES[name])[1]
    expected = np.where((GOLDEN == 0) | (GOLDEN == 65535), np.nan, GOLDEN * np.float32(0.001))
    np.testing.assert_array_equal(depth_from_msg(depth), expected.astype(np.float32))


SEEDS = [JPEG, PNG, RVL, compressed_depth(DEPTH, 'png'), GOLDEN_RVL, GOLDEN_PNG, png(DEPTH), b'']
FORMATS = [
    *('', 'jpeg', 'png', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed ', 'h264'),
    *('16UC1; compressedDepth png', '32FC1; compressedDepth rvl', 'mono16; compressedDepth rvl'),
]
EDITS = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 2), st.binary(max_size=4)), max_size=4
)


@given(st.sampled_from(SEEDS), st.sampled_from(FORMATS), EDITS)
def test_any_compressed_message_is_a_pair_or_a_message_error(content, image_format, edits):
    for at, removed, new in edits:
        at %= len(content) + 1
        content = content[:at] + new + content[at + removed :]
    message = compressed(image_format, content)
    for pair in ((message, Image()), (Image(), message)):
        with contextlib.suppress(MessageError):
            image, depth = decompressed_pair(*pair)
            convert, raw = (rgb_from_msg, image) if pair[0] is message else (depth_from_msg, depth)
            assert convert(raw).shape[:2] == (raw.height, raw.width)


SIZES = st.integers(0, 9) | st.sampled_from([1 << 16, (1 << 32) - 1])


@given(
    st.sampled_from([*COLOUR_BYTES_PER_PIXEL, *COLOUR_SYNONYMS, *DEPTH_ENCODINGS, '8UC1', '']),
    st.tuples(SIZES, SIZES, SIZES | st.integers(0, 40), st.integers(0, 1)),
    st.binary(max_size=400),
)
def test_any_raw_message_is_an_image_or_a_message_error(encoding, fields, data):
    width, height, step, big = fields
    message = Image(width=width, height=height, step=step, is_bigendian=big, encoding=encoding)
    message.data = array.array('B', data)
    for convert in (rgb_from_msg, depth_from_msg):
        with contextlib.suppress(MessageError):
            assert convert(message).shape[:2] == (height, width)
