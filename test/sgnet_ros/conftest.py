# SPDX-License-Identifier: Apache-2.0
"""A ROS context per test, and a small bag."""

import os
import subprocess
import sys

import pytest
from random_network import save_random_checkpoint

from sgnet_core.labels import NYU40
from sgnet_ros.bag.writer import write_bag
from sgnet_ros.monitoring.messages import DROPS


@pytest.fixture
def bag_path(tmp_path, tiny_samples):
    """A bag of `tiny_samples` at 30 Hz, with labels."""
    path = tmp_path / 'bag'
    write_bag(tiny_samples, path, 30.0, NYU40.class_names)
    return path


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    """A network of random weights whose predictions differ from pixel to pixel."""
    return save_random_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'random.safetensors')


@pytest.fixture
def unspun_node(ros):
    """A node that no executor spins."""
    from rclpy.node import Node

    node = Node('unspun_node', context=ros.context)
    yield node
    node.destroy_node()


@pytest.fixture
def start_command(ros_domain_id):
    """Starts `python -m sgnet_ros ARGV`; ends the processes after the test."""
    processes = []

    def start(*argv):
        process = subprocess.Popen(
            [sys.executable, '-m', 'sgnet_ros', *map(str, argv)],
            env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=240)


@pytest.fixture
def ros(ros_domain_id, capfd):
    """A running rclpy context with an executor."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from ros_harness import RosHarness

    context = Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    executor = SingleThreadedExecutor(context=context)
    world = RosHarness(context, executor, lambda: capfd.readouterr().err)
    yield world
    counters = [node.counters for node in world.nodes if hasattr(node, 'counters')]
    for node in world.nodes:
        executor.remove_node(node)
        node.destroy_node()
    for node in world.external_nodes:
        node.destroy_node()
        rclpy.try_shutdown(context=node.context)
    executor.shutdown()
    rclpy.try_shutdown(context=context)
    causes = {cause for one in counters for cause in one.counts().dropped}
    assert causes <= set(DROPS), 'sgnet_ros/monitoring/messages.py says what to make of each'
