# SPDX-License-Identifier: Apache-2.0
"""A ROS context per test."""

import pytest


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
