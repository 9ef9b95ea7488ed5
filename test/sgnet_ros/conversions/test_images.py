# SPDX-License-Identifier: Apache-2.0
"""Image conversions against messages that are built byte by byte."""

import array
import math
import struct

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sgnet_core.errors import InputError
from sgnet_ros.conversions.images import (
    MessageError,
    bytes_of,
    depth_from_msg,
    depth_to_msg,
    images_from_msgs,
    rgb_from_msg,
    rgb_to_msg,
    stamp_ns,
)
from sgnet_ros.conversions.masks import mask_from_msg, mask_to_msg

HEIGHT, WIDTH = 4, 6
HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id='optical')


def image_msg(encoding, row_bytes, padding=0, is_bigendian=0, width=WIDTH):
    """A message of the given rows of bytes, each followed by `padding` bytes of 0xEE."""
    data = b''.join(bytes(row) + b'\xee' * padding for row in row_bytes)
    return Image(
        header=HEADER,
        height=len(row_bytes),
        width=width,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=len(row_bytes[0]) + padding,
        data=array.array('B', data),
    )


def random_rows(bytes_per_pixel, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (HEIGHT, WIDTH * bytes_per_pixel), dtype=np.uint8)


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 2, 7])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('rgb8', 'rgb'), ('bgr8', 'bgr'), ('rgba8', 'rgba'), ('bgra8', 'bgra'), ('mono8', 'm')],
)
def test_rgb_from_msg_picks_channels(encoding, order, padding, is_bigendian):
    channels = len(order)
    picked = [0, 0, 0] if order == 'm' else [order.index(name) for name in 'rgb']
    rows = random_rows(channels)
    msg = image_msg(encoding, rows, padding, is_bigendian)
    msg.data.frombytes(b'trailing data')
    rgb = rgb_from_msg(msg)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, rows.reshape(HEIGHT, WIDTH, channels)[:, :, picked])


def naive_yuv_to_rgb(y, u, v):
    """ITU-R BT.601, video range, as V4L2 and OpenCV define it."""
    y, u, v = 1.164 * (max(y, 16) - 16), u - 128.0, v - 128.0
    rgb = (y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u)
    return [min(max(round(value), 0), 255) for value in rgb]


@pytest.mark.parametrize(
    ('encoding', 'u_at', 'y_at', 'v_at'),
    [
        ('yuv422', 0, (1, 3), 2),  # UYVY
        ('uyvy', 0, (1, 3), 2),
        ('yuv422_yuy2', 1, (0, 2), 3),  # YUYV
        ('yuyv', 1, (0, 2), 3),
    ],
)
@pytest.mark.parametrize('padding', [0, 5])
def test_rgb_from_msg_decodes_yuv422(encoding, u_at, y_at, v_at, padding):
    rows = random_rows(2, seed=3)
    rgb = rgb_from_msg(image_msg(encoding, rows, padding))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            four = [int(x) for x in rows[row, column // 2 * 4 : column // 2 * 4 + 4]]
            expected = naive_yuv_to_rgb(four[y_at[column % 2]], four[u_at], four[v_at])
            np.testing.assert_allclose(rgb[row, column].astype(int), expected, atol=2)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('padding', [0, 3])
def test_rgb_from_msg_debayers(pattern, padding):
    """A scene of one colour: every pixel of its Bayer mosaic must come back as that colour."""
    colour = {'r': 200, 'g': 120, 'b': 30}
    rows = [[colour[pattern[2 * (v % 2) + u % 2]] for u in range(WIDTH)] for v in range(HEIGHT)]
    rgb = rgb_from_msg(image_msg(f'bayer_{pattern}8', rows, padding))
    np.testing.assert_array_equal(rgb, np.full((HEIGHT, WIDTH, 3), (200, 120, 30)))


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16', '32FC1'])
@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('padding', [0, 1, 2, 5])
def test_depth_from_msg_reads_metres(encoding, order, padding):
    inf, nan = float('inf'), float('nan')
    if encoding == '32FC1':
        form, values = f'{order}6f', [0.5, nan, inf, -inf, -1.0, 65535.0]
        expected = [0.5, nan, nan, nan, nan, 65535.0]
    else:
        form, values = f'{order}6H', [0, 1, 256, 4000, 65534, 65535]
        expected = [nan, 0.001, 0.256, 4.0, 65.534, nan]
    rows = [struct.pack(form, *values), struct.pack(form, *reversed(values))]
    depth_m = depth_from_msg(image_msg(encoding, rows, padding, int(order == '>')))
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [expected, expected[::-1]], rtol=1e-6)


@pytest.mark.parametrize('scale', [1e-4, 7.0, 1000.0])
@pytest.mark.parametrize('range_m', [(0.0, math.inf), (0.3, 4.7)])
@pytest.mark.parametrize(('encoding', 'dtype'), [('16UC1', np.uint16), ('32FC1', np.float32)])
def test_depth_outside_the_valid_range_is_nan(encoding, dtype, scale, range_m):
    rng = np.random.default_rng(5)
    raw = rng.choice([0, 1, 47, 4700, 46999, 47000, 47001, 65534, 65535], (HEIGHT, WIDTH))
    raw = raw.astype(dtype)
    if dtype is np.float32:
        raw[0] = [math.nan, math.inf, -math.inf, -3, -0.0, 3.4e38]
    msg = image_msg(encoding, [row.tobytes() for row in raw])
    with np.errstate(over='ignore'):
        expected = raw.astype(np.float32) * np.float32(scale)
        got = depth_from_msg(msg, scale, range_m)
    for at, value in np.ndenumerate(raw):
        none = not math.isfinite(expected[at]) or value <= 0 or (dtype, value) == (np.uint16, 65535)
        if none or not np.float32(range_m[0]) <= expected[at] <= np.float32(range_m[1]):
            expected[at] = math.nan
    np.testing.assert_array_equal(got, expected)


def test_conversion_does_not_change_the_messages():
    depth = image_msg('32FC1', [struct.pack('<6f', *range(6))] * HEIGHT)
    colour = image_msg('rgb8', random_rows(3))
    before = bytes(depth.data), bytes(colour.data)
    _, depth_m = images_from_msgs(colour, depth, depth_range_m=(2.0, 4.0))
    assert (bytes(depth.data), bytes(colour.data)) == before
    np.testing.assert_array_equal(depth_m[0], [np.nan, np.nan, 2, 3, 4, np.nan])


DAMAGE = {
    'short data': (lambda msg: msg.data.pop(), 'needs {total} bytes of data, got {less}'),
    'no data': (lambda msg: setattr(msg, 'data', array.array('B')), 'got 0'),
    'short step': (lambda msg: setattr(msg, 'step', msg.step - 1), 'step of {row} bytes or more'),
    'empty': (lambda msg: setattr(msg, 'width', 0), '0x4 .* is empty'),
    'encoding': (lambda msg: setattr(msg, 'encoding', '64FC3'), '64FC3'),
}


@pytest.mark.parametrize(
    ('convert', 'encoding', 'bytes_per_pixel'),
    [
        (rgb_from_msg, 'rgb8', 3),
        (rgb_from_msg, 'bayer_rggb8', 1),
        (depth_from_msg, '16UC1', 2),
        (depth_from_msg, '32FC1', 4),
        (mask_from_msg, 'mono8', 1),
    ],
)
@pytest.mark.parametrize('case', DAMAGE)
def test_invalid_images_are_described(convert, encoding, bytes_per_pixel, case):
    damage, text = DAMAGE[case]
    msg = image_msg(encoding, random_rows(bytes_per_pixel))
    row, total = WIDTH * bytes_per_pixel, len(msg.data)
    damage(msg)
    with pytest.raises(InputError, match=text.format(total=total, less=total - 1, row=row)):
        convert(msg)


def test_odd_width_yuv_is_rejected():
    rows = np.zeros((2, 5 * 2), np.uint8)
    with pytest.raises(MessageError, match='5x2 yuv422'):
        rgb_from_msg(image_msg('yuv422', rows, width=5))


def test_outputs_have_header_bytes_and_sizes():
    labels = np.arange(24, dtype=np.uint8).reshape(HEIGHT, WIDTH)[:, ::-1]  # not contiguous
    msg = mask_to_msg(labels, HEADER)
    assert (msg.height, msg.width, msg.step, msg.encoding) == (HEIGHT, WIDTH, WIDTH, 'mono8')
    assert (msg.header, list(msg.data)) == (HEADER, labels.ravel().tolist())
    np.testing.assert_array_equal(mask_from_msg(msg), labels)

    rgb = random_rows(3).reshape(HEIGHT, WIDTH, 3)
    msg = rgb_to_msg(rgb, HEADER)
    assert (msg.step, msg.encoding) == (WIDTH * 3, 'rgb8')
    np.testing.assert_array_equal(rgb_from_msg(msg), rgb)


def test_depth_round_trip_is_exact_for_every_millimetre():
    raw = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    depth_m = raw.astype(np.float32) * np.float32(0.001)
    msg = depth_to_msg(depth_m, HEADER)
    back = np.frombuffer(msg.data, np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(back.ravel()[:-1], raw.ravel()[:-1])
    assert back.ravel()[-1] == 0  # 65.535 m is the saturated value: no measurement
    np.testing.assert_array_equal(depth_from_msg(msg).ravel()[1:-1], depth_m.ravel()[1:-1])


def test_missing_depth_is_zero():
    depth_m = np.array([[np.nan, np.inf, -np.inf, -1.0, 70.0, 0.0004]], np.float32)
    assert not any(depth_to_msg(depth_m, HEADER).data)


def test_stamp_is_exact_in_nanoseconds():
    header = Header(stamp=Time(sec=1_800_000_000, nanosec=999_999_999))
    assert stamp_ns(header) == 1_800_000_000_999_999_999


class DeviceBuffer:
    """What rclpy of Lyrical can put into uint8[] fields: no array, no buffer protocol."""

    def __init__(self, data):
        self.to_array = lambda: array.array('B', data)


@pytest.mark.parametrize(
    'holder',
    [
        *(bytes, bytearray, list, tuple, DeviceBuffer, lambda data: array.array('B', data)),
        *(lambda data: memoryview(bytes(2 * len(data)))[::2], np.array),
        lambda data: np.array(data).view(np.int8),
    ],
    ids=['bytes', 'bytearray', 'list', 'tuple', 'Buffer', 'array', 'strided', 'numpy', 'int8'],
)
def test_bytes_of_reads_every_holder(holder):
    data = random_rows(3).ravel()
    held = holder(data)
    if isinstance(held, memoryview):
        held = memoryview(np.repeat(data, 2))[::2]
    np.testing.assert_array_equal(bytes_of(held), data)
    assert bytes_of(data).base is not None  # not copied


@pytest.mark.parametrize('data', [None, 'text', [300], [1.5], np.zeros(3, np.float32), object()])
def test_bytes_of_refuses_other_data(data):
    with pytest.raises(MessageError, match='not uint8'):
        bytes_of(data)
