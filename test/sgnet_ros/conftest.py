# SPDX-License-Identifier: Apache-2.0
"""A ROS domain per test."""

import fcntl
import tempfile
from pathlib import Path

import pytest

DOMAINS = range(1, 101)


@pytest.fixture
def ros_domain_id():
    """A ROS domain that no other test uses at the same time, of this run or another."""
    for domain in DOMAINS:
        path = Path(tempfile.gettempdir()) / f'sgnet_ros_test_domain_{domain}.lock'
        with path.open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield domain
            return
    pytest.fail(f'all ROS domains {DOMAINS} are in use')


@pytest.fixture
def ros(ros_domain_id, capfd):
    """A running rclpy context with an executor."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from ros_world import World

    context = Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    executor = SingleThreadedExecutor(context=context)
    world = World(context, executor, lambda: capfd.readouterr().err)
    yield world
    for node in world.nodes:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()
    rclpy.try_shutdown(context=context)
