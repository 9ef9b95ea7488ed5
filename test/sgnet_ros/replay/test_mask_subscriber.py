# SPDX-License-Identifier: Apache-2.0
"""The subscriber keeps masks, overlays, class names and counts of a node."""

import time

import numpy as np

from sgnet_ros.conversions.images import rgb_to_msg
from sgnet_ros.conversions.masks import label_names_to_msg, mask_to_msg
from sgnet_ros.monitoring.counters import Counts
from sgnet_ros.monitoring.diagnostics import diagnostics_to_msg
from sgnet_ros.replay.mask_subscriber import MaskSubscriber
from sgnet_ros.topics import LATCHED_QOS, OUTPUT_QOS


def test_subscriber_keeps_all_outputs(ros, unspun_node):
    from builtin_interfaces.msg import Time
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.node import Node
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header, String

    talker = ros.add(Node('talker', context=ros.context))
    publishers = {
        'mask': talker.create_publisher(Image, '/segmentation/mask', OUTPUT_QOS),
        'overlay': talker.create_publisher(Image, '/segmentation/overlay', OUTPUT_QOS),
        'labels': talker.create_publisher(String, '/segmentation/labels', LATCHED_QOS),
        'diagnostics': talker.create_publisher(DiagnosticArray, '/diagnostics', 10),
    }
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    publishers['labels'].publish(label_names_to_msg(('near', 'far'), palette))
    overlays = {}
    subscriber = MaskSubscriber(unspun_node, overlays.__setitem__)

    def spin_until(happened, what):
        ros.spin_until(lambda: subscriber.spin(0.01) or happened(), what)

    spin_until(lambda: subscriber.class_names == ('near', 'far'), 'the latched names')
    spin_until(lambda: all(p.get_subscription_count() for p in publishers.values()), 'discovery')
    stamp_ns = time.time_ns() - 20_000_000
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds))
    labels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    picture = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    publishers['mask'].publish(mask_to_msg(labels, header))
    publishers['overlay'].publish(rgb_to_msg(picture, header))
    counts = Counts({'rgb': 9}, 7, 3, {'newer_frame': 2, 'bad_depth': 1, 'rgb_unmatched': 5})
    report = diagnostics_to_msg(
        'segmentation', Time(), counts, Counts(), 1.0, {'network': 'a fake'}
    )
    publishers['diagnostics'].publish(report)
    spin_until(lambda: subscriber.masks and overlays and subscriber.reports, 'all messages')
    np.testing.assert_array_equal(subscriber.masks[stamp_ns].load(), labels)
    assert subscriber.masks[stamp_ns].latency_ms >= 20.0
    np.testing.assert_array_equal(overlays[stamp_ns], picture)
    assert subscriber.about == {'network': 'a fake'}
    assert (subscriber.totals['pairs'], subscriber.totals['dropped.newer_frame']) == (7, 2)
    assert subscriber.in_progress == 7 - 3 - 2 - 1
