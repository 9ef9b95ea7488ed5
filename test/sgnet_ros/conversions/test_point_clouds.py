# SPDX-License-Identifier: Apache-2.0
"""Organised clouds against a loop over pixels."""

import math
import struct

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from sgnet_core.types import CameraIntrinsics, RgbdFrame, SegmentationResult
from sgnet_ros.conversions.images import MessageError
from sgnet_ros.conversions.point_clouds import points_from_msg, points_to_msg

SIZES = {PointField.FLOAT32: ('f', 4), PointField.UINT8: ('B', 1)}


def segmented(height=5, width=7):
    rng = np.random.default_rng(4)
    camera = CameraIntrinsics(width, height, fx=6.5, fy=7.25, cx=2.75, cy=1.5)
    depth_m = rng.uniform(0.4, 7, camera.size).astype(np.float32)
    depth_m[rng.random(camera.size) < 0.3] = np.nan
    frame = RgbdFrame(rng.integers(0, 256, (*camera.size, 3), np.uint8), depth_m, camera)
    labels = rng.integers(0, 256, camera.size, np.uint8)
    confidence = rng.random(camera.size, np.float32)
    return frame, SegmentationResult(labels, confidence, ('all',))


def points_of(msg):
    """{(row, column): {field: value}}, read byte by byte."""
    data, points = bytes(msg.data), {}
    assert len(data) == msg.height * msg.row_step
    for row, column in np.ndindex(msg.height, msg.width):
        start = row * msg.row_step + column * msg.point_step
        points[row, column] = {
            field.name: struct.unpack_from(
                f'<{SIZES[field.datatype][0]}', data, start + field.offset
            )[0]
            for field in msg.fields
        }
    return points


@pytest.mark.parametrize('stride', [1, 2, 3, 9])
def test_points_belong_to_their_pixels(stride):
    frame, result = segmented()
    header = Header(frame_id='optical frame')
    msg = points_to_msg(frame, result, header, stride)
    assert msg.header == header
    assert (msg.height, msg.width) == (math.ceil(5 / stride), math.ceil(7 / stride))
    assert not msg.is_dense
    for (row, column), point in points_of(msg).items():
        v, u = row * stride, column * stride
        z = float(frame.depth_m[v, u])
        camera = frame.intrinsics
        expected = [(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z]
        np.testing.assert_allclose([point[axis] for axis in 'xyz'], expected, rtol=1e-5)
        red, green, blue = frame.rgb[v, u].tolist()
        assert struct.pack('<f', point['rgb']) == bytes([blue, green, red, 0])
        assert point['label'] == result.labels[v, u]
        assert point['confidence'] == result.confidence[v, u]


def test_fields_are_aligned_and_do_not_overlap():
    msg = points_to_msg(*segmented(), Header())
    assert [f.name for f in msg.fields] == ['x', 'y', 'z', 'rgb', 'label', 'confidence']
    taken = [f.offset + i for f in msg.fields for i in range(SIZES[f.datatype][1])]
    assert len(set(taken)) == len(taken)
    assert max(taken) < msg.point_step
    assert all(f.offset % SIZES[f.datatype][1] == 0 for f in msg.fields), 'aligned'
    assert msg.row_step == msg.width * msg.point_step


def test_sensor_msgs_py_reads_the_cloud():
    """`create_cloud` and `reshape_organized_cloud` of sensor_msgs_py would transpose."""
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    frame, result = segmented()
    msg = points_to_msg(frame, result, Header())
    points = point_cloud2.read_points(msg).reshape(msg.height, msg.width)
    assert points.shape == (5, 7)
    np.testing.assert_array_equal(points['z'], frame.depth_m)
    np.testing.assert_array_equal(points['label'], result.labels)
    np.testing.assert_array_equal(points['confidence'], result.confidence)


@pytest.mark.parametrize('padding', [0, 5])
def test_points_from_msg_reads_what_was_written(padding):
    frame, result = segmented()
    msg = points_to_msg(frame, result, Header())
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.row_step)
    msg.data = np.pad(rows, ((0, 0), (0, padding))).tobytes()
    msg.row_step += padding
    xyz, rgb, labels = points_from_msg(msg)
    np.testing.assert_array_equal(xyz[..., 2], frame.depth_m)
    np.testing.assert_array_equal(rgb, frame.rgb)
    np.testing.assert_array_equal(labels, result.labels)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda msg: setattr(msg, 'fields', msg.fields[:3]), "field 'rgb'"),
        (lambda msg: setattr(msg, 'is_bigendian', True), "little-endian field 'x'"),
        (lambda msg: setattr(msg, 'data', msg.data[:-1]), 'too few'),
        (lambda msg: setattr(msg, 'point_step', 2), "field 'x'"),
        (lambda msg: setattr(msg, 'width', 8), 'too few'),
    ],
)
def test_points_from_msg_refuses_other_clouds(spoil, message):
    msg = points_to_msg(*segmented(), Header())
    spoil(msg)
    with pytest.raises(MessageError, match=message):
        points_from_msg(msg)
