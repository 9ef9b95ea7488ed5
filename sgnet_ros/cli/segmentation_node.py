# SPDX-License-Identifier: Apache-2.0
"""Run the ROS 2 node `segmentation`, which publishes class masks of RGB-D images.

ROS arguments set topics and parameters, for example:

  segmentation_node --ros-args -r rgb/image:=/camera/color/image_raw -p device:=cpu

The node exits on SIGINT or SIGTERM and logs one line of statistics.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from itertools import pairwise
from typing import NoReturn

from sgnet_core.cli.options import add_options
from sgnet_core.errors import ConfigError
from sgnet_core.io.files import check_json_destination
from sgnet_core.runtime.malloc_tuning import use_one_heap
from sgnet_ros.compat.signals import exit_now, exit_within

GRACE_S = 0.001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, 'json')
    parser.epilog = (
        'The results are the frame statistics, written at exit. ROS parses everything after '
        '--ros-args; `ros2 param describe` lists the parameters.'
    )


def run(args: argparse.Namespace) -> NoReturn:
    """Run the node until it is stopped, then exit."""
    use_one_heap()  # before there are threads
    # Until the node handles signals itself, they end the process at once: an import may replace
    # an exception.
    with exit_within(GRACE_S, partial(exit_now, 0)):
        _run(args)
    exit_now(0)


def _run(args: argparse.Namespace) -> None:
    check_json_destination(args.json)
    from sgnet_ros.compat.dds_profile import large_image_profile, profile_text

    os.environ.update(large_image_profile(os.environ))
    from sgnet_core.inference.segmenter import Segmenter  # isort: skip  torch comes before cv2

    import rclpy
    from rclpy.utilities import get_rmw_implementation_identifier

    from sgnet_ros.compat.launch_checks import check_parameter_file
    from sgnet_ros.compat.ros_node import init_ros
    from sgnet_ros.node.process import serve
    from sgnet_ros.node.segmentation_node import SegmentationNode

    # The handlers of rclpy would destroy the publishers before the last frame.
    init_ros()
    try:
        node = SegmentationNode(Segmenter.from_checkpoint)
        middleware = get_rmw_implementation_identifier()
        node.get_logger().info(profile_text(os.environ, middleware))
        for option, path in pairwise(sys.argv):
            if option == '--params-file':
                try:
                    check_parameter_file(path, node.get_fully_qualified_name())
                except ConfigError as error:  # it may be for all nodes of a robot
                    node.get_logger().warning(str(error))
        serve(node, args.json)
    finally:
        rclpy.try_shutdown()
