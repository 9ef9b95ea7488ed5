# SPDX-License-Identifier: Apache-2.0
"""Bags that differ from a good one in one thing, and frames compared to the bit."""

import numpy as np
from rosbags.rosbag2 import Writer

from sgnet_ros.bags import Bag, standard_types


def rewrite(source, target, change):
    """Copy a bag by message; `change(topic, index, cdr, time)` returns (cdr, time) or None."""
    types = standard_types()
    counts = {}
    with Bag(source) as bag, Writer(target, version=8) as writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=types)
            for t in bag.topics.values()
        }
        for message in bag.messages():
            index = counts[message.topic] = counts.get(message.topic, -1) + 1
            changed = change(message.topic, index, message.cdr, message.time_ns)
            if changed is not None:
                cdr, time_ns = changed
                writer.write(connections[message.topic], time_ns, cdr)
    return target


def without(*topics):
    return lambda topic, index, cdr, time_ns: None if topic in topics else (cdr, time_ns)


def assert_same(sample, expected):
    np.testing.assert_array_equal(sample.frame.rgb, expected.frame.rgb)
    # NaN included, and not one bit apart.
    np.testing.assert_array_equal(
        sample.frame.depth_m.view(np.uint32), expected.frame.depth_m.view(np.uint32)
    )
    assert sample.frame.intrinsics == expected.frame.intrinsics
    np.testing.assert_array_equal(sample.labels, expected.labels)
