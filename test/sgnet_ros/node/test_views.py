# SPDX-License-Identifier: Apache-2.0
"""Views of one result over DDS: smaller outputs, selected classes, class colours, groups."""

import json

import numpy as np
import pytest
from fake_node import PALETTE, FakeSegmenter
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import MASK, SECOND, T0, camera_messages, image, stamps
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sgnet_core.errors import ConfigError
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU40
from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.camera_info import intrinsics_from_msg

# The depth of the camera is 0, 0.2, 0.4 ... 4.6 m: 255, 9 times near, 14 times far.
EXPECTED_MASK = np.array([255] + [0] * 9 + [1] * 14, np.uint8).reshape(4, 6)
IMAGES = ('mask', 'color', 'overlay', 'confidence', 'debug/hha')
STRIDED = dict.fromkeys([f'/segmentation/{name}' for name in IMAGES], Image) | {
    '/segmentation/points': PointCloud2,
    '/segmentation/camera_info': CameraInfo,
}


def pixels(msg):
    """The pixels of an image of one channel."""
    dtype = {'32FC1': np.float32, '16UC1': np.uint16}.get(msg.encoding, np.uint8)
    return np.frombuffer(msg.data, dtype).reshape(msg.height, msg.width)


def change(node, **values):
    """The answer of the node to a change of parameters; `__` is a dot."""
    parameters = [Parameter(name.replace('__', '.'), value=v) for name, v in values.items()]
    return node.set_parameters_atomically(parameters)


def test_all_outputs_shrink_together(ros):
    node, camera = ros.node_and_camera(listen=STRIDED)
    camera.send(T0)
    whole = {topic: camera.wait(1, topic)[0] for topic in STRIDED}
    assert change(node, output__stride=2).successful
    camera.send(T0 + SECOND)
    thin = {topic: camera.output_at(T0 + SECOND, topic) for topic in STRIDED}
    for topic, msg in thin.items():
        assert (msg.height, msg.width) == (2, 3), topic
        assert msg.header.frame_id == 'optical frame'
    np.testing.assert_array_equal(pixels(thin[MASK]), EXPECTED_MASK[::2, ::2])
    for name in ('confidence', 'color'):
        topic = f'/segmentation/{name}'
        height, width = whole[topic].height, whole[topic].width
        before = np.frombuffer(whole[topic].data, np.uint8).reshape(height, width, -1)
        after = np.frombuffer(thin[topic].data, np.uint8).reshape(2, 3, -1)
        np.testing.assert_array_equal(after, before[::2, ::2])
    # Pixel (u, v) of an output is pixel (2u, 2v) of the image: so are its ray and its point.
    info = thin['/segmentation/camera_info']
    assert intrinsics_from_msg(info) == CameraIntrinsics(3, 2, 2.5, 2.5, 1.25, 0.75)
    clouds = [
        np.frombuffer(messages['/segmentation/points'].data, np.float32)
        for messages in (whole, thin)
    ]
    np.testing.assert_array_equal(
        clouds[1].reshape(2, 3, -1), clouds[0].reshape(4, 6, -1)[::2, ::2]
    )
    # points.stride thins the cloud further; at 1 it has the size of the mask.
    assert change(node, points__stride=2).successful
    camera.send(T0 + 2 * SECOND)
    cloud = camera.output_at(T0 + 2 * SECOND, '/segmentation/points')
    assert (cloud.height, cloud.width) == (1, 2)


def test_stride_that_does_not_divide_is_refused(ros):
    """At start when the first image comes, later by `ros2 param set`; the old value stays."""
    node, camera = ros.node_and_camera(output__stride=7)
    camera.send(T0, **camera_messages(64, 48))
    ros.wait_for_drops(node, bad_frame=1)
    sentence = (
        'parameter output.stride must divide images of 64x48, got 7; the nearest that does is 8'
    )
    ros.wait_for_log(sentence)
    assert change(node, output__stride=8).successful
    camera.send(T0 + SECOND, **camera_messages(64, 48))
    assert camera.output_at(T0 + SECOND).width == 8
    ros.spin_until(lambda: node.counters.counts().masks == 1, 'the end of the frame')
    answer = change(node, output__stride=7)
    assert (answer.successful, answer.reason) == (False, sentence)
    camera.send(T0 + 2 * SECOND, **camera_messages(64, 48))
    assert camera.output_at(T0 + 2 * SECOND).width == 8
    assert stamps(camera.received[MASK]) == [T0 + SECOND, T0 + 2 * SECOND]


def points_rgb(cloud):
    """(H, W, 3) colours of a cloud."""
    data = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.width, -1)
    return data[..., 12:15][..., ::-1]


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_selected_classes_are_a_mask_and_leave_the_depth(ros, encoding):
    topics = ('/segmentation/selected', '/segmentation/depth_without_selected')
    segmenter = FakeSegmenter()
    node, camera = ros.node_and_camera(segmenter, listen=topics, selected__classes='far')
    depth = np.arange(0, 4800, 200, np.uint16).reshape(4, 6)
    if encoding == '32FC1':
        depth = np.where(depth > 0, depth / np.float32(1000), np.float32(np.nan))
    missing = np.nan if encoding == '32FC1' else 0
    for second, names, chosen in (
        (0, None, EXPECTED_MASK == 1),
        (1, 'near, far', EXPECTED_MASK != 255),
        (2, '', np.zeros((4, 6), bool)),
    ):
        if names is not None:
            assert change(node, selected__classes=names).successful
        stamp = T0 + second * SECOND
        camera.send(stamp, depth=image(encoding, depth.tobytes()))
        selected, without = (camera.output_at(stamp, topic) for topic in topics)
        assert (selected.encoding, without.encoding) == ('mono8', encoding)
        np.testing.assert_array_equal(pixels(selected), 255 * chosen)
        np.testing.assert_array_equal(pixels(without), np.where(chosen, missing, depth))
    assert without.header == selected.header
    assert without.header.frame_id == 'optical frame'


def test_unknown_classes_are_refused(ros):
    with pytest.raises(
        ConfigError, match="^unknown class 'fra' in parameter selected.classes; did you mean 'far'"
    ):
        ros.segmentation(FakeSegmenter(), selected__classes='near,fra')
    node = ros.segmentation(FakeSegmenter(), name='other', selected__classes='near')
    answer = change(node, selected__classes='nearr')
    assert not answer.successful
    assert (
        "unknown class 'nearr' in parameter selected.classes; did you mean 'near'" in answer.reason
    )
    assert node.parameters['selected.classes'] == 'near'


def test_points_have_camera_or_class_colours(ros):
    topic = '/segmentation/points'
    node, camera = ros.node_and_camera(listen={topic: PointCloud2})
    camera.send(T0)
    np.testing.assert_array_equal(points_rgb(camera.wait(1, topic)[0]).ravel(), range(72))
    assert change(node, points__color='class', points__stride=2).successful
    camera.send(T0 + SECOND)
    expected = np.vstack([PALETTE, np.zeros((254, 3))])[EXPECTED_MASK[::2, ::2]]
    colors = points_rgb(camera.output_at(T0 + SECOND, topic))
    np.testing.assert_array_equal(colors, expected)


GROUPS = """
free: {classes: [floor, floor mat], color: [0, 200, 0]}
people: [person]
"""


def noise(seed):
    """Noise of 96x64 pixels, in which a random network sees many classes."""
    rng = np.random.default_rng(seed)
    messages = camera_messages(96, 64)
    messages['rgb'] = image('rgb8', rng.integers(0, 256, 3 * 96 * 64, np.uint8).tobytes(), 96, 64)
    return messages


def test_groups_change_the_classes_of_all_outputs(ros, checkpoint, tmp_path):
    path = tmp_path / 'groups.yaml'
    rest = [name for name in NYU40.class_names if name not in ('floor', 'floor mat', 'person')]
    path.write_text(f'{GROUPS}obstacle: {rest}')
    segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
    listen = dict.fromkeys([MASK, '/segmentation/selected', '/segmentation/color'], Image)
    node, camera = ros.node_and_camera(
        segmenter, listen, classes__groups=str(path), selected__classes='obstacle'
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(String, '/segmentation/labels', latched)
    camera.send(T0, **noise(1))
    mask, selected, color = (camera.output_at(T0, topic) for topic in listen)
    labels = json.loads(camera.wait(1, '/segmentation/labels')[0].data)
    assert [entry['name'] for entry in labels] == ['free', 'people', 'obstacle']
    assert labels[0]['rgb'] == [0, 200, 0]
    ros.spin_until(lambda: node.counters.counts().masks == 1, 'the end of the frame')
    frame = node.latest.frame
    expected = segmenter.mapped(read_class_mapping(path)).segment(frame).labels
    assert set(np.unique(expected)) <= {0, 1, 2}
    np.testing.assert_array_equal(pixels(mask), expected)
    np.testing.assert_array_equal(pixels(selected), 255 * (expected == 2))
    colors = np.array([entry['rgb'] for entry in labels])
    np.testing.assert_array_equal(
        np.frombuffer(color.data, np.uint8).reshape(64, 96, 3), colors[expected]
    )
    # A refused change leaves nothing for the next one.
    assert not change(node, classes__groups='', selected__classes='', output__stride=7).successful
    assert change(node, selected__classes='free').successful
    assert node.segmenter.class_names == ('free', 'people', 'obstacle')
    # Back to the classes of the network: what names groups must change with it.
    answer = change(node, classes__groups='')
    assert "unknown class 'free' in parameter selected.classes" in answer.reason
    assert change(node, classes__groups='', selected__classes='wall').successful
    camera.send(T0 + SECOND, **noise(1))
    np.testing.assert_array_equal(
        pixels(camera.output_at(T0 + SECOND)), segmenter.segment(frame).labels
    )
    received = camera.received['/segmentation/labels']
    ros.spin_until(lambda: len(json.loads(received[-1].data)) == 40, 'the labels of the network')
    # A reloaded network gets the groups as well.
    assert change(node, classes__groups=str(path), selected__classes='').successful
    assert ros.call(camera, Trigger, '/segmentation/reload_model').success
    assert node.segmenter.class_names == ('free', 'people', 'obstacle')


def test_invalid_groups_are_refused_and_the_old_ones_stay(ros, checkpoint, tmp_path):
    good, bad = tmp_path / 'good.yaml', tmp_path / 'bad.yaml'
    good.write_text(GROUPS)
    segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
    node = ros.segmentation(segmenter, classes__groups=str(good))
    for text, message in (
        ('free: [flor]', "unknown class 'flor' in the classes to group; did you mean 'floor'"),
        ('free: []', 'free is empty'),
        ('free: [floor]\nwalk: [floor]', "'floor' is in 'free' and again in 'walk'"),
        ('free: [floor', 'not YAML: line 1'),
    ):
        bad.write_text(text)
        answer = change(node, classes__groups=str(bad))
        assert (answer.successful, message in answer.reason) == (False, True)
        assert answer.reason.startswith('parameter classes.groups: ')
        assert '\n' not in answer.reason
        assert node.parameters['classes.groups'] == str(good)
        assert node.segmenter.class_names == ('free', 'people')
    with pytest.raises(ConfigError, match='^parameter classes.groups: .* cannot be read'):
        ros.segmentation(segmenter, name='other', classes__groups=str(tmp_path / 'none.yaml'))


def test_probabilities_have_the_chosen_channels(ros, checkpoint):
    segmenter = Segmenter.from_checkpoint(checkpoint, device='cpu', backend='torch')
    topics = ['/segmentation/probabilities', '/segmentation/confidence', MASK]
    node, camera = ros.node_and_camera(segmenter, topics, confidence__encoding='32FC1')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.listen(String, '/segmentation/channels', latched)
    camera.send(T0, **noise(1))
    mask = pixels(camera.output_at(T0))
    assert not camera.received[topics[0]], 'no class is chosen'
    common = int(np.bincount(mask.ravel()).argmax())
    names = ['person', NYU40.class_names[common]]
    assert change(node, probabilities__classes=', '.join(names), output__stride=2).successful
    camera.send(T0 + SECOND, **noise(1))
    msg, confidence, mask = (camera.output_at(T0 + SECOND, topic) for topic in topics)
    assert (msg.encoding, msg.height, msg.width, msg.step) == ('32FC2', 32, 48, 48 * 8)
    assert msg.header == mask.header
    values = np.frombuffer(msg.data, np.float32).reshape(32, 48, 2)
    chosen = pixels(mask) == common
    assert chosen.any()
    np.testing.assert_allclose(values[chosen, 1], pixels(confidence)[chosen], rtol=1e-4)
    assert (values.sum(2) <= 1 + 1e-6).all()
    assert json.loads(camera.received['/segmentation/channels'][-1].data) == names
