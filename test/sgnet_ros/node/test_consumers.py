# SPDX-License-Identifier: Apache-2.0
"""Requirements of the consumers of a mask on the messages of the node, over DDS.

They are from the sources of the consumers in 2026, see docs/integrations.md.
"""

from pathlib import Path

import numpy as np
import pytest
import yaml
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from ros_harness import T0, camera_messages, image
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_ros.compat.ros_api import vision_msgs
from sgnet_ros.topics import LABEL_INFO

CONFIG = Path(__file__).parents[3] / 'config'
WIDTH, HEIGHT = 96, 64
LATCHED = QoSProfile(
    depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
NAMES = {
    'mask': Image,
    'confidence': Image,
    'points': PointCloud2,
    'camera_info': CameraInfo,
    'selected': Image,
    'depth_without_selected': Image,
    'probabilities': Image,
}


@pytest.fixture
def outputs(ros, checkpoint):
    """A function: parameters -> the outputs of one frame by name, the sent messages, the camera."""

    def outputs_of(**parameters):
        segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
        listen = {f'/segmentation/{name}': kind for name, kind in NAMES.items()}
        parameters = {'probabilities__classes': 'floor, person', **parameters}
        _, camera = ros.node_and_camera(segmenter, listen, **parameters)
        sent = camera_messages(WIDTH, HEIGHT)
        colours = np.random.default_rng(1).integers(0, 256, 3 * WIDTH * HEIGHT, np.uint8)
        sent['rgb'] = image('rgb8', colours.tobytes(), WIDTH, HEIGHT)
        camera.send(T0, **sent)
        found = {name: camera.output_at(T0, f'/segmentation/{name}') for name in NAMES}
        return found, sent, camera

    return outputs_of


def offsets(cloud):
    """name -> offset of the float32 fields of a cloud."""
    return {f.name: f.offset for f in cloud.fields if f.datatype == PointField.FLOAT32}


@pytest.mark.parametrize('stride', [1, 2])
def test_nav2_semantic_layer(outputs, stride):
    out, *_ = outputs(output__stride=stride)
    mask, confidence, cloud = (out[name] for name in ('mask', 'confidence', 'points'))
    # It reads pixel v * width + u and never the step.
    for msg in (mask, confidence):
        assert (msg.encoding, msg.step) == ('mono8', msg.width)
        assert len(msg.data) == msg.width * msg.height
    assert (cloud.width, cloud.height) == (mask.width, mask.height) == (96 // stride, 64 // stride)
    assert (confidence.width, confidence.height) == (mask.width, mask.height)
    assert {'x', 'y', 'z'} <= set(offsets(cloud))
    assert not cloud.is_bigendian
    # Its exact synchroniser compares stamps; TF needs the frame of the cloud.
    assert mask.header == confidence.header == cloud.header
    assert cloud.header.frame_id


def test_nav2_parameters_name_every_class_once():
    """The layer logs an error for each class without a type."""
    parameters = yaml.safe_load((CONFIG / 'nav2_semantic_layer.yaml').read_text())
    layer = parameters['local_costmap']['local_costmap']['ros__parameters']['semantic_layer']
    camera = layer['camera']
    assert layer['observation_sources'] == 'camera'
    types = camera['class_types']
    assert types == ['free', 'obstacle', 'dynamic']
    named = [name for kind in types for name in camera[kind]['classes']]
    assert sorted(named) == sorted(NYU40.class_names)
    topics = {key: camera[key] for key in camera if key.endswith('_topic')}
    assert topics == {
        'segmentation_topic': '/segmentation/mask',
        'confidence_topic': '/segmentation/confidence',
        'labels_topic': '/segmentation/label_info',
        'pointcloud_topic': '/segmentation/points',
    }


@pytest.mark.skipif(vision_msgs is None, reason='needs vision_msgs')
def test_nav2_labels_are_latched(outputs):
    _, _, camera = outputs()
    camera.listen(LABEL_INFO.kind, '/segmentation/label_info', LATCHED)
    labels = camera.wait(1, '/segmentation/label_info')[0]
    assert {(entry.class_id, entry.class_name) for entry in labels.class_map} == set(
        enumerate(NYU40.class_names)
    )


def test_sensor_data_subscribers_receive_the_outputs(ros):
    """Nav2 and OctoMap subscribe best effort."""
    node, camera = ros.node_and_camera(listen=())
    for name in ('mask', 'points'):
        camera.listen(NAMES[name], f'/segmentation/{name}', qos_profile_sensor_data)
    ros.subscribed(node, 2)
    camera.send(T0)
    for name in ('mask', 'points'):
        assert camera.output_at(T0, f'/segmentation/{name}')


def test_nvblox_masks_the_selected_class_only(outputs):
    out, sent, *_ = outputs(selected__classes='floor')
    selected, info = out['selected'], out['camera_info']
    assert selected.encoding == 'mono8'
    assert (selected.width, selected.height) == (sent['rgb'].width, sent['rgb'].height)
    # An exact synchroniser pairs it with the colour image and the camera_info.
    assert selected.header.stamp == info.header.stamp
    assert (info.width, info.height) == (selected.width, selected.height)
    floor = NYU40.class_names.index('floor')
    mask, nonzero = np.array(out['mask'].data), np.array(selected.data) != 0
    np.testing.assert_array_equal(nonzero, mask == floor)


def test_hydra_reads_the_mask(outputs):
    out, sent, *_ = outputs()
    assert out['mask'].encoding in ('8UC1', 'mono8')
    assert (out['mask'].width, out['mask'].height) == (sent['depth'].width, sent['depth'].height)


def test_rtabmap_gets_the_depth_without_the_selection(outputs):
    out, sent, *_ = outputs(selected__classes='wall, floor')
    depth, before = out['depth_without_selected'], sent['depth']
    assert (depth.encoding, depth.width, depth.height) == (before.encoding, WIDTH, HEIGHT)
    ids = [NYU40.class_names.index(name) for name in ('wall', 'floor')]
    removed = np.isin(np.array(out['mask'].data), ids)
    values = np.frombuffer(depth.data, np.uint16)
    np.testing.assert_array_equal(
        values, np.where(removed, 0, np.frombuffer(before.data, np.uint16))
    )


def test_octomap_gets_class_colours(outputs):
    out, *_ = outputs(points__color='class')
    cloud = out['points']
    # PCL reads the three lower bytes of the float field rgb as blue, green, red.
    data = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)
    at = offsets(cloud)['rgb']
    mask = np.array(out['mask'].data)
    np.testing.assert_array_equal(data[:, at : at + 3][:, ::-1], NYU40.palette[mask])


def test_elevation_mapping_has_a_channel_for_each_class(outputs):
    out, *_ = outputs(probabilities__classes='floor, person, wall')
    msg, info = out['probabilities'], out['camera_info']
    assert msg.encoding == '32FC3'
    values = np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width, 3)
    assert ((values >= 0) & (values <= 1)).all()
    assert msg.header == info.header
    assert (msg.width, msg.height) == (info.width, info.height)
