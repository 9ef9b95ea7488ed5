# SPDX-License-Identifier: Apache-2.0
"""The stages of one frame: convert, segment, publish."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sgnet_core.errors import InputError, first_line
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.inference.temporal_fusion import Fuse, TemporalFusion
from sgnet_core.io.decoding import MEGAPIXEL
from sgnet_core.types import RgbdFrame
from sgnet_ros.conversions.compressed_images import decompressed_pair
from sgnet_ros.conversions.images import stamp_ns
from sgnet_ros.input.camera_info import Cameras
from sgnet_ros.input.frame_builder import FrameBuilder
from sgnet_ros.monitoring.stage_timer import CONVERT, PUBLISH, SEGMENT, StageTimer
from sgnet_ros.node.publishers import Publishers
from sgnet_ros.node.segmented_frame import SegmentedFrame, check_stride
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.parameters import TEMPORAL_OFF
from sgnet_ros.topics import HHA

NO_HHA_WARNING_PERIOD_S = 5.0


class OutOfMemoryError(InputError):
    """The memory was insufficient for one frame."""

    cause = 'out_of_memory'


def new_fusion(parameters: NodeParameters) -> TemporalFusion | None:
    """One for each network: its past must not reach the next. None if `temporal.mode` is off."""
    return None if parameters['temporal.mode'] == TEMPORAL_OFF else TemporalFusion()


@dataclass(frozen=True)
class Pipeline:
    """The stages of one frame, fixed when its pair was complete."""

    node: Node
    cameras: Cameras
    frame_builder: FrameBuilder
    segmenter: Segmenter
    publishers: Publishers
    fusion: TemporalFusion | None
    """With the frames before of this segmenter; None = `temporal.mode` is off."""

    def run(self, image: Image, depth: Image, timer: StageTimer) -> SegmentedFrame:
        """Segment and publish one pair, raw or compressed.

        Raises:
            InputError: this pair is invalid, or the memory was insufficient for it.
        """
        try:
            max_pixels = self.node.parameters['max_megapixels'] * MEGAPIXEL
            image, depth = decompressed_pair(image, depth, max_pixels)
            camera_info = self.cameras.camera_info(image)
            frame = self._frame(image, depth, camera_info)
            check_stride(self.node.parameters['output.stride'], frame.size)
            timer.end(CONVERT)
            on_device = self.segmenter.segment_on_device(frame, self._fuse(image.header))
            on_device = on_device.confident(self.node.parameters['confidence_threshold'])
            result = on_device.to_numpy()
            timer.end(SEGMENT)
            segmented = SegmentedFrame(
                frame, result, on_device, self.segmenter.palette, camera_info, depth.encoding
            )
            self.publishers.publish(segmented)
            timer.end(PUBLISH)
            return segmented
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            # The next frame may fit, but may need the cached memory of PyTorch in one piece.
            torch.cuda.empty_cache()
            raise OutOfMemoryError(
                f'out of memory: {first_line(error)}; free memory for the node, or use precision '
                'fp16 or a smaller network'
            ) from error

    def _fuse(self, header: Header) -> Fuse | None:
        if self.fusion is None:
            return None
        pose = self.frame_builder.pose(header)
        return partial(self.fusion.fuse, pose=pose, stamp_ns=stamp_ns(header))

    def _frame(self, image: Image, depth: Image, camera_info: CameraInfo) -> RgbdFrame:
        """The frame, with gravity if the network or an output needs it."""
        cameras, builder = self.cameras, self.frame_builder
        intrinsics, depth_intrinsics = cameras.intrinsics(camera_info), cameras.depth_intrinsics()
        cameras.check(builder.checks, camera_info)
        frame = builder.build(image, depth, intrinsics, depth_intrinsics)
        network_needs_gravity = self.segmenter.input_spec.spatial == 'hha'
        if not network_needs_gravity and HHA not in self.publishers.subscribed():
            return frame
        try:
            return builder.with_gravity(frame, image.header)
        except InputError as error:
            if network_needs_gravity:
                raise
            self.node.get_logger().warning(
                f'no ~/debug/hha: {error}', throttle_duration_sec=NO_HHA_WARNING_PERIOD_S
            )
            return frame
