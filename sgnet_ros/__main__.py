# SPDX-License-Identifier: Apache-2.0
"""`python -m sgnet_ros COMMAND`, the same commands as `ros2 run sgnet_ros COMMAND`; and `sgnet`."""

import sys

from sgnet_core.__main__ import COMMANDS as CORE_COMMANDS
from sgnet_core.cli.runner import main, run_program

COMMANDS: dict[str, str] = {
    'segmentation_node': 'the ROS 2 node: RGB-D in, class masks out',
    'frames_to_bag': 'write a dataset folder as a rosbag2',
    'bag_to_frames': 'write a bag as a dataset folder, for annotation and training',
    'play_bag': 'publish a bag over ROS 2 at its recorded rate',
    'evaluate_bag': 'evaluate a checkpoint on the labelled frames of a bag',
    'benchmark_node': 'measure the latency of the node from camera to mask over DDS',
    'soak': 'run the node for a long time with faulty cameras and check its promises',
    'view': 'show masks in a browser: of a running node, a bag or a dataset folder',
    'demo': 'replay generated rooms through the node; write metrics and pictures',
}
"""Name -> one line of help. The module is `sgnet_ros.cli.<name>`."""

INSTALL_HINT = (
    'install sgnet_ros with pip; for ROS, source /opt/ros/DISTRO/setup.bash or install the pip '
    'extra standalone'
)
"""What to do if a third-party module is missing."""


def sgnet() -> int:
    """The console command `sgnet`: the commands of both packages."""
    return run_program('sgnet', {'sgnet_core': CORE_COMMANDS, 'sgnet_ros': COMMANDS})


if __name__ == '__main__':
    sys.exit(main('sgnet_ros', COMMANDS))
