# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS: compressed inputs, and what the watchdog says about transports."""

import array

import numpy as np
import pytest
from compressed_bytes import compressed_depth, png
from fake_node import FakeSegmenter
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_harness import MASK, SECOND, T0, stamps
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sgnet_core.types import CameraIntrinsics
from sgnet_ros.topics import message_type, resolved_topic, topic_text

RGB = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
DEPTH = np.arange(0, 4800, 200, dtype=np.uint16).reshape(4, 6)
COMPRESSED = {'image_transport': 'compressed', 'depth_transport': 'compressedDepth'}


def started(ros, segmenter, **parameters):
    """Node and camera, connected by compressed topics, the camera listening to masks."""
    node = ros.segmentation(segmenter, qos__input='reliable', **COMPRESSED, **parameters)
    camera = ros.camera()
    camera.rgb = camera.node.create_publisher(CompressedImage, '/cam/rgb/compressed', 10)
    camera.depth = camera.node.create_publisher(CompressedImage, '/cam/depth/compressedDepth', 10)
    camera.listen(Image, MASK)
    camera.connect(MASK)
    ros.subscribed(node)
    return node, camera


def compressed(image_format, data):
    return CompressedImage(format=image_format, data=array.array('B', data))


def send(camera, stamp, codec, **parts):
    depth = compressed(f'16UC1; compressedDepth {codec}', compressed_depth(DEPTH, codec))
    rgb = compressed('rgb8; png compressed bgr8', png(RGB))
    camera.send(stamp, **{'rgb': rgb, 'depth': depth, **parts})


def test_node_segments_compressed_pairs(ros):
    segmenter = FakeSegmenter()
    _, camera = started(ros, segmenter)
    for second, codec in enumerate(('png', 'rvl')):
        send(camera, T0 + second * SECOND, codec)
        camera.wait(second + 1)
    assert stamps(camera.received[MASK]) == [T0, T0 + SECOND]
    assert camera.received[MASK][0].header.frame_id == 'optical frame'
    for frame in segmenter.frames:
        np.testing.assert_array_equal(frame.rgb, RGB)
        np.testing.assert_allclose(frame.depth_m.ravel()[1:], DEPTH.ravel()[1:] / 1e3, rtol=1e-6)
        assert np.isnan(frame.depth_m[0, 0])


def test_intrinsics_from_parameters_replace_camera_info(ros):
    """The compressed image gives their size; the camera_info is invalid."""
    segmenter = FakeSegmenter()
    intrinsics = {'camera__fx': 7.0, 'camera__fy': 8.0, 'camera__cx': 2.0, 'camera__cy': 1.0}
    _, camera = started(ros, segmenter, **intrinsics)
    send(camera, T0, 'png', info=CameraInfo())
    camera.wait()
    assert segmenter.frames[0].intrinsics == CameraIntrinsics(6, 4, 7.0, 8.0, 2.0, 1.0)


def test_node_survives_damaged_compressed_images(ros):
    node, camera = started(ros, FakeSegmenter())
    send(camera, T0, 'rvl', rgb=compressed('jpeg', b'\xff\xd8 and no more'))
    ros.wait_for_drops(node, bad_rgb=1)
    cut = compressed('16UC1; compressedDepth rvl', compressed_depth(DEPTH, 'rvl')[:-8])
    send(camera, T0 + SECOND, 'rvl', depth=cut)
    ros.wait_for_drops(node, bad_rgb=1, bad_depth=1)
    send(camera, T0 + 2 * SECOND, 'rvl')
    camera.wait()
    assert node.counters.counts().dropped == {'bad_rgb': 1, 'bad_depth': 1}
    ros.wait_for_log('rgb/image/compressed (-> /cam/rgb/compressed): ', "format 'jpeg'")
    ros.wait_for_log('depth/image/compressedDepth (-> /cam/depth/compressedDepth): RVL')


def test_watchdog_reports_images_of_the_other_transport(ros):
    ros.segmentation(FakeSegmenter(), watchdog__timeout=0.2, depth_transport='compressedDepth')
    camera = ros.camera()
    camera.node.destroy_publisher(camera.rgb)
    camera.node.create_publisher(CompressedImage, '/cam/rgb/compressed', 10)
    texts = (
        'rgb/image (-> /cam/rgb): 0 publishers; /cam/rgb/compressed is published: '
        'image_transport:=compressed',
        'depth/image/compressedDepth (-> /cam/depth/compressedDepth): 0 publishers; /cam/depth is '
        'published: depth_transport:=raw',
    )
    ros.wait_for_log(*texts)


def test_watchdog_reports_a_topic_of_another_type(ros):
    ros.segmentation(FakeSegmenter(), watchdog__timeout=0.2)
    # In one process a topic has one type.
    ros.external_node('camera').create_publisher(CompressedImage, '/cam/rgb', 10)
    text = (
        'rgb/image (-> /cam/rgb): 1 publisher of sensor_msgs/msg/CompressedImage, not '
        'sensor_msgs/msg/Image; remap rgb/image to the raw topic, without its suffix, and '
        'image_transport:=compressed'
    )
    ros.wait_for_log(text)


@pytest.mark.parametrize(
    ('transport', 'remapping', 'name'),
    [
        ('raw', 'rgb/image:=/cam/rgb', '/cam/rgb'),
        ('raw', 'rgb/image/compressed:=/cam/rgb', '/robot/rgb/image'),
        ('compressed', 'rgb/image:=/cam/rgb', '/cam/rgb/compressed'),
        ('compressed', 'rgb/image/compressed:=/small', '/small'),
        ('compressed', 'other:=/other', '/robot/rgb/image/compressed'),
    ],
)
def test_transport_suffix_follows_the_remapping(ros, transport, remapping, name):
    node = ros.add(
        Node(
            'segmentation',
            namespace='/robot',
            context=ros.context,
            cli_args=['--ros-args', '-r', remapping],
            automatically_declare_parameters_from_overrides=True,
            parameter_overrides=[Parameter('image_transport', value=transport)],
        )
    )
    assert resolved_topic(node, 'rgb/image') == name
    assert f'(-> {name})' in topic_text(node, 'rgb/image')
    assert message_type(node, 'rgb/image') is (Image if transport == 'raw' else CompressedImage)
    assert resolved_topic(node, 'rgb/camera_info') == '/robot/rgb/camera_info'
