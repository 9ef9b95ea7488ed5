# SPDX-License-Identifier: Apache-2.0
"""Runs the node until SIGINT, SIGTERM or a failure, and ends the process in time."""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from typing import NoReturn

from sgnet_core.errors import SgnetError
from sgnet_core.io.files import write_json
from sgnet_ros.compat.distributions import make_executor
from sgnet_ros.compat.signals import exit_now, exit_within
from sgnet_ros.node.segmentation_node import SegmentationNode

SIGNAL_PERIOD_S = 0.2
MAX_LAST_FRAME_S = 0.4
MAX_EXIT_S = 0.8
"""Longest time from a signal to the end of the process."""


def serve(node: SegmentationNode, json_file: str | None = None) -> None:
    """Start and spin `node` until SIGINT, SIGTERM or a failure, then shut it down.

    Raises:
        ConfigError: rclpy lacks the executor of the parameter.
        SgnetError: the node did not start, or its worker failed; the log has the traceback.
    """
    executor = make_executor(node.parameters['executor'], node.context)
    executor.add_node(node)
    # Once: spin_until_future_complete would add a callback for every message.
    node.failed.add_done_callback(lambda _: executor.wake())
    # A full collection then skips the imported libraries, 0.1 s of CPU time.
    gc.freeze()
    exit_early = partial(_exit_early, node, json_file, threading.Lock())
    try:
        with exit_within(MAX_EXIT_S, exit_early) as stop_requested:
            node.start()
            while node.context.ok() and not (stop_requested.is_set() or node.failed.done()):
                executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
            if not node.stop(MAX_LAST_FRAME_S):
                exit_early()
        _report(node, json_file)
    finally:
        node.destroy_node()
    if node.failed.done():
        raise SgnetError('the node has failed; its log has the traceback')


def _report(node: SegmentationNode, json_file: str | None) -> None:
    counts = node.counters.counts()
    node.get_logger().info(counts.line())
    if json_file:
        write_json(json_file, counts.to_json())


def _exit_early(node: SegmentationNode, json_file: str | None, lock: threading.Lock) -> NoReturn:
    """End the process while a thread still loads a network or processes a frame.

    A regular exit would wait for that thread or crash. A second caller waits here.
    """
    lock.acquire()
    status = 1
    try:
        if node.is_segmenting:
            node.counters.dropped('stopped')
        _report(node, json_file)
        node.leave_ros()
        status = 1 if node.failed.done() else 0
    except Exception as error:
        print(f'segmentation_node: {error}', file=sys.stderr)
    finally:
        exit_now(status)
