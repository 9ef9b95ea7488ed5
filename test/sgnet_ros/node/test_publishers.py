# SPDX-License-Identifier: Apache-2.0
"""Points, confidence, pictures and stage times of the node, and frames without memory."""

import torch
import numpy as np
import pytest
from fake_node import CLASS_NAMES, PALETTE, FakeSegmenter
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import MASK, SECOND, T0
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from sgnet_core.types import CameraIntrinsics, RgbdFrame, SegmentationResult
from sgnet_core.visualization.overlay import DeviceResult
from sgnet_ros.monitoring.stage_timer import STAGES
from sgnet_ros.node.segmented_frame import SegmentedFrame

POINTS, CONFIDENCE = '/segmentation/points', '/segmentation/confidence'


def test_parameters_change_points_and_confidence(ros):
    node, camera = ros.node_and_camera(
        listen={POINTS: PointCloud2, CONFIDENCE: Image, MASK: Image},
        confidence__encoding='32FC1',
        points__stride=2,
    )
    camera.send(T0)
    (cloud,), (confidence,), _ = (camera.wait(1, topic) for topic in (POINTS, CONFIDENCE, MASK))
    assert (cloud.height, cloud.width, cloud.row_step) == (2, 3, 3 * cloud.point_step)
    assert cloud.header == confidence.header == camera.received[MASK][0].header
    z = np.frombuffer(cloud.data, np.float32).reshape(2, 3, -1)[..., 2]
    # The depth of the camera rises by 0.2 m per pixel; the first pixel is invalid.
    np.testing.assert_allclose(z, [[np.nan, 0.4, 0.8], [2.4, 2.8, 3.2]], rtol=1e-6)
    assert confidence.encoding == '32FC1'
    values = np.frombuffer(confidence.data, np.float32)
    assert sorted(set(values.tolist())) == pytest.approx([0.4, 0.9])
    changes = {'confidence.encoding': 'mono8', 'points.stride': 1, 'publish.mask': False}
    for name, value in changes.items():
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    camera.send(T0 + SECOND)
    camera.wait(2, POINTS)
    camera.wait(2, CONFIDENCE)
    assert (camera.received[POINTS][1].height, camera.received[POINTS][1].width) == (4, 6)
    assert camera.received[CONFIDENCE][1].encoding == 'mono8'
    assert len(camera.received[MASK]) == 1
    assert MASK not in node._output_publishers.enabled_topics


@pytest.mark.parametrize(
    'error', [torch.cuda.OutOfMemoryError('CUDA out of memory.\nA lot'), MemoryError()]
)
def test_frame_without_memory_is_dropped(ros, error):
    errors = [error]

    def short(frame):
        if errors:
            raise errors.pop()

    node, camera = ros.node_and_camera(FakeSegmenter(short))
    camera.send(T0)
    ros.wait_for_drops(node, out_of_memory=1)
    camera.send(T0 + SECOND)
    camera.wait()
    assert camera.received[MASK][0].header.stamp.sec == T0 // SECOND + 1
    said = [line for line in ros.log() if 'out of memory' in line]
    assert len(said) == 1
    assert 'free memory for the node' in said[0]
    assert not node.failed.done()


def test_stages_add_up_to_the_latency(ros):
    node, camera = ros.node_and_camera()
    now_ns = node.get_clock().now().nanoseconds
    camera.send(now_ns - 3 * SECOND)
    ros.spin_until(lambda: node.counters.counts().masks, 'a mask')
    counts = node.counters.counts()
    assert set(counts.stages_ms) == set(STAGES)
    assert sum(ms for (ms,) in counts.stages_ms.values()) == pytest.approx(counts.latency_ms[0])
    assert counts.stages_ms['arrive'][0] > 3000
    assert 0 < counts.processing_ms[0] < counts.latency_ms[0] - 3000


def test_incompatible_subscriber_is_reported_once(ros):
    """It replaces the warning of rclpy, which costs time for every message."""
    node, camera = ros.node_and_camera(watchdog__timeout=3600.0)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(Image, '/segmentation/overlay', latched)
    text = '/segmentation/overlay: a subscriber requests incompatible QoS (ERROR: '
    ros.spin_until(
        lambda: node._watchdog._check() or any(text in line for line in ros.log()), 'the warning'
    )
    node._watchdog._check()
    (warning,) = (line for line in ros.log() if 'requests incompatible QoS' in line)
    assert text in warning


def test_pictures_use_the_result_on_the_device():
    """Arrays of zeros and tensors of ones show which of them is used."""
    shape = (5, 7)
    rgb = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    camera = CameraIntrinsics(7, 5, 5.0, 5.0, 3.0, 2.0)
    frame = RgbdFrame(rgb, np.ones(shape, np.float32), camera)
    confidence = np.ones(shape, np.float32)
    zeros, ones = (
        SegmentationResult(np.full(shape, i, np.uint8), confidence, CLASS_NAMES) for i in (0, 1)
    )
    on_device = DeviceResult.from_numpy(rgb, ones)
    segmented = SegmentedFrame(frame, zeros, on_device, PALETTE, CameraInfo(), '16UC1')
    assert (segmented.colors.numpy() == PALETTE[1]).all()
    np.testing.assert_allclose(segmented.overlay(0.5), 0.5 * rgb + 0.5 * PALETTE[1], atol=1)
