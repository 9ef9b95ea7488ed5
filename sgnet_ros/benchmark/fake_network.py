# SPDX-License-Identifier: Apache-2.0
"""The node with a fake network of a given latency, as a process.

python -m sgnet_ros.benchmark.fake_network MILLISECONDS FILE --ros-args ...
"""

from __future__ import annotations

import functools
import sys
import time
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import rclpy

from sgnet_core.labels import NYU40
from sgnet_core.runtime.malloc_tuning import keep_freed_memory
from sgnet_core.types import RgbdFrame, SegmentationResult
from sgnet_core.visualization.overlay import DeviceResult
from sgnet_ros.compat.ros_node import init_ros
from sgnet_ros.compat.signals import exit_now
from sgnet_ros.node.process import serve
from sgnet_ros.node.segmentation_node import SegmentationNode


class FakeNetwork:
    """Returns one constant mask after `ms` milliseconds without CPU load, like a network on a GPU.

    It has the interface of `sgnet_core.inference.segmenter.Segmenter`.
    """

    class_names = NYU40.class_names
    palette = NYU40.palette
    device = 'cpu'
    input_spec = SimpleNamespace(spatial='depth')

    def __init__(self, ms: float) -> None:
        self._seconds = ms / 1e3
        self.description = f'a fake network of {ms:g} ms'
        keep_freed_memory()  # like Segmenter

    def warm_up(self, iterations: int = 1) -> None:
        """Does nothing: there is no network to warm up."""

    def mapped(self, mapping: None) -> FakeNetwork:
        """Itself: it knows no groups of classes."""
        return self

    def segment(self, frame: RgbdFrame) -> SegmentationResult:
        """A random class in every pixel."""
        time.sleep(self._seconds)
        return _noise(*frame.size)

    def segment_on_device(self, frame: RgbdFrame, fuse: object = None) -> DeviceResult:
        """As `segment`, with the colour image; there are no scores for `fuse`."""
        return DeviceResult.from_numpy(frame.rgb, self.segment(frame))


@functools.cache
def _noise(height: int, width: int) -> SegmentationResult:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(NYU40), (height, width), np.uint8)
    return SegmentationResult(labels, rng.random(labels.shape, np.float32), NYU40.class_names)


def main(ms: str, json_file: str) -> NoReturn:
    """Run the node until a signal, then exit, as the command `segmentation_node`."""
    init_ros()
    try:
        serve(SegmentationNode(lambda *options: FakeNetwork(float(ms))), json_file)
    finally:
        rclpy.try_shutdown()
    exit_now(0)


if __name__ == '__main__':
    main(*sys.argv[1:3])
