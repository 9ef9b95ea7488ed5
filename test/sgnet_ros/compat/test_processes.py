# SPDX-License-Identifier: Apache-2.0
"""Child processes are watched and ended; ROS domains are free when they are said to be."""

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from sgnet_core.errors import SgnetError
from sgnet_core.labels import NYU40
from sgnet_ros.bag.writer import write_bag
from sgnet_ros.compat import dds_profile
from sgnet_ros.compat.dds_profile import USERS_CHOICES, large_image_profile, profile_text
from sgnet_ros.compat.distributions import PROFILE_VARIABLES
from sgnet_ros.compat.ros_domain import DOMAINS, discovery_ports, free_domain_id, own_domain
from sgnet_ros.compat.signals import ended_in_time, interruptible
from sgnet_ros.replay.child_process import ChildProcess

DEADLINE_S = 20.0


@pytest.fixture
def environ(ros_domain_id):
    return {**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)}


def test_a_child_that_fails_is_quoted(tmp_path, environ):
    with ChildProcess('player', ['play_bag', '/nothing'], tmp_path / 'log', environ) as child:
        while child.running:
            os.sched_yield()
        with pytest.raises(SgnetError, match='player ended: exit status 2') as error:
            child.check()
    assert 'no bag at /nothing' in str(error.value)


def test_a_child_that_would_run_for_ever_is_ended(tmp_path, tiny_samples, environ):
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = ['play_bag', str(tmp_path / 'bag'), '--loop']
    with (
        pytest.raises(ZeroDivisionError),
        ChildProcess('player', argv, tmp_path / 'log', environ) as child,
    ):
        assert child.running
        assert child.exit_status is None
        child.check()
        _ = 1 / 0
    assert not child.running
    assert child.stop() == child.exit_status, 'ending it twice does no harm'


def test_free_domain_avoids_ports_in_use(monkeypatch):
    monkeypatch.setattr('sgnet_ros.compat.ros_domain.DOMAINS', range(98, 101))
    with contextlib.ExitStack() as sockets:

        def take(port):
            udp = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(('', port))

        take(discovery_ports(98)[1])
        take(discovery_ports(100)[0])
        assert {free_domain_id() for _ in range(10)} == {99}
        take(discovery_ports(99)[0])
        with pytest.raises(SgnetError, match='set ROS_DOMAIN_ID yourself'):
            free_domain_id()


def test_own_domain_keeps_what_the_user_has_set():
    changes = own_domain({})
    assert int(changes['ROS_DOMAIN_ID']) in DOMAINS
    assert changes['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    user = {'ROS_DOMAIN_ID': '42', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    assert {**user, **own_domain(user)} == user
    humble = own_domain({'ROS_DISTRO': 'humble', 'ROS_DOMAIN_ID': '3'})
    assert humble == {'ROS_LOCALHOST_ONLY': '1'}


def test_large_image_profile_unless_the_user_has_chosen(monkeypatch, tmp_path, caplog):
    changes = large_image_profile({})
    assert set(changes) == set(PROFILE_VARIABLES)
    (file,) = set(changes.values())
    assert '<segment_size>' in Path(file).read_text()
    assert file in profile_text(changes, 'rmw_fastrtps_cpp')
    assert file not in profile_text(changes, 'rmw_cyclonedds_cpp')
    for name in USERS_CHOICES:
        assert large_image_profile({name: 'theirs'}) == {}
        assert f'{name}=theirs' in profile_text({name: 'theirs'}, 'rmw_fastrtps_cpp')
    assert caplog.text == ''
    monkeypatch.setattr(dds_profile, '_config_folders', lambda: [tmp_path])
    assert large_image_profile({}) == {}
    assert 'may lose large images' in caplog.text


@pytest.mark.parametrize(
    ('distribution', 'name'), [('humble', 'RTPS'), ('jazzy', 'RTPS'), ('kilted', 'DDS')]
)
def test_a_distribution_gets_the_variable_that_its_fast_dds_reads(distribution, name):
    """That of Kilted warns of the older one."""
    changes = large_image_profile({'ROS_DISTRO': distribution})
    assert set(changes) == {f'FAST{name}_DEFAULT_PROFILES_FILE'}


def test_no_large_image_profile_without_shared_memory_for_it(monkeypatch, tmp_path, caplog):
    """Fast DDS would go without shared memory at all, after three errors for every process."""
    monkeypatch.setattr(dds_profile, 'ROOM', 2**62)
    assert large_image_profile({}) == {}
    assert '--shm-size' in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(dds_profile, 'SHARED_MEMORY', tmp_path / 'none')
    assert large_image_profile({}) == {}


def test_ctrl_c_sets_the_event_and_a_second_one_raises():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        assert isinstance(stop, threading.Event)
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ('grace_s', 'signals', 'must_leave'),
    [(3600.0, 0, False), (3600.0, 1, False), (0.01, 1, True), (3600.0, 2, True)],
)
def test_a_late_end_or_a_second_signal_leaves(grace_s, signals, must_leave):
    before = signal.getsignal(signal.SIGINT)
    left = threading.Event()
    with ended_in_time(grace_s, left.set) as stop:
        for _ in range(signals):
            signal.raise_signal(signal.SIGINT)
            assert stop.wait(DEADLINE_S)
        assert left.wait(DEADLINE_S if must_leave else 0) == must_leave
    assert (stop.is_set(), left.is_set()) == (signals > 0, must_leave)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize('context', [interruptible, lambda: ended_in_time(3600.0, print)])
def test_nohup_keeps_the_end_of_the_terminal_away(context):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with context() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
