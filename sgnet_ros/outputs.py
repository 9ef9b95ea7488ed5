# SPDX-License-Identifier: Apache-2.0
"""The node's publishers. Each output is computed only while somebody subscribes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import numpy as np
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

from sgnet_core.hha import depth_to_hha, hha_image
from sgnet_core.labels import colorize
from sgnet_core.types import RgbdFrame, SegmentationResult
from sgnet_core.visualize import legend, overlay
from sgnet_ros.conversions import (
    confidence_to_msg,
    label_info_to_msg,
    label_names_to_msg,
    mask_to_msg,
    rgb_to_msg,
)
from sgnet_ros.parameters import NodeParameters
from sgnet_ros.ros_api import vision_msgs

OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class Outputs:
    """Publishes frames and what the network says about them.

    Args:
        device: where HHA is encoded.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        class_names: tuple[str, ...],
        palette: np.ndarray,
        device: str,
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._class_names = class_names
        self._palette = palette
        self._device = device
        self._frame_outputs: tuple[tuple[Any, Callable[..., Any]], ...] = tuple(
            (node.create_lifecycle_publisher(kind, topic, OUTPUT_QOS), make)
            for kind, topic, make in (
                (Image, '~/mask', self._mask),
                (Image, '~/color', self._color),
                (Image, '~/overlay', self._overlay),
                (Image, '~/confidence', self._confidence),
                (CameraInfo, '~/camera_info', self._camera_info),
                (Image, '~/debug/hha', self._hha),
            )
        )
        self._labels = node.create_lifecycle_publisher(String, '~/labels', LATCHED_QOS)
        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
            ),
            # A bag that loops is a new start to those who listen.
            post_callback=lambda jump: self.publish_labels(),
        )
        self._label_info = vision_msgs and node.create_lifecycle_publisher(
            vision_msgs.LabelInfo, '~/label_info', LATCHED_QOS
        )

    def close(self) -> None:
        """End the publishers."""
        self._jumps.unregister()
        publishers = [publisher for publisher, _ in self._frame_outputs]
        for publisher in [*publishers, self._labels, self._label_info]:
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    @property
    def topics(self) -> tuple[str, ...]:
        """Resolved names of the topics of which each frame makes a message."""
        return tuple(publisher.topic_name for publisher, _ in self._frame_outputs)

    def wanted(self) -> bool:
        """Whether anybody subscribes to an output of frames."""
        return any(publisher.get_subscription_count() for publisher, _ in self._frame_outputs)

    def wants_gravity(self) -> bool:
        """Whether anybody subscribes to what is made of depth and gravity, ~/debug/hha."""
        return any(
            make == self._hha and publisher.get_subscription_count()
            for publisher, make in self._frame_outputs
        )

    def publish_labels(self) -> None:
        """Publish what the class ids mean, for now and for those who subscribe later."""
        self._labels.publish(label_names_to_msg(self._class_names, self._palette))
        if self._label_info is not None:
            self._label_info.publish(label_info_to_msg(self._class_names, Header()))

    def publish(
        self, frame: RgbdFrame, result: SegmentationResult, camera_info: CameraInfo
    ) -> None:
        """Publish one frame's outputs, all under the header of `camera_info`, unchanged.

        Without gravity there is no ~/debug/hha.
        """
        for publisher, make in self._frame_outputs:
            if make == self._hha and frame.gravity is None:
                continue
            if publisher.get_subscription_count():
                publisher.publish(make(frame, result, camera_info))

    def _mask(self, _: RgbdFrame, result: SegmentationResult, info: CameraInfo) -> Image:
        return mask_to_msg(result.labels, info.header)

    def _color(self, _: RgbdFrame, result: SegmentationResult, info: CameraInfo) -> Image:
        return rgb_to_msg(colorize(result.labels, self._palette), info.header)

    def _overlay(self, frame: RgbdFrame, result: SegmentationResult, info: CameraInfo) -> Image:
        return rgb_to_msg(self._blend(frame, result), info.header)

    def _confidence(self, _: RgbdFrame, result: SegmentationResult, info: CameraInfo) -> Image:
        return confidence_to_msg(result.confidence, info.header)

    def _camera_info(self, _: RgbdFrame, __: SegmentationResult, info: CameraInfo) -> CameraInfo:
        return info

    def _hha(self, frame: RgbdFrame, _: SegmentationResult, info: CameraInfo) -> Image:
        depth_m = torch.from_numpy(frame.depth_m).to(self._device)
        hha = depth_to_hha(depth_m, frame.intrinsics, frame.gravity)
        return rgb_to_msg(hha_image(hha), info.header)

    def _blend(self, frame: RgbdFrame, result: SegmentationResult) -> np.ndarray:
        blend = overlay(frame.rgb, result.labels, self._palette, self._parameters['overlay.alpha'])
        if not self._parameters['overlay.legend']:
            return blend
        width = blend.shape[1]
        names = legend(self._class_names, self._palette, np.unique(result.labels), width)
        # Over the lower edge, so that the overlay keeps the size of the image.
        height = min(len(names), len(blend))
        blend[-height:] = names[:height]
        return blend
