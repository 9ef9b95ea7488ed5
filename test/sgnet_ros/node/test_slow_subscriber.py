# SPDX-License-Identifier: Apache-2.0
"""A hanging subscriber does not block the node."""

import itertools
import signal
import subprocess
import sys
from contextlib import ExitStack

from fake_node import FakeSegmenter
from ros_harness import camera_messages

SUBSCRIBER = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('hanging')
node.create_subscription(Image, '/patient/mask', lambda mask: None, 10)
rclpy.spin(node)
"""


def feed(ros, node, stamps):
    """One pair for each stamp, and until each is a mask."""
    messages = camera_messages(640, 480).values()
    for stamp in stamps:
        # Without depth/camera_info, the last one.
        for subscription, message in zip(node._subscriber._subscriptions, messages, strict=False):
            message.header.stamp.sec = stamp
            subscription.callback(message)
        pairs = node.counters.counts().pairs
        ros.spin_until(lambda n=pairs: node.counters.counts().masks == n, 'the mask')


def test_hanging_subscriber_does_not_block_the_node(ros, ros_domain_id, monkeypatch):
    """A reliable one, whose process is stopped, so that it acknowledges nothing."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    node = ros.segmentation(FakeSegmenter(), 'patient', watchdog__timeout=3600.0)
    with subprocess.Popen([sys.executable, '-c', SUBSCRIBER]) as process, ExitStack() as stack:
        stack.callback(process.kill)
        ros.spin_until(node._output_publishers.subscribed, 'the node sees its subscriber')
        stamps = itertools.count(1)
        feed(ros, node, itertools.islice(stamps, 1))
        process.send_signal(signal.SIGSTOP)
        feed(ros, node, itertools.islice(stamps, 60))
    publish_ms = sorted(node.counters.counts().stages_ms['publish'][1:])
    # DDS would block for 100 ms at each, or for good.
    assert publish_ms[len(publish_ms) // 2] < 50
