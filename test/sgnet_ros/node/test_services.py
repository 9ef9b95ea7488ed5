# SPDX-License-Identifier: Apache-2.0
"""The services of the node over real DDS, with a fake network."""

import json
import threading

import numpy as np
import pytest
from fake_node import FakeSegmenter
from rclpy.parameter import Parameter
from ros_harness import MASK, SECOND, T0
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import CheckpointError
from sgnet_core.io.images import read_stored
from sgnet_ros.conversions.masks import mask_from_msg


class Fewer(FakeSegmenter):
    """Another checkpoint: one class, of another colour."""

    class_names = ('all',)
    palette = np.array([[9, 8, 7]], np.uint8)
    description = 'another fake'

    def segment(self, frame):
        result = super().segment(frame)
        return type(result)(np.zeros_like(result.labels), result.confidence, self.class_names)


@pytest.fixture
def running(ros):
    """The node, told by `networks` what it loads next, and a camera that listens to it."""
    networks = [FakeSegmenter()]
    node, camera = ros.node_and_camera(networks[0])

    def load(*options):
        network = networks[-1]
        if isinstance(network, Exception):
            raise network
        return network

    node._load_segmenter = load
    return node, camera, networks


def ask(ros, camera, name):
    client = camera.node.create_client(Trigger, f'/segmentation/{name}')
    ros.spin_until(client.service_is_ready, name)
    return client.call_async(Trigger.Request())


def answer(ros, camera, name):
    return ros.call(camera, Trigger, f'/segmentation/{name}')


def enable(ros, camera, data):
    return ros.call(camera, SetBool, '/segmentation/enable', SetBool.Request(data=data))


def mask_of(camera, stamp_ns):
    """The mask of a frame sent now."""
    camera.send(stamp_ns)
    return mask_from_msg(camera.output_at(stamp_ns))


def test_enable_unsubscribes_and_subscribes(ros, running):
    node, camera, networks = running
    for _ in range(2):  # the second time it is so already
        told = enable(ros, camera, False)
        assert (told.success, told.message) == (True, 'inactive')
    ros.spin_until(lambda: not camera.rgb.get_subscription_count(), 'no subscription')
    assert node.segmenter is networks[0], 'still loaded'
    assert enable(ros, camera, True).success
    camera.connect(MASK)
    ros.subscribed(node)
    assert mask_of(camera, T0).shape == (4, 6)


def test_reload_replaces_the_network_between_two_frames(ros, running):
    node, camera, networks = running
    camera.listen(String, '/segmentation/labels')
    assert set(mask_of(camera, T0).ravel()) == {0, 1, 255}
    networks.append(Fewer())
    told = answer(ros, camera, 'reload_model')
    assert (told.success, told.message) == (True, 'another fake')
    assert networks[-1].warmed_up == 2
    assert set(mask_of(camera, T0 + SECOND).ravel()) == {0}
    ros.spin_until(lambda: camera.received['/segmentation/labels'], 'the new labels')
    (entry,) = json.loads(camera.received['/segmentation/labels'][-1].data)
    assert entry == {'id': 0, 'name': 'all', 'rgb': [9, 8, 7]}


@pytest.mark.parametrize('state', ['active', 'unconfigured'])
def test_reload_loads_the_changed_checkpoint(ros, running, state):
    node, camera, networks = running
    loaded = []
    node._load_segmenter = lambda *options: loaded.append(options[0]) or Fewer()
    if state == 'unconfigured':
        node.trigger_deactivate()
        node.trigger_cleanup()
    change = Parameter('checkpoint', value='new.safetensors')
    assert node.set_parameters_atomically([change]).successful
    told = answer(ros, camera, 'reload_model')
    assert (told.success, told.message, loaded) == (True, 'another fake', ['new.safetensors'])
    assert node.describe_network()['checkpoint'] == 'new.safetensors'


@pytest.mark.parametrize(
    ('error', 'text'),
    [
        (CheckpointError('x.safetensors: damaged'), 'x.safetensors: damaged'),
        (ZeroDivisionError('a defect'), "ZeroDivisionError('a defect')"),
    ],
)
def test_failed_reload_keeps_the_network(ros, running, error, text):
    node, camera, networks = running
    networks.append(error)
    told = answer(ros, camera, 'reload_model')
    assert (told.success, told.message) == (False, text)
    assert set(mask_of(camera, T0).ravel()) == {0, 1, 255}


def test_masks_and_services_continue_during_reload(ros, running):
    node, camera, networks = running
    entered, release = threading.Event(), threading.Event()

    class Slow(Fewer):
        def warm_up(self, iterations):
            entered.set()
            release.wait(30)

    networks.append(Slow())
    asked = ask(ros, camera, 'reload_model')
    ros.spin_until(entered.is_set, 'the loading')
    assert set(mask_of(camera, T0).ravel()) == {0, 1, 255}
    node.trigger_deactivate()
    assert not node.stop(0.1), 'a process must not end in order under this thread'
    node.trigger_cleanup()
    release.set()
    ros.spin_until(asked.done, 'the answer')
    assert not asked.result().success
    assert 'the network was released' in asked.result().message
    assert node.segmenter is None
    told = enable(ros, camera, True)
    assert (told.success, told.message) == (False, 'no network is loaded; configure the node')


def test_save_snapshot_writes_the_published_frame_or_reports_why_not(ros, running, tmp_path):
    node, camera, _ = running
    told = answer(ros, camera, 'save_snapshot')
    assert not told.success
    assert 'no frame has been segmented yet' in told.message
    mask = mask_of(camera, T0)
    folder = tmp_path / 'snapshots'
    assert node.set_parameters([Parameter('snapshot.folder', value=str(folder))])[0].successful
    told = answer(ros, camera, 'save_snapshot')
    (written,) = folder.iterdir()
    assert told.success
    assert told.message.startswith(f'{written}: the frame stamped 1700000000.000')
    (sample,) = FolderDataset(written)
    assert (sample.id, sample.labels) == (str(T0), None)
    assert sample.frame.intrinsics.cx == 2.5
    np.testing.assert_allclose(sample.frame.depth_m.ravel()[1:], np.arange(1, 24) / 5, rtol=1e-6)
    np.testing.assert_array_equal(read_stored(written / 'mask' / f'{T0}.png'), mask)
    assert sample.frame.rgb.ravel().tolist() == list(range(72))
    about = json.loads((written / 'about.json').read_text())
    assert about['frame_id'] == 'optical frame'
    assert about['class_names'] == ['near', 'far']
    assert about['parameters']['snapshot.folder'] == str(folder)
    (tmp_path / 'taken').touch()
    node.set_parameters([Parameter('snapshot.folder', value=str(tmp_path / 'taken'))])
    told = answer(ros, camera, 'save_snapshot')
    assert not told.success
    assert 'taken' in told.message
    assert 'cannot be written' in told.message
