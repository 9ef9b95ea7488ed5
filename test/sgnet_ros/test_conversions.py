# SPDX-License-Identifier: Apache-2.0
"""Conversions against messages built byte by byte, with naive twins.

A little over 300 lines: all of them share the builders of messages.
"""

import array
import json
import math
import struct
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header, String

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics
from sgnet_ros import conversions

HEIGHT, WIDTH = 4, 6
HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id='optical')
INTRINSICS = CameraIntrinsics(WIDTH, HEIGHT, fx=5.0, fy=6.0, cx=2.5, cy=1.5)


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


def as_rosbags(msg):
    """The same message as `rosbags` deserialises it: `data` is a uint8 array."""
    fields = {name: getattr(msg, name) for name in msg.get_fields_and_field_types()}
    fields['data'] = np.frombuffer(msg.data, np.uint8)
    return SimpleNamespace(**fields)


def random_rows(bytes_per_pixel, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (HEIGHT, WIDTH * bytes_per_pixel), dtype=np.uint8)


def rgb_order(encoding):
    return {'rgb8': (0, 1, 2), 'bgr8': (2, 1, 0), 'rgba8': (0, 1, 2), 'bgra8': (2, 1, 0)}[encoding]


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 2, 7])
@pytest.mark.parametrize(
    ('encoding', 'channels'), [('rgb8', 3), ('bgr8', 3), ('rgba8', 4), ('bgra8', 4)]
)
def test_rgb_from_msg_picks_channels_pixel_by_pixel(encoding, channels, padding, is_bigendian):
    rows = random_rows(channels)
    rgb = conversions.rgb_from_msg(image_msg(encoding, rows, padding, is_bigendian))
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    assert rgb.dtype == np.uint8
    for v in range(HEIGHT):
        for u in range(WIDTH):
            for i, channel in enumerate(rgb_order(encoding)):
                assert rgb[v, u, i] == rows[v, u * channels + channel]


def test_rgb_from_msg_repeats_mono8():
    rows = random_rows(1)
    rgb = conversions.rgb_from_msg(image_msg('mono8', rows, padding=3))
    for i in range(3):
        np.testing.assert_array_equal(rgb[:, :, i], rows)


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
    rgb = conversions.rgb_from_msg(image_msg(encoding, rows, padding))
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
    rgb = conversions.rgb_from_msg(image_msg(f'bayer_{pattern}8', rows, padding))
    np.testing.assert_array_equal(rgb, np.full((HEIGHT, WIDTH, 3), (200, 120, 30)))


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 2, 5])
def test_depth_from_msg_reads_millimetres(encoding, is_bigendian, padding):
    units = [[0, 1, 255, 256, 4000, 65535], [65534, 2, 3, 4, 5, 6]]
    form = '>6H' if is_bigendian else '<6H'
    msg = image_msg(encoding, [struct.pack(form, *row) for row in units], padding, is_bigendian)
    depth_m = conversions.depth_from_msg(msg)
    assert depth_m.dtype == np.float32
    expected = [[np.nan, 0.001, 0.255, 0.256, 4.0, np.nan], [65.534, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3]]
    np.testing.assert_allclose(depth_m, expected, rtol=1e-6)


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 3, 4])
def test_depth_from_msg_reads_metres(is_bigendian, padding):
    inf, nan = float('inf'), float('nan')
    metres = [[0.5, nan, inf, -inf, 0.0, -1.0], [1.25, 2.5, 3.75, 1e-3, 70.0, 65535.0]]
    form = '>6f' if is_bigendian else '<6f'
    msg = image_msg('32FC1', [struct.pack(form, *row) for row in metres], padding, is_bigendian)
    expected = [[0.5, nan, nan, nan, nan, nan], [1.25, 2.5, 3.75, 1e-3, 70.0, 65535.0]]
    np.testing.assert_allclose(conversions.depth_from_msg(msg), expected, rtol=1e-6)


def test_depth_scale_replaces_the_unit_of_the_encoding():
    msg = image_msg('16UC1', [struct.pack('<6H', 0, 1000, 2, 3, 4, 5)])
    np.testing.assert_allclose(conversions.depth_from_msg(msg, depth_scale=0.0001)[0, 1], 0.1)
    msg = image_msg('32FC1', [struct.pack('<6f', 1, 1500, 1, 1, 1, 1)])
    np.testing.assert_allclose(conversions.depth_from_msg(msg, depth_scale=0.001)[0, 1], 1.5)


@pytest.mark.parametrize('scale', [1e-4, 7.0, 1000.0])
@pytest.mark.parametrize('range_m', [(0.0, math.inf), (0.3, 4.7)])
@pytest.mark.parametrize(('encoding', 'dtype'), [('16UC1', np.uint16), ('32FC1', np.float32)])
def test_depth_is_invalid_where_the_definition_says_so(encoding, dtype, scale, range_m):
    rng = np.random.default_rng(5)
    raw = rng.choice([0, 1, 47, 4700, 46999, 47000, 47001, 65534, 65535], (HEIGHT, WIDTH))
    raw = raw.astype(dtype)
    if dtype is np.float32:
        raw[0] = [math.nan, math.inf, -math.inf, -3, -0.0, 3.4e38]
    msg = image_msg(encoding, [row.tobytes() for row in raw])
    with np.errstate(over='ignore'):
        expected = raw.astype(np.float32) * np.float32(scale)
        got = conversions.depth_from_msg(msg, scale, range_m)
    for at, value in np.ndenumerate(raw):
        none = not math.isfinite(expected[at]) or value <= 0 or (dtype, value) == (np.uint16, 65535)
        if none or not np.float32(range_m[0]) <= expected[at] <= np.float32(range_m[1]):
            expected[at] = math.nan
    np.testing.assert_array_equal(got, expected)


def test_messages_of_rosbags_give_the_same():
    colour = image_msg('bgr8', random_rows(3), padding=2)
    depth = image_msg('16UC1', [struct.pack('>6H', *range(6))] * HEIGHT, 4, is_bigendian=1)
    ours = conversions.frame_from_msgs(colour, depth, INTRINSICS)
    theirs = conversions.frame_from_msgs(as_rosbags(colour), as_rosbags(depth), INTRINSICS)
    np.testing.assert_array_equal(ours.rgb, theirs.rgb)
    np.testing.assert_array_equal(ours.depth_m, theirs.depth_m)


def test_frame_does_not_change_the_messages():
    depth = image_msg('32FC1', [struct.pack('<6f', *range(6))] * HEIGHT)
    colour = image_msg('rgb8', random_rows(3))
    before = bytes(depth.data), bytes(colour.data)
    frame = conversions.frame_from_msgs(colour, depth, INTRINSICS, depth_range_m=(2.0, 4.0))
    assert (bytes(depth.data), bytes(colour.data)) == before
    np.testing.assert_array_equal(frame.depth_m[0], [np.nan, np.nan, 2, 3, 4, np.nan])


@pytest.mark.parametrize(
    ('convert', 'encoding', 'bytes_per_pixel'),
    [
        (conversions.rgb_from_msg, 'rgb8', 3),
        (conversions.rgb_from_msg, 'bayer_rggb8', 1),
        (conversions.depth_from_msg, '16UC1', 2),
        (conversions.depth_from_msg, '32FC1', 4),
        (conversions.mask_from_msg, 'mono8', 1),
    ],
)
class TestBadImages:
    def test_short_data(self, convert, encoding, bytes_per_pixel):
        msg = image_msg(encoding, random_rows(bytes_per_pixel), padding=2)
        needed = len(msg.data)
        msg.data = msg.data[:-1]
        with pytest.raises(InputError, match=f'needs {needed} bytes of data, got {needed - 1}'):
            convert(msg)

    def test_no_data(self, convert, encoding, bytes_per_pixel):
        msg = image_msg(encoding, random_rows(bytes_per_pixel))
        msg.data = array.array('B')
        with pytest.raises(InputError, match='got 0'):
            convert(msg)

    def test_short_step(self, convert, encoding, bytes_per_pixel):
        msg = image_msg(encoding, random_rows(bytes_per_pixel))
        msg.step -= 1
        with pytest.raises(InputError, match=f'step of {WIDTH * bytes_per_pixel} bytes or more'):
            convert(msg)

    def test_empty(self, convert, encoding, bytes_per_pixel):
        with pytest.raises(InputError, match='0x0 .* is empty'):
            convert(Image(encoding=encoding))

    def test_unknown_encoding(self, convert, encoding, bytes_per_pixel):
        msg = image_msg('64FC3', random_rows(bytes_per_pixel))
        with pytest.raises(InputError, match='64FC3'):
            convert(msg)


def test_longer_data_than_needed_are_read():
    rows = random_rows(3)
    msg = image_msg('rgb8', rows)
    msg.data.frombytes(b'trailing')
    np.testing.assert_array_equal(conversions.rgb_from_msg(msg), rows.reshape(HEIGHT, WIDTH, 3))


def test_odd_width_yuv_is_an_error_about_the_image():
    rows = np.zeros((2, 5 * 2), np.uint8)
    with pytest.raises(conversions.MessageError, match='5x2 yuv422'):
        conversions.rgb_from_msg(image_msg('yuv422', rows, width=5))


def test_frame_names_the_stream_that_is_wrong():
    colour = image_msg('rgb8', random_rows(3))
    depth = image_msg('16UC1', random_rows(2))
    with pytest.raises(conversions.MessageError, match='jpeg') as caught:
        conversions.frame_from_msgs(image_msg('jpeg', random_rows(3)), depth, INTRINSICS)
    assert caught.value.stream == 'rgb/image'
    with pytest.raises(conversions.MessageError, match='32SC1') as caught:
        conversions.frame_from_msgs(colour, image_msg('32SC1', random_rows(4)), INTRINSICS)
    assert caught.value.stream == 'depth/image'
    small = image_msg('16UC1', random_rows(2)[:3])
    with pytest.raises(conversions.MessageError, match='depth 6x3, colour 6x4') as caught:
        conversions.frame_from_msgs(colour, small, INTRINSICS)
    assert caught.value.stream == 'depth/image'
    other = CameraIntrinsics(8, 4, 5.0, 5.0, 3.5, 1.5)
    with pytest.raises(conversions.MessageError, match='intrinsics are for 8x4') as caught:
        conversions.frame_from_msgs(colour, depth, other)
    assert caught.value.stream == 'rgb/camera_info'


def test_intrinsics_come_from_k_or_from_p():
    info = CameraInfo(
        width=640,
        height=480,
        k=[500.0, 0.0, 320.0, 0.0, 501.0, 240.0, 0.0, 0.0, 1.0],
        p=[400.0, 0.0, 310.0, 0.0, 0.0, 401.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    k = conversions.intrinsics_from_msg(info)
    assert k == CameraIntrinsics(640, 480, 500.0, 501.0, 320.0, 240.0)
    p = conversions.intrinsics_from_msg(info, rectified=True)
    assert p == CameraIntrinsics(640, 480, 400.0, 401.0, 310.0, 230.0)


def test_intrinsics_of_zeros_are_refused():
    with pytest.raises(conversions.MessageError, match='fx=0.0.*calibrate') as caught:
        conversions.intrinsics_from_msg(CameraInfo(width=640, height=480))
    assert caught.value.stream == 'rgb/camera_info'
    with pytest.raises(conversions.MessageError, match='0x0'):
        conversions.intrinsics_from_msg(CameraInfo(k=[1.0] * 9))


def test_intrinsics_follow_region_and_binning():
    """A ray through a binned pixel's centre is the ray through the middle of its block."""
    info = CameraInfo(
        width=640,
        height=480,
        k=[500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0],
        binning_x=2,
        binning_y=4,
        roi=RegionOfInterest(x_offset=100, y_offset=40, width=200, height=160),
    )
    camera = conversions.intrinsics_from_msg(info)
    assert camera.size == (40, 100)
    u, v = 7, 11
    full_u, full_v = 100 + 2 * u + 0.5, 40 + 4 * v + 1.5
    assert (u - camera.cx) / camera.fx == pytest.approx((full_u - 320) / 500)
    assert (v - camera.cy) / camera.fy == pytest.approx((full_v - 240) / 500)


def test_camera_info_round_trip():
    msg = conversions.camera_info_to_msg(INTRINSICS, HEADER)
    assert msg.header == HEADER
    assert conversions.intrinsics_from_msg(msg) == INTRINSICS
    assert conversions.intrinsics_from_msg(msg, rectified=True) == INTRINSICS


def test_outputs_carry_header_bytes_and_sizes():
    labels = np.arange(24, dtype=np.uint8).reshape(HEIGHT, WIDTH)[:, ::-1]  # not contiguous
    msg = conversions.mask_to_msg(labels, HEADER)
    assert (msg.height, msg.width, msg.step, msg.encoding) == (HEIGHT, WIDTH, WIDTH, 'mono8')
    assert msg.header == HEADER
    assert list(msg.data) == labels.ravel().tolist()
    np.testing.assert_array_equal(conversions.mask_from_msg(msg), labels)

    rgb = random_rows(3).reshape(HEIGHT, WIDTH, 3)
    msg = conversions.rgb_to_msg(rgb, HEADER)
    assert (msg.step, msg.encoding) == (WIDTH * 3, 'rgb8')
    np.testing.assert_array_equal(conversions.rgb_from_msg(msg), rgb)


def test_depth_round_trip_is_exact_for_every_millimetre():
    raw = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    depth_m = raw.astype(np.float32) * np.float32(0.001)
    msg = conversions.depth_to_msg(depth_m, HEADER)
    back = np.frombuffer(msg.data, np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(back.ravel()[:-1], raw.ravel()[:-1])
    assert back.ravel()[-1] == 0  # 65.535 m is the saturated value: no measurement
    np.testing.assert_array_equal(
        conversions.depth_from_msg(msg).ravel()[1:-1], depth_m.ravel()[1:-1]
    )


def test_depth_that_is_no_measurement_is_zero():
    depth_m = np.array([[np.nan, np.inf, -np.inf, -1.0, 70.0, 0.0004]], np.float32)
    assert not any(conversions.depth_to_msg(depth_m, HEADER).data)


def test_confidence_spans_the_byte():
    confidence = np.array([[0.0, 0.5, 1.0, np.nan, 1.5, -0.1]], np.float32)
    assert list(conversions.confidence_to_msg(confidence, HEADER).data) == [0, 128, 255, 0, 255, 0]


def test_label_names_are_json_with_id_name_and_colour():
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    msg = conversions.label_names_to_msg(('wall', 'floor'), palette)
    assert json.loads(msg.data) == [
        {'id': 0, 'name': 'wall', 'rgb': [1, 2, 3]},
        {'id': 1, 'name': 'floor', 'rgb': [4, 5, 6]},
    ]
    assert conversions.label_names_from_msg(msg) == ('wall', 'floor')


@pytest.mark.parametrize('text', ['', 'nonsense', '{}5', '[{"id": 0}]', '[1]', '{"id": 3}'])
def test_label_names_that_are_no_list_are_refused(text):
    with pytest.raises(InputError):
        conversions.label_names_from_msg(String(data=text))


def test_label_ids_with_a_gap_are_refused():
    text = json.dumps([{'id': 0, 'name': 'a'}, {'id': 2, 'name': 'b'}])
    with pytest.raises(InputError, match=r'\[0, 2\]'):
        conversions.label_names_from_msg(String(data=text))


def test_label_info_has_the_fields_of_vision_msgs(monkeypatch):
    @dataclass
    class VisionClass:
        class_id: int
        class_name: str

    @dataclass
    class LabelInfo:
        header: Header
        class_map: list
        threshold: float = 0.0

    package = SimpleNamespace(VisionClass=VisionClass, LabelInfo=LabelInfo)
    monkeypatch.setattr(conversions, 'vision_msgs', package)
    header = Header(frame_id='camera')
    info = conversions.label_info_to_msg(('wall', 'floor'), header)
    assert info == LabelInfo(header, [VisionClass(0, 'wall'), VisionClass(1, 'floor')])


def test_stamp_is_exact_in_nanoseconds():
    header = Header(stamp=Time(sec=1_800_000_000, nanosec=999_999_999))
    assert conversions.stamp_ns(header) == 1_800_000_000_999_999_999
