# SPDX-License-Identifier: Apache-2.0
"""Names: namespaces, remapping, and two nodes for two cameras side by side, over real DDS."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from fake_node import FakeSegmenter
from ros_harness import T0, camera_messages, stamps
from sensor_msgs.msg import Image

from sgnet_ros.conversions.masks import mask_from_msg

# Relative, so below the namespace; and where a driver may have put them.
SIDES = {'/left': 'cam', '/right': '/robot/d455'}


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
        ros.subscribed(node)
    return nodes, cameras


def test_two_nodes_do_not_mix_their_cameras(ros):
    nodes, cameras = side_by_side(ros)
    listener = cameras['/left']
    listener.listen(DiagnosticArray, '/diagnostics')
    # The same stamp on both: nothing but the names keeps them apart.
    for camera, millimetres in zip(cameras.values(), (500, 3000), strict=True):
        camera.send(T0, **camera_messages(6, 4, millimetres))
    for (namespace, camera), label in zip(cameras.items(), (0, 1), strict=True):
        masks = camera.wait(1, f'{namespace}/segmentation/mask')
        assert stamps(masks) == [T0]
        assert masks[0].header.frame_id == f'{namespace[1:]}_optical_frame'
        np.testing.assert_array_equal(mask_from_msg(masks[0]), np.full((4, 6), label))
        assert nodes[namespace].counters.counts().received['rgb'] == 1

    def reported():
        arrays = listener.received['/diagnostics']
        return {status.name for array in arrays for status in array.status}

    names = {f'{side[1:]}/segmentation: {part}' for side in SIDES for part in ('frames', 'network')}
    ros.spin_until(lambda: reported() == names, 'reports of both')
