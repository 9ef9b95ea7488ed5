# SPDX-License-Identifier: Apache-2.0
"""Lifecycle of the node over real DDS: loading, release and recovery."""

import threading
import weakref

import pytest
from fake_node import FakeSegmenter
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from ros_harness import MASK, SECOND, T0, stamps
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from sgnet_core.errors import CheckpointError, SgnetError
from sgnet_ros.node.process import MAX_LAST_FRAME_S
from sgnet_ros.node.publishers import Publishers


def listening(ros, node, camera=None):
    """A camera, connected to the active node, that listens to masks."""
    camera = camera or ros.camera()
    if not camera.received:
        camera.listen(Image, MASK)
    camera.connect(MASK)
    ros.subscribed(node)
    return camera


def change_state(ros, camera, label):
    """`label` of a transition, or its number."""
    asked = Transition(**{'label' if isinstance(label, str) else 'id': label})
    request = ChangeState.Request(transition=asked)
    return ros.call(camera, ChangeState, '/segmentation/change_state', request).success


def state_of(ros, camera):
    return ros.call(camera, GetState, '/segmentation/get_state').current_state.id


def test_deactivation_waits_for_the_current_frame(ros):
    """Otherwise, the next activation would use the network in a second thread."""
    entered, deactivated = threading.Event(), threading.Event()

    def hold(frame):
        entered.set()
        # Longer than a process waits before it exits.
        deactivated.wait(2 * MAX_LAST_FRAME_S)

    node = ros.segmentation(FakeSegmenter(hold), qos__input='reliable')
    camera = listening(ros, node)
    camera.send(T0)
    ros.spin_until(entered.is_set, 'the frame is being segmented')
    node.trigger_deactivate()
    masks = node.counters.counts().masks
    deactivated.set()
    assert masks == 1
    node.trigger_activate()
    camera.connect(MASK)
    ros.subscribed(node)
    camera.send(T0 + SECOND)
    camera.wait(2)
    assert stamps(camera.received[MASK]) == [T0, T0 + SECOND]


def test_unloadable_checkpoint_ends_autostart_but_not_a_managed_node(ros):
    class Unloadable(FakeSegmenter):
        def warm_up(self, iterations):
            raise CheckpointError('no such file: x.safetensors')

    class Broken(FakeSegmenter):
        def warm_up(self, iterations):
            raise ZeroDivisionError('a defect')

    with pytest.raises(CheckpointError, match=r'x\.safetensors'):
        ros.segmentation(Unloadable())
    with pytest.raises(SgnetError, match='did not start; its log has the traceback'):
        ros.segmentation(Broken())
    log = '\n'.join(ros.log())
    assert 'x.safetensors' not in log, 'the command prints the error of autostart'
    assert log.count('ZeroDivisionError: a defect') == 1
    ros.segmentation(Unloadable(), autostart=False)
    camera = ros.camera()
    assert not change_state(ros, camera, 'configure')
    assert state_of(ros, camera) == State.PRIMARY_STATE_UNCONFIGURED
    ros.wait_for_log('x.safetensors')


@pytest.mark.parametrize(
    ('given', 'handed_on'), [(None, None), ([0, 0], None), ([288, 384], (288, 384))]
)
def test_network_is_loaded_with_the_given_size(ros, given, handed_on):
    options = []
    node = ros.segmentation(None, autostart=False, **({'input_size': given} if given else {}))
    node._load_segmenter = lambda *those: options.extend(those) or FakeSegmenter()
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert options == [None, 'auto', 'auto', 'auto', handed_on]


@pytest.fixture
def networks(ros):
    """A managed node, a camera, and weak references to the networks that it has loaded."""
    loaded = []

    def load(*options):
        network = FakeSegmenter()
        network.part_of_a_cycle = network
        loaded.append(weakref.ref(network))
        return network

    node = ros.segmentation(None, autostart=False, qos__input='reliable')
    node._load_segmenter = load
    return node, ros.camera(), loaded


def alive(networks):
    return [network() is not None for network in networks]


def test_lifecycle_services_run_two_rounds(ros, networks):
    """The network survives deactivation, but not clean-up."""
    node, camera, loaded = networks
    assert state_of(ros, camera) == State.PRIMARY_STATE_UNCONFIGURED
    assert camera.rgb.get_subscription_count() == 0
    for count in (1, 2):
        assert change_state(ros, camera, 'configure')
        assert change_state(ros, camera, 'activate')
        listening(ros, node, camera)
        camera.send(T0 + count * SECOND)
        camera.wait(count)
        assert change_state(ros, camera, 'deactivate')
        ros.spin_until(lambda: not camera.rgb.get_subscription_count(), 'no subscription')
        assert alive(loaded) == [False] * (count - 1) + [True]
        assert change_state(ros, camera, 'cleanup')
        assert alive(loaded) == [False] * count
    assert state_of(ros, camera) == State.PRIMARY_STATE_UNCONFIGURED
    assert any(change_state(ros, camera, one) for one in ('unconfigured_shutdown', 'shutdown'))
    assert state_of(ros, camera) == State.PRIMARY_STATE_FINALIZED


def test_replaced_network_is_freed_before_the_next_frame(ros, networks):
    node, camera, loaded = networks
    assert change_state(ros, camera, 'configure')
    assert change_state(ros, camera, 'activate')
    listening(ros, node, camera)
    camera.send(T0)
    camera.wait(1)
    assert ros.call(camera, Trigger, '/segmentation/reload_model').success
    assert alive(loaded) == [False, True]


def test_failed_activation_frees_everything_and_is_recoverable(ros, networks, monkeypatch):
    node, camera, loaded = networks
    assert change_state(ros, camera, 'configure')
    with monkeypatch.context() as broken:
        broken.setattr(Publishers, 'publish_labels', lambda *_: 1 / 0)
        assert not change_state(ros, camera, 'activate')
    assert state_of(ros, camera) == State.PRIMARY_STATE_UNCONFIGURED
    assert alive(loaded) == [False]
    ros.wait_for_log('ZeroDivisionError')
    assert not node.count_publishers(MASK)
    assert change_state(ros, camera, 'configure')
    assert change_state(ros, camera, 'activate')
    listening(ros, node, camera)
    camera.send(T0)
    camera.wait(1)


def test_invalid_transitions_are_rejected(ros, networks):
    """By number, as Nav2 asks; rclpy would let the error out of the executor."""
    _, camera, _ = networks
    for number in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CLEANUP, 99):
        assert not change_state(ros, camera, number)
    assert state_of(ros, camera) == State.PRIMARY_STATE_UNCONFIGURED
    # The rclpy of Kilted refuses by itself.
    assert sum('request rejected' in line for line in ros.log()) in (0, 3)
    assert change_state(ros, camera, Transition.TRANSITION_CONFIGURE)
    assert not change_state(ros, camera, Transition.TRANSITION_CONFIGURE)
    assert state_of(ros, camera) == State.PRIMARY_STATE_INACTIVE
