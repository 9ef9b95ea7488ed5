# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS: depth registration, gravity and HHA."""

import struct
from types import SimpleNamespace

import fake_tf2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from fake_node import FakeSegmenter
from fake_tf2 import stamped
from ros_harness import MASK, SECOND, T0, image
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image

from sgnet_core.errors import ConfigError, InputError
from sgnet_core.geometry.hha import encode_hha
from sgnet_core.types import CameraIntrinsics, Gravity
from sgnet_ros.input import tf_lookup

HHA = '/segmentation/debug/hha'
DEPTH_CAMERA = CameraInfo(width=8, height=4, k=[5.0, 0, 3.5, 0, 5.0, 1.5, 0, 0, 1.0])
TO_THE_RIGHT = [0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
"""Pose of the depth camera: at 2 m, it shifts depth by one pixel to the right."""


@pytest.fixture
def tf(monkeypatch):
    """TF, filled by `tf()`, the buffer that the node made last."""
    monkeypatch.setattr(tf_lookup, 'tf2_ros', fake_tf2)
    return lambda: fake_tf2.Buffer.latest


def hha_segmenter():
    segmenter = FakeSegmenter()
    segmenter.input_spec = SimpleNamespace(spatial='hha')
    return segmenter


def registering(ros, segmenter, **parameters):
    """Node and camera with depth of a camera of its own, 8x4, and its camera_info."""
    node, camera = ros.node_and_camera(segmenter, depth__register=True, **parameters)
    camera.depth_frame = 'depth frame'
    ros.spin_until(camera.depth_info.get_subscription_count, 'the node hears depth/camera_info')
    return node, camera


def send_unaligned(camera, at_ns):
    """Two metres, and nothing in the last column."""
    millimetres = np.full((4, 8), 2000, np.uint16)
    millimetres[:, 7] = 0
    camera.send(at_ns, depth=image('16UC1', millimetres.tobytes(), width=8))


def pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def test_depth_is_registered_by_given_extrinsics(ros):
    """Principal points move column u of depth to u - 1 of colour; the pose moves it back to u."""
    segmenter = FakeSegmenter()
    node, camera = registering(ros, segmenter, depth__extrinsics=TO_THE_RIGHT)
    send_unaligned(camera, T0)
    dropped_before_info = node.counters.counts().dropped
    camera.depth_info.publish(DEPTH_CAMERA)
    camera.output_at(T0)
    depth_m = segmenter.frames[0].depth_m
    assert dropped_before_info == {}, 'the pair waits for depth/camera_info'
    assert depth_m.shape == (4, 6)
    np.testing.assert_allclose(depth_m, 2.0, rtol=1e-6)
    assert segmenter.frames[0].intrinsics == CameraIntrinsics(6, 4, 5.0, 5.0, 2.5, 1.5)
    assert not any('not aligned' in line for line in ros.log())


def test_implausible_inputs_are_logged_once(ros):
    """Depth in millimetres as 32FC1, of another camera in the same frame; a fisheye lens."""
    node, camera = ros.node_and_camera()
    next_to_depth = camera.node.create_publisher(CameraInfo, 'camera_info', 10)
    ros.spin_until(next_to_depth.get_subscription_count, 'the node hears the depth camera_info')
    next_to_depth.publish(CameraInfo(width=6, height=4, k=[3.0, 0, 2.5, 0, 3.0, 1.5, 0, 0, 1.0]))
    info = CameraInfo(width=6, height=4, k=[5.0, 0, 2.5, 0, 5.0, 1.5, 0, 0, 1.0])
    info.distortion_model, info.d = 'equidistant', [0.35, -0.2, 0.05, 0.01]
    ros.spin_until(lambda: 'depth/camera_info' in node._subscriber.cameras.infos, 'camera_info')
    for count in range(3):
        millimetres = struct.pack('<24f', *range(1000, 3400, 100))
        depth = image('32FC1', millimetres)
        camera.send(T0 + count * SECOND, depth=depth, info=info)
        camera.output_at(T0 + count * SECOND)
    for text in (
        'depth/image (-> /cam/depth): median depth is 2100 m (raw 2100, 1 m per unit), expected '
        '0.3 to 10 m; set the parameter depth.scale to the unit of the images: 0.001 for milli',
        'rgb/camera_info (-> /cam/info): the lens distortion (equidistant) displaces',
        'depth/image (-> /cam/depth): the camera_info of depth (fx = 3,',
    ):
        assert sum(text in line for line in ros.log()) == 1, text
    assert node.counters.counts().masks == 3


def test_depth_is_registered_by_tf_or_the_missing_transform_is_reported(ros, tf):
    segmenter = FakeSegmenter()
    node, camera = registering(ros, segmenter, watchdog__timeout=3600.0)
    camera.depth_info.publish(DEPTH_CAMERA)
    for i in range(2):
        send_unaligned(camera, T0 + i * SECOND)
        ros.wait_for_drops(node, no_transform=i + 1)
    text = "no transform from 'depth frame' to 'optical frame'"
    ros.wait_for_log(text)
    (warning,) = [line for line in ros.log() if text in line]
    assert 'depth/image (-> /cam/depth)' in warning
    assert 'give depth.extrinsics' in warning
    node._watchdog._check()
    assert f'pairs 2, masks 0, dropped: no_transform 2 ({text}' in node._watchdog.problem

    tf().set_transform_static(stamped('optical frame', 'depth frame', (-0.4, 0, 0)), 'test')
    send_unaligned(camera, T0 + 5 * SECOND)
    camera.output_at(T0 + 5 * SECOND)
    # To the left by one: column u is u - 2 there, and of the seven the last is at 4.
    depth_m = segmenter.frames[0].depth_m
    np.testing.assert_allclose(depth_m[:, :5], 2.0, rtol=1e-6)
    assert np.isnan(depth_m[:, 5]).all()
    assert node.counters.counts().dropped == {'no_transform': 2}


def test_depth_camera_info_of_another_size_is_reported(ros):
    node, camera = registering(ros, FakeSegmenter(), depth__extrinsics=TO_THE_RIGHT)
    camera.depth_info.publish(CameraInfo(width=6, height=4, k=DEPTH_CAMERA.k))
    send_unaligned(camera, T0)
    ros.wait_for_drops(node, bad_depth=1)
    ros.wait_for_log('depth is 8x4', '6x4')
    camera.depth_info.publish(CameraInfo(width=8, height=4))
    received = node.counters.counts().received
    ros.spin_until(
        lambda: node.counters.counts().received != received, 'the second depth/camera_info'
    )
    send_unaligned(camera, T0 + SECOND)
    ros.wait_for_drops(node, bad_depth=1, bad_depth_camera_info=1)


def test_depth_in_another_frame_is_reported_once(ros):
    node, camera = ros.node_and_camera(FakeSegmenter(), (MASK,))
    camera.depth_frame = 'depth frame'
    for i in range(2):
        camera.send(T0 + i * SECOND)
        camera.output_at(T0 + i * SECOND)
    doubt = "depth is in frame 'depth frame', colour in 'optical frame': not aligned"
    assert len([line for line in ros.log() if doubt in line]) == 1


@pytest.mark.parametrize(
    ('parameters', 'down'),
    [({'hha__gravity_source': 'level'}, (0.0, 1.0, 0.0)),
     ({'hha__gravity_source': 'vector', 'hha__gravity_vector': [0, 3, 4]}, (0.0, 0.6, 0.8))],
)  # fmt: skip
def test_debug_hha_equals_the_network_input(ros, parameters, down):
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter, (MASK, HHA), hha__camera_height=1.1, **parameters)
    noise = np.random.default_rng(2).integers(1000, 2000, 24).astype(np.uint16)
    noise[5] = 0
    camera.send(T0, depth=image('16UC1', noise.tobytes()))
    camera.output_at(T0, HHA)
    (message,) = camera.received[HHA]
    assert (message.encoding, message.header.frame_id) == ('rgb8', 'optical frame')
    gravity = Gravity(np.array(down), 1.1)
    depth_m = np.where(noise, noise / 1000, np.nan).reshape(4, 6)
    expected = encode_hha(depth_m, segmenter.frames[0].intrinsics, gravity)
    difference = np.abs(pixels(message).astype(int) - expected)
    assert difference.max() <= 1
    assert len(np.unique(expected)) > 20
    assert pixels(message)[0, 5].tolist() == [0, 0, 0]


def test_gravity_is_read_only_if_needed(ros, tf):
    """Masks of a depth network need no TF, even if ~/debug/hha has a subscriber."""
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter, hha__gravity_source='tf')
    camera.send(T0)
    camera.output_at(T0)
    assert segmenter.frames[0].gravity is None
    camera.listen(Image, HHA)
    ros.subscribed(node, 2)
    camera.send(T0 + SECOND)
    camera.output_at(T0 + SECOND)
    text = "no ~/debug/hha: no transform from 'odom' to 'optical frame'"
    ros.wait_for_log(text)
    assert node.counters.counts().dropped == {}
    tf().set_transform_static(stamped('odom', 'optical frame', (0, 0, 1.5)), 'test')
    camera.send(T0 + 2 * SECOND)
    camera.output_at(T0 + 2 * SECOND, HHA)
    assert len(camera.received[HHA]) == 1


def test_gravity_and_height_come_from_tf(ros, tf):
    """A camera 0.8 m above the floor that looks down by 20 degrees, rolled by 5."""
    segmenter = hha_segmenter()
    parameters = {'hha__gravity_source': 'tf', 'hha__gravity_frame': 'base_footprint'}
    node, camera = ros.node_and_camera(segmenter, **parameters)
    camera.send(T0)
    ros.wait_for_drops(node, no_transform=1)
    pitch, roll = np.radians([20.0, 5.0])
    optical = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose = Rotation.from_euler('y', pitch) * optical * Rotation.from_euler('z', roll)
    tf().set_transform(
        stamped('base_footprint', 'optical frame', (0.2, 0.1, 0.8), pose, T0 + SECOND), 'test'
    )
    camera.listen(DiagnosticArray, '/diagnostics')
    camera.send(T0 + SECOND)
    camera.output_at(T0 + SECOND)
    gravity = segmenter.frames[0].gravity
    expected = [np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)]
    np.testing.assert_allclose(gravity.down, expected, atol=1e-9)
    assert gravity.camera_height_m == pytest.approx(0.8)

    def shown():
        statuses = [s for m in camera.received['/diagnostics'] for s in m.status]
        return [{kv.key: kv.value for kv in status.values} for status in statuses]

    wanted = {'gravity.camera_height_m': '0.80', 'tf.not_at_stamp': '0'}
    ros.spin_until(lambda: any(wanted.items() <= v.items() for v in shown()), 'diagnostics')


def test_gravity_is_estimated_for_an_hha_network(ros):
    """A wall gives no direction, so the estimate stays level; a parameter gives the height."""
    segmenter = hha_segmenter()
    node, camera = ros.node_and_camera(segmenter, hha__camera_height=0.6)
    camera.send(T0, depth=image('16UC1', struct.pack('<H', 1500) * 24))
    camera.output_at(T0)
    gravity = segmenter.frames[0].gravity
    np.testing.assert_allclose(gravity.down, [0, 1, 0], atol=1e-6)
    assert gravity.camera_height_m == 0.6


def test_gravity_and_tf_are_reset_after_a_time_jump(ros, tf, monkeypatch):
    resets = []
    monkeypatch.setattr(
        'sgnet_ros.input.gravity_source.GravityTracker.reset', lambda _: resets.append('gravity')
    )
    monkeypatch.setattr(fake_tf2.Buffer, 'clear', lambda _: resets.append('tf'))
    node, camera = registering(ros, hha_segmenter())
    tf().set_transform_static(stamped('optical frame', 'depth frame'), 'test')
    camera.depth_info.publish(DEPTH_CAMERA)
    for stamp, expected in ((T0, []), (T0 + SECOND, []), (T0 - 5 * SECOND, ['gravity', 'tf'])):
        send_unaligned(camera, stamp)
        camera.output_at(stamp)
        assert resets == expected


@pytest.mark.parametrize(
    ('parameters', 'error', 'text'),
    [
        ({'depth__extrinsics': [0.1] + [0.0] * 5 + [2.0]}, ConfigError, 'of length 2'),
        ({'hha__gravity_source': 'vector', 'hha__gravity_vector': [0.0] * 3}, InputError, 'down'),
        ({'depth__register': True}, ConfigError, 'need tf2_ros, which is absent'),
        ({'hha__gravity_source': 'tf'}, ConfigError, 'need tf2_ros, which is absent'),
    ],
)
def test_invalid_geometry_parameters_are_rejected(ros, monkeypatch, parameters, error, text):
    monkeypatch.setattr(tf_lookup, 'tf2_ros', None)
    monkeypatch.setitem(tf_lookup.CHOICES, 'tf2_ros', 'absent (for this test)')
    with pytest.raises(error, match=text):
        ros.segmentation(FakeSegmenter(), **parameters)
