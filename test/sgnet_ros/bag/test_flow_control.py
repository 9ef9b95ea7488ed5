# SPDX-License-Identifier: Apache-2.0
"""Back pressure limits the images in flight."""

import threading

import pytest

from sgnet_ros.bag.flow_control import MAX_IN_FLIGHT, BackPressure
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.player import BagPlayer
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import START_NS, write_bag
from sgnet_ros.conversions.images import stamp_ns

TOPICS = FrameTopics()
DEADLINE_S = 60.0


def test_player_waits_for_a_slow_subscriber(ros, unspun_node, tiny_samples, tmp_path):
    """The subscriber publishes a mask only after a pause of the images."""
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    write_bag(tiny_samples * 3, tmp_path / 'long', 1000.0)
    slow = ros.add(Node('slow_listener', context=ros.context))
    answer = slow.create_publisher(Image, '/slow_listener/mask', 10)
    received, unanswered, most = [], [], 0
    slow.create_subscription(
        Image, TOPICS.rgb, lambda m: (received.append(m), unanswered.append(m)), 20
    )
    with Bag(tmp_path / 'long') as bag:
        back_pressure = BackPressure(unspun_node, '/slow_listener/mask')
        player = BagPlayer(
            bag, unspun_node, [TOPICS.rgb, TOPICS.depth], back_pressure=back_pressure
        )
        ros.spin_until(lambda: unspun_node.count_publishers('/slow_listener/mask'), 'discovery')
        ros.spin_until(lambda: answer.get_subscription_count(), 'discovery')
        thread = threading.Thread(target=player.play, args=(threading.Event(),))
        thread.start()
        quiet = 0
        while len(received) < 15 or unanswered:
            before = len(received)
            ros.executor.spin_once(timeout_sec=0.02)
            quiet = quiet + 1 if len(received) == before else 0
            most = max(most, len(unanswered))
            if quiet == 3 and unanswered:
                answer.publish(Image(header=unanswered.pop(0).header))
                quiet = 0
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert [stamp_ns(m.header) for m in received] == [START_NS + i * 10**6 for i in range(15)]
    assert most == MAX_IN_FLIGHT


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
