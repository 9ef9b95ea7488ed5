# SPDX-License-Identifier: Apache-2.0
"""The node's services. Long work runs in its own thread, so that other callbacks continue."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from sgnet_core.errors import SgnetError
from sgnet_ros.topics import ENABLE, RELOAD_MODEL, SAVE_SNAPSHOT


class Services:
    """Offers the services in every state of the node and handles one request at a time.

    Each callable returns the message of the response. A SgnetError that it raises becomes the
    message of a response without success.

    Args:
        activate: activates the node, or deactivates it if the argument is false.
        reload: loads the network again.
        snapshot: saves the latest frame.

    Attributes:
        running_threads: number of threads that work for a service.
    """

    def __init__(
        self,
        node: Node,
        activate: Callable[[bool], Awaitable[str]],
        reload: Callable[[], Awaitable[str]],
        snapshot: Callable[[], Awaitable[str]],
    ) -> None:
        self._node = node
        self.running_threads = 0
        # A separate group: it waits for the coroutine before it allows the next callback.
        group = MutuallyExclusiveCallbackGroup()
        for service, action in (
            (ENABLE, lambda request: activate(request.data)),
            (RELOAD_MODEL, lambda request: reload()),
            (SAVE_SNAPSHOT, lambda request: snapshot()),
        ):
            respond = partial(self._respond, action)
            node.create_service(service.kind, service.name, respond, callback_group=group)

    async def run_in_thread(self, work: Callable[[], Any]) -> Any:
        """Run `work` in a thread; returns its result or raises its exception."""
        done = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
            if self._node.executor is not None:
                self._node.executor.wake()

        self.running_threads += 1
        try:
            threading.Thread(target=run, name='sgnet_service', daemon=True).start()
            return await done
        finally:
            self.running_threads -= 1

    async def _respond(
        self, action: Callable[[Any], Awaitable[str]], request: Any, response: Any
    ) -> Any:
        """Fill in `response`. An exception here would end the node."""
        try:
            response.message, response.success = await action(request), True
        except SgnetError as error:
            response.message, response.success = str(error), False
        except Exception as error:
            self._node.get_logger().error(traceback.format_exc())
            response.message, response.success = repr(error), False
        return response
