# SPDX-License-Identifier: Apache-2.0
"""Names: namespaces, remapping, and two nodes for two cameras side by side, over real DDS."""

import struct

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from fake_node import FakeSegmenter
from ros_world import image
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from sgnet_ros.conversions import stamp_ns
from sgnet_ros.mask_conversion import mask_from_msg

T0 = 1_700_000_000 * 10**9 + 7
# Relative, so below the namespace; and where a driver may have put them.
SIDES = {'/left': 'cam', '/right': '/robot/d455'}


def depth_of(millimetres):
    return image('16UC1', struct.pack('<24H', *[millimetres] * 24))


def side_by_side(ros):
    """(nodes, cameras) by namespace, connected, each camera listening to its node."""
    nodes, cameras = {}, {}
    for namespace, topics in SIDES.items():
        nodes[namespace] = ros.segmentation(
            FakeSegmenter(), namespace=namespace, camera=topics, qos__input='reliable'
        )
        absolute = topics if topics.startswith('/') else f'{namespace}/{topics}'
        camera = cameras[namespace] = ros.camera(name=absolute)
        camera.frame = camera.depth_frame = f'{namespace[1:]}_optical_frame'
        camera.listen(Image, f'{namespace}/segmentation/mask')
    for namespace, camera in cameras.items():
        camera.connect(f'{namespace}/segmentation/mask')
    for node in nodes.values():
        ros.spin_until(lambda node=node: node._outputs.wanted(), 'the node sees its subscriber')
    return nodes, cameras


def test_two_nodes_serve_two_cameras_without_mixing_them(ros):
    nodes, cameras = side_by_side(ros)
    listener = cameras['/left']
    listener.listen(DiagnosticArray, '/diagnostics')
    # The same stamp on both: nothing but the names keeps them apart.
    for camera, millimetres in zip(cameras.values(), (500, 3000), strict=True):
        camera.send(T0, depth=depth_of(millimetres))
    for (namespace, camera), label in zip(cameras.items(), (0, 1), strict=True):
        masks = camera.received[f'{namespace}/segmentation/mask']
        ros.spin_until(lambda masks=masks: masks, f'a mask of {namespace}')
        assert [stamp_ns(mask.header) for mask in masks] == [T0]
        assert masks[0].header.frame_id == f'{namespace[1:]}_optical_frame'
        np.testing.assert_array_equal(mask_from_msg(masks[0]), np.full((4, 6), label))
        assert nodes[namespace].statistics.counts().received['rgb'] == 1

    def reported():
        arrays = listener.received['/diagnostics']
        return {status.name for array in arrays for status in array.status}

    names = {f'{side[1:]}/segmentation: {part}' for side in SIDES for part in ('frames', 'network')}
    ros.spin_until(lambda: reported() == names, 'reports of both')


def test_each_of_two_nodes_has_services_of_its_own(ros):
    nodes, cameras = side_by_side(ros)
    client = cameras['/left'].node.create_client(SetBool, '/left/segmentation/enable')
    ros.spin_until(client.service_is_ready, 'the service')
    answer = client.call_async(SetBool.Request(data=False))
    ros.spin_until(answer.done, 'the answer')
    assert answer.result().success
    assert nodes['/left'].describe_problem() == 'not active'
    cameras['/right'].send(T0)
    ros.spin_until(lambda: cameras['/right'].received['/right/segmentation/mask'], 'a mask')
    assert not cameras['/left'].received['/left/segmentation/mask']
