# SPDX-License-Identifier: Apache-2.0
"""Child processes, private ROS domains, the Fast DDS profile, and signals."""

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
from sgnet_ros.compat.dds_profile import USER_SETTINGS, large_image_profile, profile_text
from sgnet_ros.compat.distributions import PROFILE_VARIABLES
from sgnet_ros.compat.ros_domain import DOMAINS, discovery_ports, free_domain_id, private_domain
from sgnet_ros.compat.signals import exit_within, interruptible
from sgnet_ros.replay.child_process import ChildProcess

DEADLINE_S = 20.0


def test_failed_child_reports_the_end_of_its_log(tmp_path):
    with ChildProcess('player', ['play_bag', '/nothing'], tmp_path / 'log') as child:
        while child.running:
            os.sched_yield()
        with pytest.raises(SgnetError, match='player has ended: exit status 2') as error:
            child.check()
    assert 'no bag at /nothing' in str(error.value)


def test_child_is_ended_with_its_context(tmp_path, tiny_samples, ros_domain_id, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    write_bag(tiny_samples, tmp_path / 'bag', 10.0, NYU40.class_names)
    argv = ['play_bag', str(tmp_path / 'bag'), '--loop']
    with (
        pytest.raises(ZeroDivisionError),
        ChildProcess('player', argv, tmp_path / 'log') as child,
    ):
        assert child.running
        child.check()
        _ = 1 / 0
    assert not child.running
    assert child.stop() == child.stop() != 0


def test_free_domain_avoids_ports_in_use(monkeypatch):
    monkeypatch.setattr('sgnet_ros.compat.ros_domain.DOMAINS', range(98, 101))
    with contextlib.ExitStack() as sockets:

        def occupy(port):
            udp = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(('', port))

        occupy(discovery_ports(98)[1])
        occupy(discovery_ports(100)[0])
        assert {free_domain_id() for _ in range(10)} == {99}
        occupy(discovery_ports(99)[0])
        with pytest.raises(SgnetError, match='set ROS_DOMAIN_ID'):
            free_domain_id()


def test_private_domain_keeps_variables_of_the_user():
    changes = private_domain({})
    assert int(changes['ROS_DOMAIN_ID']) in DOMAINS
    assert changes['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    user = {'ROS_DOMAIN_ID': '42', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    assert {**user, **private_domain(user)} == user
    humble = private_domain({'ROS_DISTRO': 'humble', 'ROS_DOMAIN_ID': '3'})
    assert humble == {'ROS_LOCALHOST_ONLY': '1'}


def test_large_image_profile_keeps_settings_of_the_user(monkeypatch, tmp_path, caplog):
    changes = large_image_profile({})
    assert set(changes) == set(PROFILE_VARIABLES)
    (file,) = set(changes.values())
    assert '<segment_size>' in Path(file).read_text()
    assert file in profile_text(changes, 'rmw_fastrtps_cpp')
    assert file not in profile_text(changes, 'rmw_cyclonedds_cpp')
    for name in USER_SETTINGS:
        assert large_image_profile({name: 'mine'}) == {}
        assert f'{name}=mine' in profile_text({name: 'mine'}, 'rmw_fastrtps_cpp')
    assert caplog.text == ''
    monkeypatch.setattr(dds_profile, '_config_folders', lambda: [tmp_path])
    assert large_image_profile({}) == {}
    assert 'may lose large images' in caplog.text


@pytest.mark.parametrize(
    ('distribution', 'name'), [('humble', 'RTPS'), ('jazzy', 'RTPS'), ('kilted', 'DDS')]
)
def test_profile_variable_matches_the_distribution(distribution, name):
    """Fast DDS of Kilted warns about the older variable."""
    changes = large_image_profile({'ROS_DISTRO': distribution})
    assert set(changes) == {f'FAST{name}_DEFAULT_PROFILES_FILE'}


@pytest.mark.parametrize(
    ('name', 'value'), [('REQUIRED_BYTES', 2**62), ('SHARED_MEMORY', Path('/nonexistent'))]
)
def test_large_image_profile_needs_shared_memory(monkeypatch, caplog, name, value):
    """Otherwise Fast DDS disables shared memory, with three errors for every process."""
    monkeypatch.setattr(dds_profile, name, value)
    assert large_image_profile({}) == {}
    assert '--shm-size' in caplog.text


def test_first_signal_sets_the_event_second_raises():
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
    ('grace_s', 'signals', 'must_exit'),
    [(3600.0, 0, False), (3600.0, 1, False), (0.01, 1, True), (3600.0, 2, True)],
)
def test_timeout_or_second_signal_forces_exit(grace_s, signals, must_exit):
    before = signal.getsignal(signal.SIGINT)
    left = threading.Event()
    with exit_within(grace_s, left.set) as stop:
        for _ in range(signals):
            signal.raise_signal(signal.SIGINT)
            assert stop.wait(DEADLINE_S)
        assert left.wait(DEADLINE_S if must_exit else 0) == must_exit
    assert (stop.is_set(), left.is_set()) == (signals > 0, must_exit)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize('context', [interruptible, lambda: exit_within(3600.0, print)])
def test_ignored_sighup_stays_ignored(context):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with context() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
