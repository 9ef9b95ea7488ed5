# SPDX-License-Identifier: Apache-2.0
"""Intrinsics from messages and back: K or P, region of interest, binning."""

import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.camera_info import (
    camera_info_to_msg,
    camera_info_topics,
    intrinsics_from_msg,
    is_rectified,
    strided_camera_info,
)
from sgnet_ros.conversions.images import MessageError

INTRINSICS = CameraIntrinsics(6, 4, fx=5.0, fy=6.0, cx=2.5, cy=1.5)
HEADER = Header(frame_id='optical')


def test_intrinsics_come_from_k_or_from_p():
    info = CameraInfo(
        width=640,
        height=480,
        k=[500.0, 0.0, 320.0, 0.0, 501.0, 240.0, 0.0, 0.0, 1.0],
        p=[400.0, 0.0, 310.0, 0.0, 0.0, 401.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    k = intrinsics_from_msg(info)
    assert k == CameraIntrinsics(640, 480, 500.0, 501.0, 320.0, 240.0)
    p = intrinsics_from_msg(info, rectified=True)
    assert p == CameraIntrinsics(640, 480, 400.0, 401.0, 310.0, 230.0)


def test_zero_intrinsics_are_rejected():
    with pytest.raises(MessageError, match='fx=0.0.*calibrate') as caught:
        intrinsics_from_msg(CameraInfo(width=640, height=480))
    assert caught.value.stream == 'rgb/camera_info'
    with pytest.raises(MessageError, match='0x0'):
        intrinsics_from_msg(CameraInfo(k=[1.0] * 9))


K, P = [5.0, 0, 3, 0, 5, 2, 0, 0, 1], [4.0, 0, 3, 0, 0, 4, 2, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ('rectified', 'k', 'p', 'd', 'fx'),
    [
        (False, [0.0] * 9, P, [], 4.0),  # a driver that fills only P
        (False, K, [0.0] * 12, [0.1], 5.0),
        (True, K, [0.0] * 12, [0.0] * 5, 5.0),  # the RealSense SDK fills only K
        (True, K, [0.0] * 12, [0.1] * 5, None),  # unknown after rectification
    ],
)
def test_the_matrix_that_is_filled_counts(rectified, k, p, d, fx):
    info = CameraInfo(width=6, height=4, k=k, p=p, d=d)
    if fx is None:
        with pytest.raises(MessageError, match='calibrate'):
            intrinsics_from_msg(info, rectified)
    else:
        assert intrinsics_from_msg(info, rectified).fx == fx


@pytest.mark.parametrize('focal', [1e-30, 1e-4, 1e9])
def test_impossible_focal_lengths_are_rejected(focal):
    k = [focal, 0.0, 320.0, 0.0, focal, 240.0, 0.0, 0.0, 1.0]
    with pytest.raises(MessageError, match='cannot be those of images of 640x480'):
        intrinsics_from_msg(CameraInfo(width=640, height=480, k=k))


@pytest.mark.parametrize(
    ('image_topic', 'info_topic'),
    [
        ('/camera/depth/image_raw', '/camera/depth/camera_info'),
        ('/camera/depth/image_raw/compressedDepth', '/camera/depth/camera_info'),
        ('/depth', '/camera_info'),
        ('/device_0/sensor_0/Depth_0/image/data', '/device_0/sensor_0/Depth_0/info/camera_info'),
    ],
)
def test_camera_info_is_next_to_its_images(image_topic, info_topic):
    assert info_topic in camera_info_topics(image_topic)


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
    camera = intrinsics_from_msg(info)
    assert camera.size == (40, 100)
    u, v = 7, 11
    full_u, full_v = 100 + 2 * u + 0.5, 40 + 4 * v + 1.5
    assert (u - camera.cx) / camera.fx == pytest.approx((full_u - 320) / 500)
    assert (v - camera.cy) / camera.fy == pytest.approx((full_v - 240) / 500)
    # Every third pixel of it: K and P hold everything, P also the baseline of a stereo camera.
    info.p = [500.0, 0.0, 320.0, -60.0, 0.0, 500.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    strided = camera.strided(3)
    msg = strided_camera_info(info, 3, strided.size)
    for rectified in (False, True):
        read = intrinsics_from_msg(msg, rectified)
        assert read.size == strided.size == (14, 34)
        for name in ('fx', 'fy', 'cx', 'cy'):
            assert getattr(read, name) == pytest.approx(getattr(strided, name))
    assert msg.p[3] == pytest.approx(-60 / 6)


def test_camera_info_round_trip():
    msg = camera_info_to_msg(INTRINSICS, HEADER)
    assert msg.header == HEADER
    assert intrinsics_from_msg(msg) == INTRINSICS
    assert intrinsics_from_msg(msg, rectified=True) == INTRINSICS


@pytest.mark.parametrize(
    ('topic', 'rectified'),
    [
        ('/cam/image_rect/compressed', True),
        ('/cam/image_rect_color', True),
        ('/cam/image_raw/compressed', False),
        ('/image_rect/cam/image_raw/compressed', False),
    ],
)
def test_rectified_images_are_known_by_their_topic(topic, rectified):
    assert is_rectified(topic) == rectified
