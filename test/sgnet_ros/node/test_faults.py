# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS with changing, dying and faulty publishers."""

import time

import numpy as np
from builtin_interfaces.msg import Time
from fake_node import FakeSegmenter, HeldSegmenter
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_harness import MASK, SECOND, T0, camera_messages
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

QUIET, LOUD = {'watchdog__timeout': 3600.0}, {'watchdog__timeout': 0.2}


def test_pair_waits_for_the_camera_info_of_a_new_resolution(ros):
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter, **QUIET)
    camera.send(T0, **camera_messages(6, 4))
    camera.output_at(T0)
    camera.info, info = camera.node.create_publisher(CameraInfo, '/elsewhere', 10), camera.info
    for second in (1, 2):
        camera.send(T0 + second * SECOND, **camera_messages(8, 5))
        ros.wait_for_pairs(node, second + 1)
    ros.spin_until(lambda: node.counters.counts().dropped, 'the end of the one before')
    counts = node.counters.counts()
    assert (counts.masks, counts.dropped) == (1, {'bad_camera_info': 1})
    info.publish(camera_messages(8, 5)['info'])
    assert camera.output_at(T0 + 2 * SECOND).width == 8
    assert [frame.intrinsics.cx for frame in segmenter.frames] == [3.0, 4.0]


def test_queued_pairs_keep_their_camera_info(ros):
    """The resolution changes while earlier frames wait."""
    segmenter = HeldSegmenter()
    node, camera = ros.node_and_camera(segmenter, queue__policy='all', **QUIET)
    sizes = [(6, 4), (6, 4), (8, 5), (8, 5), (6, 4)]
    for second, size in enumerate(sizes):
        camera.send(T0 + second * SECOND, **camera_messages(*size))
        ros.wait_for_pairs(node, second + 1)
        ros.spin_until(segmenter.entered.is_set, 'the first frame is being segmented')
    segmenter.release.set()
    camera.output_at(T0 + 4 * SECOND)
    assert [(f.intrinsics.width, f.intrinsics.height) for f in segmenter.frames] == sizes
    assert node.counters.counts().dropped == {}


def test_node_recovers_after_a_publisher_restart(ros):
    node, camera = ros.node_and_camera(**LOUD)
    camera.send(T0)
    camera.output_at(T0)
    qos, topic = camera.depth.qos_profile, camera.depth.topic_name
    camera.node.destroy_publisher(camera.depth)
    ros.wait_for_log('depth/image (-> /cam/depth): 0 publishers')
    camera.depth = camera.node.create_publisher(Image, topic, qos)
    camera.connect()
    camera.send(T0 + 60 * SECOND)
    camera.output_at(T0 + 60 * SECOND)
    ros.spin_until(lambda: node._watchdog.problem == '', 'no problem any more')


def test_zero_stamps_are_reported(ros):
    _, camera = ros.node_and_camera(**LOUD)

    def named():
        camera.send(0)
        return any(
            'rgb/image (-> /cam/rgb): stamps are zero' in line
            and 'depth/image (-> /cam/depth): stamps are zero' in line
            for line in ros.log()
        )

    ros.spin_until(named, 'the cause')
    camera.send(T0)
    camera.output_at(T0)


def test_future_stamps_are_reported_once(ros):
    node, camera = ros.node_and_camera(**QUIET)
    now = time.time_ns()
    for stamp in (now, now + 3600 * SECOND, now + 3601 * SECOND):
        camera.send(stamp)
        camera.output_at(stamp)
        node._watchdog._check()
    back = now + SECOND // 2
    camera.send(back)
    camera.output_at(back)
    ros.wait_for_log('s in the future; synchronise the clocks')
    warnings = [line for line in ros.log() if 'in the future' in line]
    assert len(warnings) == 1
    assert 'rgb/image is stamped 3' in warnings[0]
    ros.spin_until(lambda: node.counters.counts().masks == 4, 'the count of the last mask')


def test_watchdog_suggests_topics_of_the_same_type(ros):
    """realsense-ros 4.55 renamed its topics. Similar names come first; used topics are left out."""
    ros.segmentation(FakeSegmenter(), **LOUD)
    camera = ros.camera()
    camera.node.destroy_publisher(camera.depth)
    names = ('/elsewhere/x', '/cam/depths', '/cam/depth/image_rect_raw')
    for name in names:
        camera.node.create_publisher(Image, name, 10)
    camera.listen(Image, '/only/heard')
    ros.wait_for_log(
        'depth/image (-> /cam/depth): 0 publishers; published topics of its type: '
        '/cam/depths, /cam/depth/image_rect_raw, /elsewhere/x'
    )
    found = [line for line in ros.log() if 'topics of its type' in line]
    assert not any(MASK in line or '/only/heard' in line for line in found)


NONSENSE = [
    ('max_rate', float('nan'), 'max_rate out of range'),
    ('depth.max', [1.0, 2.0], 'Wrong parameter type, expected'),
    ('overlay.alpha', 7.0, 'overlay.alpha out of range'),
    ('overlay.alhpa', 0.5, "did you mean 'overlay.alpha'"),
    ('device', 'cuda', 'device can change only while the node is unconfigured'),
    ('sync.slop', 0.03, 'sync.slop can change only while the node is unconfigured'),
    ('image_transport', 'compressed', 'deactivate it and clean it up first'),
    ('autostart', False, 'read-only'),
]


def test_invalid_parameter_changes_are_rejected_with_a_reason(ros):
    node, camera = ros.node_and_camera(**QUIET)
    before = {name: node.parameters[name] for name in ('max_rate', 'depth.max', 'overlay.alpha')}
    changes = [Parameter(name, value=value).to_parameter_msg() for name, value, _ in NONSENSE]
    request = SetParameters.Request(parameters=changes)
    answer = ros.call(camera, SetParameters, '/segmentation/set_parameters', request)
    for result, (name, value, reason) in zip(answer.results, NONSENSE, strict=True):
        assert not result.successful, (name, value)
        assert reason in result.reason, name
    assert {name: node.parameters[name] for name in before} == before
    camera.send(T0)
    camera.output_at(T0)


def test_messages_and_requests_on_which_rclpy_fails_end_nothing(ros):
    node, camera = ros.node_and_camera(use_sim_time=True, **QUIET)
    clock = camera.node.create_publisher(Clock, '/clock', 1)
    ros.spin_until(clock.get_subscription_count, 'discovery')
    clock.publish(Clock(clock=Time(sec=-1)))
    ros.wait_for_log('/clock: message ignored: ')
    changed = ParameterMessage(name='max_rate', value=ParameterValue(type=200))
    request = SetParameters.Request(parameters=[changed])
    assert not ros.call(camera, SetParameters, '/segmentation/set_parameters', request).results
    ros.wait_for_log('set_parameters: request rejected: 200')
    camera.send(T0)
    camera.output_at(T0)


def set_by_service(ros, camera, **values):
    """What `ros2 param set` does; names have `__` for a dot."""
    changes = [
        Parameter(n.replace('__', '.'), value=v).to_parameter_msg() for n, v in values.items()
    ]
    request = SetParameters.Request(parameters=changes)
    results = ros.call(camera, SetParameters, '/segmentation/set_parameters', request).results
    assert all(result.successful for result in results), results


def test_float_parameters_accept_integers(ros):
    """`ros2 param set /segmentation depth.max 5` sends an integer."""
    node, camera = ros.node_and_camera(**QUIET)
    set_by_service(ros, camera, depth__max=5)
    assert (node.parameters['depth.max'], type(node.parameters['depth.max'])) == (5.0, float)
    assert node.get_parameter('depth.max').type_ == Parameter.Type.DOUBLE


def test_unconfigured_node_accepts_every_change(ros):
    node = ros.segmentation(None, autostart=False)
    options = []
    node._load_segmenter = lambda *those: options.extend(those) or FakeSegmenter()
    camera = ros.camera()
    set_by_service(
        ros,
        camera,
        checkpoint='new.safetensors',
        sync__slop=0.03,
        depth__extrinsics=[0, 0, 0, 0, 0, 0, 1],
        image_transport='compressed',
    )
    node.trigger_configure()
    node.trigger_activate()
    assert options[0] == 'new.safetensors'
    assert node.parameters['depth.extrinsics'] == [0.0] * 6 + [1.0]
    assert node.count_subscribers('/cam/rgb/compressed') == 1


def test_parameter_changes_apply_from_the_next_frame(ros):
    node = None

    def change(frame):
        together = [Parameter('depth.max', value=1.0), Parameter('confidence_threshold', value=0.5)]
        assert node.set_parameters_atomically(together).successful

    node, camera = ros.node_and_camera(FakeSegmenter(change), **QUIET)
    values = []
    for second in (0, 1):
        camera.send(T0 + second * SECOND)
        values.append(set(camera.output_at(T0 + second * SECOND).data))
    assert values == [{0, 1, 255}, {0, 255}], 'far has low confidence, and is then out of range'


def test_duplicate_node_name_is_reported_once(ros):
    # A name of its own, because nodes of earlier tests may still be visible.
    node = ros.segmentation(FakeSegmenter(), 'twin', **LOUD)
    ros.external_node('twin')
    ros.wait_for_log('2 nodes have the name /twin')
    checks = iter(range(3))
    ros.spin_until(lambda: node._watchdog._check() or next(checks) == 2, 'more checks')
    assert sum('nodes have the name' in line for line in ros.log()) == 1


def test_every_frame_of_a_disturbed_stream_is_counted(ros):
    """Good ones, sizes that differ, damage, duplicates and jumps back, in any order."""
    node, camera = ros.node_and_camera(queue__policy='all', **QUIET)
    rng = np.random.default_rng(0)
    stamp = T0
    for index in range(120):
        kind = rng.integers(0, 6)
        stamp += {4: 0, 5: -3 * SECOND}.get(int(kind), SECOND // 30)
        parts = camera_messages(6, 4)
        if kind == 1:
            parts['depth'] = camera_messages(7, 4)['depth']
        if kind == 2:
            parts['rgb'].data = parts['rgb'].data[:-1]
        camera.send(stamp, **parts)
        ros.spin_until(
            lambda n=index + 1: node.counters.counts().received.get('depth') == n, 'the frame'
        )

    def settled():
        counts = node.counters.counts()
        single = ('rgb_unmatched', 'depth_unmatched', 'duplicate_stamp', 'time_jump')
        after = sum(n for cause, n in counts.dropped.items() if cause not in single)
        return counts.pairs == counts.masks + after

    ros.spin_until(settled, 'every pair has its end')
    counts = node.counters.counts()
    assert counts.masks > 30
    assert {'bad_rgb', 'bad_depth', 'duplicate_stamp'} <= set(counts.dropped)
