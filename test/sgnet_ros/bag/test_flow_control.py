# SPDX-License-Identifier: Apache-2.0
"""Back pressure limits the images in flight."""

import threading

import pytest

from sgnet_ros.bag.flow_control import MAX_IN_FLIGHT, BackPressure


def send(back_pressure, topic, stamps):
    """Send images; returns the seconds waited."""
    held_s = 0.0
    for stamp in stamps:
        held_s += back_pressure.wait(threading.Event())
        back_pressure.add(topic, stamp)
    return held_s


@pytest.fixture
def back_pressure(unspun_node):
    """For the streams `rgb` and `depth` of a node without masks."""
    back_pressure = BackPressure(unspun_node, '/nobody/mask', timeout_s=0.3)
    back_pressure.limit(('rgb', 'depth'))
    return back_pressure


def test_full_queue_waits_for_a_mask(ros, unspun_node, caplog):
    from sensor_msgs.msg import Image

    masks = ros.external_node('talker').create_publisher(Image, '/talker/mask', 10)
    back_pressure = BackPressure(unspun_node, '/talker/mask')
    back_pressure.limit(('rgb', 'depth'))
    ros.spin_until(masks.get_subscription_count, 'discovery')
    for stamp in range(MAX_IN_FLIGHT):
        send(back_pressure, 'rgb', [stamp])
        send(back_pressure, 'depth', [stamp])
    threading.Timer(0.5, masks.publish, [Image()]).start()
    assert send(back_pressure, 'rgb', [MAX_IN_FLIGHT]) > 0.4
    assert caplog.text == ''


def test_colour_without_depth_is_not_limited(back_pressure, caplog):
    """A fast colour stream, or a pause of depth, gives no masks."""
    assert send(back_pressure, 'rgb', range(50)) < 0.2
    assert send(back_pressure, 'depth', range(0, 40, 10)) < 0.2
    assert caplog.text == ''


def test_timeout_lifts_the_limit_until_the_next_mask(back_pressure, caplog):
    """A series of invalid frames costs one timeout."""
    for index in range(20):
        send(back_pressure, 'rgb', [index])
        send(back_pressure, 'depth', [index])
    assert caplog.text.count('no mask on /nobody/mask for 0.3 s') == 1
