# SPDX-License-Identifier: Apache-2.0
"""Each problem of the inputs of a node or bag is reported once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.camera_info import intrinsics_from_msg
from sgnet_ros.conversions.images import MessageError, depth_to_msg
from sgnet_ros.conversions.plausibility import FrameChecks

GOOD = [30.0, 0, 17.5, 0, 30, 11.5, 0, 0, 1]
FISHEYE = {'distortion_model': 'equidistant', 'd': [0.35, -0.2, 0.05, 0.01]}


@pytest.fixture
def checks():
    """FrameChecks whose reports are `checks.seen`."""
    seen = []
    checks = FrameChecks(lambda stream, text: seen.append(f'{stream}: {text}'), '--depth-scale')
    checks.seen = seen
    return checks


@pytest.mark.parametrize(
    ('changes', 'rectified', 'found'),
    [
        ({}, False, []),
        ({'k': [60.0, 0, 36, 0, 60, 24, 0, 0, 1]}, False, ['(36, 24) is outside the images']),
        ({'k': [3.0, 0, 17, 0, 3, 11, 0, 0, 1]}, False, ['161 degrees']),
        (FISHEYE, False, ['image_proc and use the rectified topic']),
        (FISHEYE | {'p': [30.0, 0, 17, 0, 0, 30, 11, 0, 0, 0, 1, 0]}, True, []),
        ({'roi': RegionOfInterest(x_offset=30, y_offset=20, width=6, height=4)}, False, []),
    ],
)
def test_cameras(checks, changes, rectified, found):
    info = CameraInfo(**({'width': 36, 'height': 24, 'k': GOOD} | changes))
    for _ in range(2):
        checks.camera('rgb/camera_info', info, rectified)
    assert len(checks.seen) == len(found)
    for text, expected in zip(checks.seen, found, strict=True):
        assert text.startswith('rgb/camera_info: ')
        assert expected in text


UINT = st.integers(0, 2**32 - 1) | st.integers(0, 2000)


def matrix(size):
    """Numbers of any kind, half of the matrices with usual ones in their first places."""
    any_numbers = st.lists(st.floats(), min_size=size, max_size=size)
    return any_numbers | any_numbers.map(lambda numbers: (GOOD + numbers)[:size])


@given(
    st.builds(
        CameraInfo,
        width=UINT,
        height=UINT,
        k=matrix(9),
        p=matrix(12),
        d=st.lists(st.floats(), max_size=15),
        distortion_model=st.sampled_from(['plumb_bob', 'equidistant', '', 'ftheta']),
        binning_x=UINT,
        binning_y=UINT,
        roi=st.builds(RegionOfInterest, x_offset=UINT, y_offset=UINT, width=UINT, height=UINT),
    ),
    st.booleans(),
)
def test_any_camera_info_is_judged_or_refused(info, rectified):
    seen = []
    checks = FrameChecks(lambda stream, text: seen.append(text), '--depth-scale')
    try:
        camera = intrinsics_from_msg(info, rectified)
    except MessageError:
        return
    checks.camera('rgb/camera_info', info, rectified)
    checks.registration(Header(), Header(), camera, camera)
    assert all('\n' not in text for text in seen)


def test_depth_is_judged_by_its_first_image_with_measurements(checks):
    metres = np.full((24, 36), np.nan, np.float32)
    checks.depth(depth_to_msg(metres, Header()), 0.0)
    metres[:12] = 2.5
    for scale in (0.01, 0.01, 0.1):
        checks.depth(depth_to_msg(metres, Header()), scale)
    (text,) = checks.seen
    assert text.startswith('depth/image: median depth is 25 m')
    assert 'set --depth-scale to the unit of the images: 0.001 for millimetres' in text


def test_another_camera_of_depth_is_reported_once(checks):
    rgb = CameraIntrinsics(36, 24, 30.0, 30.0, 17.5, 11.5)
    depth = CameraIntrinsics(36, 24, 20.0, 20.0, 17.5, 11.5)
    header, other = Header(frame_id='0'), Header(frame_id='1')
    checks.registration(header, header, rgb, None)
    checks.registration(header, header, rgb, rgb)
    assert checks.seen == []
    checks.registration(header, header, rgb, depth)
    checks.registration(header, other, rgb, depth)
    (text,) = checks.seen
    assert 'fx = 20' in text
    assert '--extrinsics' in text
