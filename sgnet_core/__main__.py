# SPDX-License-Identifier: Apache-2.0
"""`python -m sgnet_core COMMAND`, the same commands as `ros2 run sgnet_core COMMAND`."""

import sys

from sgnet_core.cli import main

COMMANDS: dict[str, str] = {
    'train': 'train a network on a folder data set',
    'evaluate': 'measure a checkpoint on a labelled data set',
    'report': 'compare two runs of evaluate or evaluate_bag',
    'predict': 'segment frames and write masks and pictures',
    'export': 'write a checkpoint as an ONNX graph, checked against PyTorch',
    'benchmark': 'measure latency and memory of networks on this machine',
    'average': 'write the mean of the weights of several checkpoints',
    'info': 'say what a variant or a checkpoint is',
    'convert_checkpoint': "make a checkpoint of a file of SGNet's authors",
    'prepare_dataset': 'write NYUv2, SUN RGB-D or generated rooms as a data set',
    'encode_depth': 'write depth as HHA, XYZ, normals, or a picture of all of them',
    'check_dataset': 'validate a dataset before training',
}
"""Name -> one line of help. The module is `sgnet_core.commands.<name>`."""

INSTALL_HINT = 'install sgnet_ros with pip; its extras train and export are for those commands'
"""What to do if a third-party module is missing."""

if __name__ == '__main__':
    sys.exit(main('sgnet_core', COMMANDS))
