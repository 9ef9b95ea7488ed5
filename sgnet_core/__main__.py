# SPDX-License-Identifier: Apache-2.0
"""`python -m sgnet_core COMMAND`, the same commands as `ros2 run sgnet_core COMMAND`."""

import sys

from sgnet_core.cli.runner import main

COMMANDS: dict[str, str] = {
    'train': 'train a network on a dataset folder',
    'evaluate': 'evaluate checkpoints on a labelled dataset',
    'report': 'compare two runs of evaluate or evaluate_bag',
    'predict': 'segment frames and write masks and overlays',
    'export': 'write a checkpoint as an ONNX graph, verified against PyTorch',
    'benchmark': 'measure latency and memory of networks on this machine',
    'average': 'write the mean of the weights of several checkpoints',
    'info': 'print architecture, size, origin and scores of a checkpoint or variant',
    'convert_checkpoint': "convert a checkpoint of SGNet's authors",
    'prepare_dataset': 'write NYUv2, SUN RGB-D or generated rooms as a dataset folder',
    'encode_depth': 'write depth as HHA, XYZ or normals, or a figure of all of them',
    'check_dataset': 'validate a dataset before training',
}
"""Name -> one line of help. The module is `sgnet_core.cli.<name>`."""

INSTALL_HINT = 'install sgnet_ros with pip; its extras train and export are for those commands'
"""What to do if a third-party module is missing."""

if __name__ == '__main__':
    sys.exit(main('sgnet_core', COMMANDS))
