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
from typing import NoReturn

from sgnet_core.cli.options import add_options
from sgnet_core.io.files import check_json_destination


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, 'json')
    parser.epilog = (
        'The results are the frame statistics, written at exit. ROS parses everything after '
        '--ros-args; `ros2 param describe` lists the parameters.'
    )


def run(args: argparse.Namespace) -> NoReturn:
    """Load the network, serve until asked to end, and exit; or raise what went wrong."""
    # Until there is a node, nothing has to be put in order, and an exception in the middle of an
    # import would come out as something else. A shell that started this in the background has
    # SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    check_json_destination(args.json)
    from sgnet_ros.compat.dds_profile import large_image_profile, profile_text

    os.environ.update(large_image_profile(os.environ))
    from sgnet_core.inference.segmenter import Segmenter  # isort: skip  torch comes before cv2

    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import get_rmw_implementation_identifier

    from sgnet_ros.node.process import exit_now, serve
    from sgnet_ros.node.segmentation_node import SegmentationNode

    # rclpy's own handlers would take the publishers away from under the last frame.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmentationNode(Segmenter.from_checkpoint)
        middleware = get_rmw_implementation_identifier()
        node.get_logger().info(profile_text(os.environ, middleware))
        serve(node, args.json)
    finally:
        rclpy.try_shutdown()
    exit_now(0)
