# SPDX-License-Identifier: Apache-2.0
"""Starts rclpy in a command that handles signals itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sgnet_core.errors import InputError, first_line

RULES = {
    'remap rule': 'names have letters, digits, _ and single /, and do not end with /',
    'params file': 'it must be a YAML file of the form NODE: {ros__parameters: {NAME: VALUE}}',
    'parameter override rule': 'write NAME:=VALUE with a YAML value',
    'log level': 'use debug, info, warn, error or fatal',
}
"""Kind of a ROS argument in the messages of rcl -> what it must be."""


def init_ros(args: list[str] | None = None) -> None:
    """Start rclpy without its signal handlers.

    Args:
        args: its command line; None uses that of the process.

    Raises:
        InputError: a ROS argument is invalid, or ROS cannot start.
    """
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # the base class of all errors of rcl
        text = first_line(error)
        found = re.search(r"Couldn't parse (.*?): '(.*?)'\. Error: (.*?)(?:, at |$)", text)
        if found:
            kind, argument, reason = found.groups()
            rule = RULES.get(kind, reason)
            rule += f' ({reason})' if kind == 'params file' else ''
            raise InputError(f'invalid ROS argument {argument!r}: {rule}') from error
        raise InputError(f'ROS cannot start: {text}') from error


@contextmanager
def ros_node(name: str, args: list[str] | None = None) -> Iterator[Node]:
    """A node of a new rclpy; `args` are its command line, None uses that of the process."""
    init_ros(args)
    node = rclpy.create_node(name)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
