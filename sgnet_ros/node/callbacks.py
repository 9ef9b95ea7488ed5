# SPDX-License-Identifier: Apache-2.0
"""Keeps the node alive if rclpy raises for a message or request from outside.

rclpy passes exceptions of callbacks on to the executor, which would end the process: for a /clock
before 1970, an unknown type of a parameter, an invalid transition number.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node

from sgnet_core.errors import first_line

WARNING_PERIOD_S = 5.0


def tolerant(node: Node, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """`callback` of a subscription; its exceptions become warnings."""

    def handle(message: Any) -> None:
        try:
            callback(message)
        except Exception as error:
            node.get_logger().warning(
                f'{topic}: message ignored: {type(error).__name__}: {first_line(error)}',
                throttle_duration_sec=WARNING_PERIOD_S,
            )

    return handle


def reject_invalid_requests(node: Node) -> None:
    """Let the services of rclpy respond to every request."""

    def respond(name: str, callback: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            node.get_logger().warning(f'{name}: request rejected: {first_line(error)}')
            if hasattr(response, 'success'):
                response.success = False
            return response

    for service in node.services:
        if not inspect.iscoroutinefunction(service.callback):
            service.callback = partial(respond, service.srv_name, service.callback)
