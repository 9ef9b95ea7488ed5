# SPDX-License-Identifier: Apache-2.0
"""A segmenter that needs no network, and, run as a program, the node with it.

It labels by depth: below two metres is 'near', above is 'far', invalid depth is 255.
"""

import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import torch
import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions

from sgnet_core.errors import SgnetError
from sgnet_core.types import UNLABELLED, SegmentationResult
from sgnet_core.visualization.overlay import DeviceResult
from sgnet_ros.node.process import serve
from sgnet_ros.node.segmentation_node import SegmentationNode

CLASS_NAMES = ('near', 'far')
PALETTE = np.array([[10, 20, 30], [200, 100, 50]], np.uint8)


class FakeSegmenter:
    """The interface of `sgnet_core.inference.segmenter.Segmenter`.

    `before` is called with each frame first, so that a test can hold it up or raise.
    """

    class_names = CLASS_NAMES
    palette = PALETTE
    device = 'cpu'
    input_spec = SimpleNamespace(spatial='depth')
    description = 'a fake that labels by depth'

    def __init__(self, before=lambda frame: None):
        self.before = before
        self.warmed_up = 0
        self.frames = []

    def warm_up(self, iterations):
        self.warmed_up += iterations

    def mapped(self, mapping):
        return self

    def segment(self, frame):
        self.before(frame)
        self.frames.append(frame)
        labels = np.where(frame.depth_m < 2, 0, 1).astype(np.uint8)
        labels[np.isnan(frame.depth_m)] = UNLABELLED
        confidence = np.where(labels == 0, 0.9, 0.4).astype(np.float32)
        return SegmentationResult(labels, confidence, CLASS_NAMES)

    def segment_on_device(self, frame, fuse=None):
        result = DeviceResult.from_numpy(frame.rgb, self.segment(frame))
        if fuse is not None:
            near = torch.where(result.labels == 0, 0.6, 0.4)
            scores = fuse(torch.stack([near, 1 - near])[None].log(), frame)
            result = replace(result, labels=scores.argmax(1)[0].to(torch.uint8))
        return result


class HeldSegmenter(FakeSegmenter):
    """Sets `entered` at each frame, and then waits for `release`."""

    def __init__(self):
        super().__init__(lambda frame: (self.entered.set(), self.release.wait(20)))
        self.entered, self.release = threading.Event(), threading.Event()


def main():
    """The node as the command runs it, only with the fake.

    The first argument: `work`; `fail` raises at the first frame, `hang` never finishes it; `load`
    never finishes loading, `reload` not for the second time. They print 'hanging' first.
    """

    def fail(frame):
        raise RuntimeError('a defect in the network')

    def hang(*frame):
        print('hanging', flush=True)
        threading.Event().wait()

    behaviour = sys.argv[1]
    before = {'fail': fail, 'hang': hang}.get(behaviour, lambda frame: None)
    loaded = []

    def load(*options):
        if behaviour == 'load' or loaded:
            hang()
        loaded.append(FakeSegmenter(before))
        return loaded[-1]

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    serve(SegmentationNode(load), '-')


if __name__ == '__main__':
    try:
        main()
    except SgnetError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
