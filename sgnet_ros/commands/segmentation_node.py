# SPDX-License-Identifier: Apache-2.0
"""Run the ROS 2 node `segmentation`: colour, depth and camera_info in, class masks out.

Topics and parameters are set the ROS way, for example:

  segmentation_node --ros-args -r rgb/image:=/camera/color/image_raw -p device:=cpu

Ends on Ctrl-C or SIGTERM, with one line of statistics.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from sgnet_core.cli import check_json_destination, write_json
from sgnet_core.errors import SgnetError
from sgnet_ros.interruption import ended_in_time

if TYPE_CHECKING:
    from sgnet_ros.node import SegmentationNode

SIGNAL_PERIOD_S = 0.2
LAST_FRAME_S = 0.4
END_S = 0.8
"""From a signal to the end of the process, whatever it is at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='at the end, write the statistics to FILE; - for standard output',
    )
    parser.epilog = 'Everything after --ros-args is for ROS; parameters: ros2 param describe.'


def run(args: argparse.Namespace) -> NoReturn:
    """Load the network, serve until asked to end, and exit; or raise what went wrong."""
    # Until there is a node, nothing has to be put in order, and an exception in the middle of an
    # import would come out as something else. A shell that started this in the background has
    # SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    check_json_destination(args.json)
    from sgnet_ros.dds_profile import large_image_profile, profile_text

    os.environ.update(large_image_profile(os.environ))
    from sgnet_core.segmenter import Segmenter  # isort: skip  torch comes before cv2

    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import get_rmw_implementation_identifier

    from sgnet_ros.node import SegmentationNode

    # rclpy's own handlers would take the publishers away from under the last frame.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmentationNode(Segmenter.from_checkpoint)
        middleware = get_rmw_implementation_identifier()
        node.get_logger().info(profile_text(os.environ, middleware))
        serve(node, args.json)
    finally:
        rclpy.try_shutdown()
    # Python would take most of a second to let go of what it has imported.
    _exit(0)


def serve(node: SegmentationNode, json_file: str | None = None) -> None:
    """Start and spin `node` until Ctrl-C, SIGTERM or its failure, then end it in order.

    Raises:
        SgnetError: the node did not start, or its worker failed; the log has the traceback.
    """
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    # Once: spin_until_future_complete would add another one for every message.
    node.failed.add_done_callback(lambda _: executor.wake())
    leave = partial(_leave, node, json_file, threading.Lock())
    try:
        with ended_in_time(END_S, leave) as asked_to_end:
            node.start()
            while node.context.ok() and not (asked_to_end.is_set() or node.failed.done()):
                executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
            if not node.stop(LAST_FRAME_S):
                leave()
        _report(node, json_file)
    finally:
        node.destroy_node()
    if node.failed.done():
        raise SgnetError(f'the node has failed: {node.failure!r}')


def _report(node: SegmentationNode, json_file: str | None) -> None:
    counts = node.statistics.counts()
    node.get_logger().info(counts.line())
    if json_file:
        write_json(json_file, counts.to_json())


def _leave(node: SegmentationNode, json_file: str | None, only_one: threading.Lock) -> NoReturn:
    """End the process although a thread of it cannot: it loads, or is at a frame.

    Python would wait for that thread, or crash under it. Whoever comes second waits here.
    """
    only_one.acquire()
    status = 1
    try:
        _report(node, json_file)
        node.leave()
        status = 1 if node.failed.done() else 0
    except Exception as error:
        print(f'segmentation_node: {error}', file=sys.stderr)
    finally:
        _exit(status)


def _exit(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
