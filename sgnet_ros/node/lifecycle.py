# SPDX-License-Identifier: Apache-2.0
"""Rejects invalid lifecycle transitions, which would end the process in rclpy."""

from __future__ import annotations

from functools import partial

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode

from sgnet_core.errors import first_line


def reject_invalid_transitions(node: LifecycleNode) -> None:
    """Let `~/change_state` respond to every request.

    In rclpy, the error of an invalid transition number leaves the executor.
    """

    def respond(change_state, request, response) -> ChangeState.Response:
        try:
            return change_state(request, response)
        except RuntimeError as error:
            node.get_logger().warning(f'transition rejected: {first_line(error)}')
            response.success = False
            return response

    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = partial(respond, service.callback)
