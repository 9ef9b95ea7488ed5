# SPDX-License-Identifier: Apache-2.0
"""The rclpy node of a command that handles signals itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


@contextmanager
def ros_node(name: str, args: list[str] | None = None) -> Iterator[Node]:
    """A node of a new rclpy; `args` are its command line, None uses that of the process."""
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
