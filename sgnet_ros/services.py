# SPDX-License-Identifier: Apache-2.0
"""The node's services. What takes long runs in a thread of its own, and callbacks go on."""

from __future__ import annotations

import platform
import threading
import traceback
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import cv2
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from sgnet_core.device import free_memory
from sgnet_core.errors import SgnetError
from sgnet_ros import ros_api
from sgnet_ros.conversions import stamp_ns
from sgnet_ros.interface import ENABLE, RELOAD_MODEL, SAVE_SNAPSHOT
from sgnet_ros.parameters import NODE_PARAMETERS
from sgnet_ros.snapshot import default_folder, write_snapshot

if TYPE_CHECKING:
    from sgnet_ros.node import SegmentationNode

NO_NETWORK = 'no network is loaded; configure the node'


class Services:
    """Answers from construction on, whatever the state of `node`. One thing at a time."""

    def __init__(self, node: SegmentationNode) -> None:
        self._node = node
        self._working = 0
        # Of their own: a group waits for the coroutine before it lets another callback in.
        group = MutuallyExclusiveCallbackGroup()
        for service, answer in (
            (ENABLE, self._enable),
            (RELOAD_MODEL, self._reload_model),
            (SAVE_SNAPSHOT, self._save_snapshot),
        ):
            node.create_service(service.kind, service.name, answer, callback_group=group)

    @property
    def busy(self) -> bool:
        """Whether a thread works for a service."""
        return self._working > 0

    async def _enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        return await self._answered(response, self._switch(request.data))

    async def _reload_model(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return await self._answered(response, self._reload())

    async def _save_snapshot(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return await self._answered(response, self._snapshot())

    async def _switch(self, enabled: bool) -> str:
        node = self._node
        if node.segmenter is None:
            raise SgnetError(NO_NETWORK)
        if enabled != node.active:
            transition = node.trigger_activate if enabled else node.trigger_deactivate
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise SgnetError(f'the transition failed: {node.failure}')
        return 'active' if enabled else 'inactive'

    async def _reload(self) -> str:
        node, present = self._node, self._node.segmenter
        if present is None:
            raise SgnetError(NO_NETWORK)
        loaded = await self._in_thread(node.load_segmenter)
        if node.segmenter is not present:
            raise SgnetError('the node has let go of its network meanwhile; configure it')
        node.use_segmenter(loaded)
        del present
        await self._in_thread(free_memory)
        return loaded.description

    async def _snapshot(self) -> str:
        node, latest = self._node, self._node.latest
        if latest is None:
            problem = node.describe_problem() or 'nobody subscribes to an output'
            raise SgnetError(f'no frame has been segmented yet: {problem}')
        parent = node.parameters['snapshot.folder']
        name = f'{node.get_name()}_{datetime.now():%Y-%m-%d_%H-%M-%S.%f}'
        folder = (Path(parent).expanduser() if parent else default_folder()) / name
        header = latest.camera_info.header
        stamp = stamp_ns(header)
        about = {'stamp_ns': stamp, 'frame_id': header.frame_id, **_circumstances(node)}
        await self._in_thread(
            lambda: write_snapshot(folder, f'{stamp:019d}', latest.frame, latest.result, about)
        )
        age_s = (node.get_clock().now().nanoseconds - stamp) / 1e9
        return f'{folder}: the frame stamped {stamp / 1e9:.3f}, {age_s:.1f} s ago'

    async def _answered(
        self,
        response: SetBool.Response | Trigger.Response,
        action: Coroutine[Any, Any, str],
    ) -> SetBool.Response | Trigger.Response:
        """`response` with what `action` returns, or what is wrong: nothing may end the node."""
        try:
            response.message, response.success = await action, True
        except SgnetError as error:
            response.message, response.success = str(error), False
        except Exception as error:
            self._node.get_logger().error(traceback.format_exc())
            response.message, response.success = repr(error), False
        return response

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises."""
        done = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
            if self._node.executor is not None:
                self._node.executor.wake()

        self._working += 1
        try:
            threading.Thread(target=run, name='sgnet_service', daemon=True).start()
            return await done
        finally:
            self._working -= 1


def _circumstances(node: SegmentationNode) -> dict[str, Any]:
    """What a reader of a bug report wants to know, as JSON has it."""
    return {
        'node': node.get_fully_qualified_name(),
        'network': node.describe_network(),
        'parameters': {item.name: node.parameters[item.name] for item in NODE_PARAMETERS},
        'statistics': node.statistics.counts().to_json(),
        'ros_packages': ros_api.CHOICES,
        'versions': {module.__name__: module.__version__ for module in (torch, np, cv2)}
        | {'python': platform.python_version()},
    }
