# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS, with a fake network."""

import json

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_node import CLASS_NAMES, FakeSegmenter, HeldSegmenter
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import MASK, SECOND, T0, camera_messages, image, stamps
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String

from sgnet_core.errors import ConfigError
from sgnet_ros.cameras import CAMERAS
from sgnet_ros.conversions.masks import mask_from_msg

# The default depth of the camera is 0, 0.2, 0.4 ... 4.6 m; 0 is invalid.
EXPECTED_MASK = np.array([255] + [0] * 9 + [1] * 14, np.uint8).reshape(4, 6)


def test_all_outputs_carry_the_colour_header_and_the_classes(ros):
    node, camera = ros.node_and_camera()
    images = ('color', 'overlay', 'confidence', 'debug/hha')
    outputs = dict.fromkeys(images, Image)
    outputs |= {'camera_info': CameraInfo, 'points': PointCloud2}
    for name, kind in outputs.items():
        camera.listen(kind, f'/segmentation/{name}')
    ros.subscribed(node, len(outputs) + 1)
    camera.send(T0)
    got = {name: camera.received[f'/segmentation/{name}'] for name in ('mask', *outputs)}
    for name, messages in got.items():
        camera.wait(1, f'/segmentation/{name}')
        assert stamps(messages) == [T0]
        assert messages[0].header.frame_id == 'optical frame'
    np.testing.assert_array_equal(mask_from_msg(got['mask'][0]), EXPECTED_MASK)
    assert got['mask'][0].encoding == got['confidence'][0].encoding == 'mono8'
    color = np.frombuffer(got['color'][0].data, np.uint8).reshape(4, 6, 3)
    assert color[0, 0].tolist() == [0, 0, 0]
    assert color[0, 1].tolist() == [10, 20, 30]
    assert color[3, 5].tolist() == [200, 100, 50]
    assert got['overlay'][0].encoding == 'rgb8'
    assert got['camera_info'][0].k[0] == 5.0
    assert (node.counters.counts().pairs, node.counters.counts().masks) == (1, 1)
    assert node.counters.counts().dropped == {}
    # Labels reach late subscribers.
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(String, '/segmentation/labels', latched)
    labels = json.loads(camera.wait(1, '/segmentation/labels')[0].data)
    assert [entry['name'] for entry in labels] == list(CLASS_NAMES)
    assert labels[1] == {'id': 1, 'name': 'far', 'rgb': [200, 100, 50]}


def test_only_subscribed_outputs_are_computed(ros, monkeypatch):
    made = []
    monkeypatch.setattr('sgnet_ros.node.segmented_frame.overlay', lambda *_: made.append('overlay'))
    monkeypatch.setattr(
        'sgnet_ros.node.segmented_frame.class_colors', lambda *_: made.append('color')
    )
    node, camera = ros.node_and_camera()
    camera.send(T0)
    camera.wait()
    assert made == []


@pytest.mark.parametrize('names', [True, False])
def test_names_of_classes_in_the_overlay(ros, names):
    options = {} if names else {'overlay__legend': False}
    node, camera = ros.node_and_camera(**options)
    camera.listen(Image, '/segmentation/overlay')
    ros.subscribed(node, 2)
    camera.send(T0, **camera_messages(160, 120))
    (overlay,) = camera.wait(1, '/segmentation/overlay')
    pixels = np.frombuffer(overlay.data, np.uint8).reshape(120, 160, 3)
    assert pixels[:40].max() <= 30, 'the tint of the only class'
    assert (pixels[40:80, 60:100] > 200).any() == names


BAD = {
    'short data': (
        {'rgb': image('rgb8', bytes(72))}, 'bad_rgb', '/cam/rgb', 'needs 72 bytes of data, got 71'
    ),
    'other size': (
        {'depth': image('16UC1', bytes(36), height=3)},
        'bad_depth', '/cam/depth', 'depth 6x3, colour 6x4',
    ),
    'depth encoding': ({'depth': image('32SC1', bytes(96))}, 'bad_depth', '/cam/depth', '32SC1'),
    'camera of another size': (
        {'info': CameraInfo(width=8, height=4, k=[5.0, 0, 2, 0, 5, 2, 0, 0, 1])},
        'bad_camera_info', '/cam/info', 'intrinsics are for 8x4',
    ),
}  # fmt: skip
BAD['short data'][0]['rgb'].data.pop()


@pytest.mark.parametrize('case', BAD)
def test_bad_message_is_counted_and_reported(ros, case):
    messages, cause, topic, text = BAD[case]
    node, camera = ros.node_and_camera()
    for i in range(3):
        camera.send(T0 + i * SECOND, **messages)
        ros.wait_for_drops(node, **{cause: i + 1})
    ros.wait_for_log(topic, text)
    # The newest camera_info counts, whatever its stamp: it must not come after its images.
    camera.info.publish(CameraInfo(width=6, height=4, k=[5.0, 0, 2, 0, 5, 2, 0, 0, 1]))

    def known():
        info = node._subscriber.cameras.infos['rgb/camera_info']
        return (info.width, info.k[0]) == (6, 5)

    ros.spin_until(known, 'the good camera_info')
    camera.send(T0 + 10 * SECOND)
    camera.wait()
    assert stamps(camera.received[MASK]) == [T0 + 10 * SECOND]
    named = [w for w in ros.log() if topic in w and text in w]
    assert len(named) == 1, 'three bad frames in a row are one warning'
    assert node.counters.counts().dropped == {cause: 3}
    assert not node.failed.done()


def test_internal_error_costs_one_frame_and_has_its_traceback_once(ros):
    def fail(frame):
        if frame.rgb[0, 0, 0] == 7:
            raise ZeroDivisionError('a defect')

    node, camera = ros.node_and_camera(FakeSegmenter(fail))
    for i in range(3):
        camera.send(T0 + i * SECOND, rgb=image('rgb8', bytes([7] * 72)))
        ros.wait_for_drops(node, internal_error=i + 1)
    camera.send(T0 + 3 * SECOND)
    camera.wait()
    assert stamps(camera.received[MASK]) == [T0 + 3 * SECOND]
    ros.wait_for_log('Traceback', "raise ZeroDivisionError('a defect')")
    ros.wait_for_log('/cam/rgb', 'ZeroDivisionError: a defect [internal_error: 1 frame dropped]')
    assert sum('Traceback' in line for line in ros.log()) == 1
    assert node.counters.counts().reasons['internal_error'] == 'ZeroDivisionError: a defect'
    assert not node.failed.done()


def test_newest_pair_waits_for_the_first_camera_info(ros):
    node, camera = ros.node_and_camera()
    camera.info, info = camera.node.create_publisher(CameraInfo, '/elsewhere', 10), camera.info
    for i in range(3):
        camera.send(T0 + i * SECOND)
        ros.wait_for_pairs(node, i + 1)
    assert node.counters.counts().dropped == {'no_camera_info': 2}
    ros.wait_for_log('/cam/info')
    info.publish(CameraInfo(width=6, height=4, k=[5.0, 0, 2, 0, 5, 2, 0, 0, 1]))
    camera.wait()
    assert stamps(camera.received[MASK]) == [T0 + 2 * SECOND]


def test_stop_counts_pairs_that_wait_for_camera_info(ros):
    node, camera = ros.node_and_camera()
    camera.info = camera.node.create_publisher(CameraInfo, '/elsewhere', 10)
    camera.send(T0)
    ros.wait_for_pairs(node, 1)
    node.stop()
    assert node.counters.counts().dropped == {'stopped': 1}


@pytest.mark.parametrize('reliable', [True, False])
def test_qos_auto_follows_the_publishers(ros, reliable):
    node = ros.segmentation(FakeSegmenter(), qos__input='auto')
    camera = ros.camera(reliable)
    camera.listen(Image, MASK)
    camera.connect(MASK)
    if reliable:
        ros.wait_for_log('subscriptions are reliable')
        late = ros.camera(reliable=False)
        ros.wait_for_log('subscriptions are best effort')
        assert late.rgb.topic_name == '/cam/rgb'
    stamps_s = iter(range(10_000))

    def mask_came():  # best effort: a message may be lost
        camera.send(T0 + next(stamps_s) * SECOND)
        return camera.received[MASK]

    ros.spin_until(mask_came, 'a mask')
    assert node.counters.counts().masks > 0


def test_labels_are_published_again_after_a_time_jump(ros):
    """Trap 14: a bag loops under use_sim_time."""
    ros.segmentation(FakeSegmenter(), use_sim_time=True)
    camera = ros.camera()
    camera.listen(String, '/segmentation/labels')
    camera.connect('/segmentation/labels')
    clock = camera.node.create_publisher(Clock, '/clock', 10)
    ros.spin_until(clock.get_subscription_count, 'the node hears the clock')
    times = iter(range(1000, 0, -1))

    def told():
        clock.publish(Clock(clock=Time(sec=next(times))))
        return len(camera.received['/segmentation/labels']) >= 2

    ros.spin_until(told, 'labels, twice')


def test_newest_frame_wins_and_the_others_are_counted(ros):
    """Traps 2 and 3: callbacks run during inference; which frame is dropped decides the latency."""
    segmenter = HeldSegmenter()
    node, camera = ros.node_and_camera(segmenter)
    camera.send(T0)
    ros.spin_until(segmenter.entered.is_set, 'the first frame is being segmented')
    for i in range(1, 6):
        camera.send(T0 + i * SECOND)
        ros.wait_for_pairs(node, i + 1)
    assert camera.received[MASK] == []
    segmenter.release.set()
    camera.wait(2)
    assert stamps(camera.received[MASK]) == [T0, T0 + 5 * SECOND]
    assert node.counters.counts().dropped == {'newer_frame': 4}


def test_diagnostics_count_frames(ros):
    node, camera = ros.node_and_camera()
    camera.listen(DiagnosticArray, '/diagnostics')
    camera.send(T0)
    ros.spin_until(lambda: node.counters.counts().masks == 1, 'the mask')
    camera.send(T0 + SECOND, rgb=image('jpeg', bytes(72)))

    def latest():
        for message in reversed(camera.received['/diagnostics']):
            statuses = {status.name: status for status in message.status}
            yield {kv.key: kv.value for kv in statuses['segmentation: frames'].values}

    ros.spin_until(
        lambda: any(v['masks'] == '1' and v.get('dropped.bad_rgb') == '1' for v in latest()),
        'the counts',
    )
    values = next(latest())
    assert values['pairs'] == '2'
    assert values['received.rgb'] == values['received.depth'] == '2'
    keys = 'rate_hz.rgb rate_hz.masks latency_ms.p50 processing_ms.p95 stage_ms.publish.p95'
    assert set(keys.split()) <= set(values)
    network = camera.received['/diagnostics'][-1].status[1]
    assert network.message == 'a fake that labels by depth'


@pytest.mark.parametrize(
    ('name', 'value', 'text'),
    [
        ('sync__slopp', 0.1, "unknown key 'sync.slopp'.*did you mean 'sync.slop'"),
        ('sync__mode', 'fuzzy', 'sync.mode must be one of auto, exact, approximate'),
        ('sync__slop', -0.1, r'sync.slop must be in \[0.0, 10.0\], got -0.1'),
        ('sync__queue_size', 2.5, 'sync.queue_size must be int, got 2.5'),
        ('checkpoint', 5, 'checkpoint must be str, got 5'),
        ('input_size', [288.0, 384.0], 'input_size must be 2 whole numbers'),
        ('camera__fx', 500.0, 'camera.fx and camera.fy must both be given.*got 500.0 and 0.0'),
        ('depth__extrinsics', [0.0, 1.0], 'depth.extrinsics must be 7 numbers'),
        ('depth__extrinsics', [float('nan')] * 7, 'depth.extrinsics must be 7 numbers'),
    ],
)
def test_invalid_parameters_are_rejected_by_name(ros, name, value, text):
    with pytest.raises(ConfigError, match=text):
        ros.segmentation(FakeSegmenter(), **{name: value})


def test_parameters_change_at_run_time(ros):
    node = ros.segmentation(FakeSegmenter(), max_rate=30)
    assert node.parameters['max_rate'] == 30.0, 'a whole number will do'

    def change(name, value):
        return node.set_parameters([Parameter(name, value=value)])[0]

    assert change('overlay.alpha', 0.25).successful
    assert node.parameters['overlay.alpha'] == 0.25
    assert change('depth.min', 3.0).successful
    assert 'must be 0 or above depth.min 3.0' in change('depth.max', 2.0).reason
    together = [Parameter('depth.max', value=2.0), Parameter('depth.min', value=1.0)]
    assert node.set_parameters_atomically(together).successful
    assert node.parameters.depth_range_m == (1.0, 2.0)


@pytest.mark.parametrize(
    ('missing', 'parameters', 'texts'),
    [
        ('', {'use_sim_time': True}, ('use_sim_time is true but /clock is silent',)),
        (
            'depth',
            {},
            (
                'depth/image (-> /cam/depth): 0 publishers',
                'rgb/image (-> /cam/rgb): 1 publisher, no message',
            ),
        ),
        ('info', {}, ('rgb/camera_info (-> /cam/info): 0 publishers; or give camera.fx',)),
        ('', {'qos__input': 'reliable'}, ('/cam/rgb): 1 publisher, incompatible QoS',)),
    ],
)
def test_watchdog_reports_cause_and_resolved_topic(ros, missing, parameters, texts):
    ros.segmentation(FakeSegmenter(), watchdog__timeout=0.2, **parameters)
    camera = ros.camera(reliable=False)
    if missing:
        camera.node.destroy_publisher(getattr(camera, missing))
    ros.wait_for_log(*texts)


@pytest.mark.parametrize('camera', CAMERAS)
def test_watchdog_gives_the_remedies_of_the_camera_in_use(ros, camera):
    known = CAMERAS[camera]
    inputs = [f'/robot{topic}' for topic in (known.rgb, known.depth, known.camera_info)]
    ros.segmentation(FakeSegmenter(), watchdog__timeout=0.2, inputs=inputs)
    line = ros.wait_for_log(f'/robot{known.depth}): 0 publishers; {known.name}: {known.no_depth}')
    assert not any(other.name in line for other in CAMERAS.values() if other != known)


def test_lost_images_are_named_although_some_masks_come(ros):
    node, camera = ros.node_and_camera(watchdog__timeout=3600.0)
    for count in range(1, 13):
        camera.info.publish(CameraInfo(width=6, height=4, k=[5.0, 0, 2, 0, 5, 2, 0, 0, 1]))

        def received(count=count):
            return node.counters.counts().received.get('camera_info') == count

        ros.spin_until(received, 'camera_info')
    camera.send(T0)
    ros.spin_until(lambda: node.counters.counts().masks == 1, 'the mask')
    node._watchdog._check()
    line = ros.wait_for_log('images are lost in transit', 'qos.input:=auto')
    assert 'rgb/image (-> /cam/rgb)' in line


@pytest.mark.parametrize(
    'inputs', [('/x', '/d', '/x'), ('/rosout', '/d', '/i'), ('/x', '/segmentation/points', '/i')]
)
def test_topic_of_two_types_is_named_in_one_line(ros, inputs):
    with pytest.raises(
        ConfigError, match=r'needs \S+/msg/\w+, but \S+ has the same topic with \S+'
    ):
        ros.segmentation(FakeSegmenter(), inputs=inputs)
    assert not any('ERROR' in line for line in ros.log()), 'the command prints the error'


def test_missing_subscriber_is_logged_once_and_is_not_a_problem(ros):
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter, listen=(), watchdog__timeout=3600.0)
    for count in (1, 2):
        camera.send(T0 + count * SECOND)

        def unwanted(count=count):
            counts = node.counters.counts()
            heard = counts.received.get('camera_info') == count
            return heard and counts.dropped.get('no_subscriber') == count

        ros.spin_until(unwanted, 'a pair without subscriber')
        node._watchdog._check()
    assert segmenter.frames == [], 'nothing is computed'
    camera.listen(DiagnosticArray, '/diagnostics')
    assert camera.wait(1, '/diagnostics')[-1].status[0].level == DiagnosticStatus.OK
    told = [line for line in ros.log() if 'no subscriber to /segmentation/mask' in line]
    assert len(told) == 1
    assert 'INFO' in told[0]
    assert not any('no output' in line for line in ros.log())
