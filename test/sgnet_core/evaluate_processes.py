# SPDX-License-Identifier: Apache-2.0
"""The command `evaluate` in two processes, and with Ctrl-C; spawned processes import it."""

import os
import signal
import socket

import torch
import numpy as np
import torch.multiprocessing

from sgnet_core.cli.runner import run_command
from sgnet_core.labels import NYU40
from sgnet_core.types import SegmentationResult


class InterruptingSegmenter:
    """Labels its n-th frame with class n, and sends SIGINT to this process at one frame."""

    class_names = NYU40.class_names
    description = 'nothing'
    device = 'cpu'

    def __init__(self, last=3):
        self.frames, self._last = 0, last

    def segment(self, frame):
        self.frames += 1
        if self.frames == self._last:
            os.kill(os.getpid(), signal.SIGINT)
        labels = np.full(frame.size, min(self.frames, 39), np.uint8)
        return SegmentationResult(labels, np.ones(frame.size, np.float32), self.class_names)


def command(data, *argv, status=0):
    argv = ['--data', data, '--device', 'cpu', '--backend', 'torch', *argv]
    assert run_command('sgnet_core', 'evaluate', [str(a) for a in argv]) == status


def in_two_processes(function, *args):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    torch.multiprocessing.spawn(function, (port, *args), 2)


def evaluate_process(rank, port, argv, status=0):
    torch.set_num_threads(1)
    os.environ |= {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2'}
    os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    command(*argv, status=status)


def interrupted_process(rank, port, root, out):
    from sgnet_core.data import folder_dataset
    from sgnet_core.evaluation import multi_scale

    data = folder_dataset.FolderDataset(root)
    data = folder_dataset.FolderDataset(root, ids=list(data.ids) * 40)
    folder_dataset.FolderDataset = lambda *_: data
    # Ctrl-C comes to both, in the middle of their shares.
    multi_scale.load_segmenter = lambda *_: InterruptingSegmenter(last=3 + 2 * rank)
    evaluate_process(rank, port, [root, '--json', out], status=130)
