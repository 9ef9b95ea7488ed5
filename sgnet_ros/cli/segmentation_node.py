# SPDX-License-Identifier: Apache-2.0
"""Run the ROS 2 node `segmentation`, which publishes class masks of RGB-D images.

ROS arguments set topics and parameters, for example:

  segmentation_node --ros-args -r rgb/image:=/camera/color/image_raw -p device:=cpu

The node exits on SIGINT or SIGTERM and logs one line of statistics.
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
    """Run the node until it is stopped, then exit."""
    # Before the node exists, signals end the process at once: an import may replace an exception.
    # Shells start background processes with SIGINT ignored.
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

    # The handlers of rclpy would destroy the publishers before the last frame.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmentationNode(Segmenter.from_checkpoint)
        middleware = get_rmw_implementation_identifier()
        node.get_logger().info(profile_text(os.environ, middleware))
        serve(node, args.json)
    finally:
        rclpy.try_shutdown()
    exit_now(0)
