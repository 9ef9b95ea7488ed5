# SPDX-License-Identifier: Apache-2.0
"""The node's publishers. An output is computed only while it has a subscriber."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import torch
import numpy as np
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header, String

from sgnet_core.geometry.hha import depth_to_hha, hha_image
from sgnet_core.labels import COUNTABLE
from sgnet_core.visualization.region_names import write_region_names
from sgnet_ros.compat.distributions import no_publisher_events
from sgnet_ros.conversions.detections import objects_to_msg
from sgnet_ros.conversions.images import depth_to_msg, rgb_to_msg
from sgnet_ros.conversions.masks import (
    channel_info_to_msg,
    confidence_to_msg,
    label_info_to_msg,
    label_names_to_msg,
    labelspace_to_msg,
    mask_to_msg,
    probabilities_to_msg,
)
from sgnet_ros.conversions.point_clouds import points_to_msg
from sgnet_ros.node.segmented_frame import SegmentedFrame
from sgnet_ros.node_parameters import NodeParameters
from sgnet_ros.parameters import listed
from sgnet_ros.topics import (
    AVAILABLE_OUTPUTS,
    CHANNELS,
    CLASS_OUTPUTS,
    HHA,
    LABEL_INFO,
    LABELS,
    LABELSPACE,
)


class Publishers:
    """Publishes frames, their segmentation and the class names; `device` encodes HHA."""

    def __init__(self, node: LifecycleNode, parameters: NodeParameters, device: str) -> None:
        self._node = node
        self._parameters = parameters
        self._device = device
        self._classes: tuple[tuple[str, ...], np.ndarray] | None = None
        self._make_message: dict[str, Callable[[SegmentedFrame], Any]] = {
            '~/mask': lambda one: mask_to_msg(one.result.labels, one.header),
            '~/color': lambda one: rgb_to_msg(one.colors.cpu().numpy(), one.header),
            '~/overlay': self._overlay,
            '~/confidence': self._confidence,
            '~/points': self._points,
            '~/camera_info': lambda one: one.camera_info,
            '~/selected': lambda one: mask_to_msg(one.selected(self._selected), one.header),
            '~/depth_without_selected': self._depth_without_selected,
            '~/probabilities': self._probabilities,
            '~/channel_info': lambda one: channel_info_to_msg(
                self._channels(one.result.class_names), one.header
            ),
            '~/objects': self._objects,
            HHA: self._hha,
        }
        self._make_class_message: dict[str, Callable[[tuple[str, ...], np.ndarray], Any]] = {
            LABELS.name: label_names_to_msg,
            LABEL_INFO.name: lambda names, palette: label_info_to_msg(names, Header()),
            LABELSPACE.name: lambda names, palette: labelspace_to_msg(names, self._countable),
            CHANNELS.name: lambda names, palette: String(data=json.dumps(self._channels(names))),
        }
        topics = [*AVAILABLE_OUTPUTS, *(topic for topic in CLASS_OUTPUTS if topic.is_available)]
        self._publishers = {
            topic.name: node.create_lifecycle_publisher(
                topic.kind, topic.name, topic.qos, event_callbacks=no_publisher_events()
            )
            for topic in topics
        }
        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
            ),
            # Listeners forget the labels when a bag loops.
            post_callback=lambda jump: self._publish_labels(),
        )

    def close(self) -> None:
        """Destroy the publishers."""
        self._jumps.unregister()
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def enabled_topics(self) -> tuple[str, ...]:
        """Resolved names of the enabled outputs of frames."""
        enabled = [topic for topic in AVAILABLE_OUTPUTS if self._parameters[topic.switch]]
        return tuple(self._publishers[topic.name].topic_name for topic in enabled)

    def qos_mismatches(self) -> dict[str, str]:
        """Resolved names of topics with an incompatible subscriber -> the reason."""
        reasons = {}
        for publisher in self._publishers.values():
            topic = publisher.topic_name
            for subscriber in self._node.get_subscriptions_info_by_topic(topic):
                qos = subscriber.qos_profile
                # Only these two: a deadline that is not set is reported as infinite.
                asked = QoSProfile(depth=1, reliability=qos.reliability, durability=qos.durability)
                compatible, reason = qos_check_compatible(publisher.qos_profile, asked)
                if compatible == QoSCompatibility.ERROR:
                    reasons[topic] = reason
        return reasons

    def subscribed(self) -> set[str]:
        """Names of the enabled outputs of frames that have a subscriber."""
        return {
            topic.name
            for topic in AVAILABLE_OUTPUTS
            if self._publishers[topic.name].get_subscription_count()
            and self._parameters[topic.switch]
        }

    def publish_labels(self, class_names: tuple[str, ...], palette: np.ndarray) -> None:
        """Publish the classes of the network, also for later subscribers."""
        self._classes = class_names, palette
        self._publish_labels()

    def publish(self, segmented: SegmentedFrame) -> None:
        """Publish the outputs of one frame. ~/debug/hha needs its gravity."""
        segmented = segmented.strided(self._parameters['output.stride'])
        subscribed = self.subscribed()
        for topic in AVAILABLE_OUTPUTS:
            if topic.name not in subscribed:
                continue
            message = self._make_message[topic.name](segmented)
            if message is not None:
                self._publishers[topic.name].publish(message)

    def _publish_labels(self) -> None:
        if self._classes is None:
            return
        for name, message in self._make_class_message.items():
            if name in self._publishers:
                self._publishers[name].publish(message(*self._classes))

    def _confidence(self, segmented: SegmentedFrame) -> Image:
        encoding = self._parameters['confidence.encoding']
        return confidence_to_msg(segmented.result.confidence, segmented.header, encoding)

    @property
    def _selected(self) -> list[str]:
        return listed(self._parameters['selected.classes'])

    @property
    def _countable(self) -> Collection[str]:
        return listed(self._parameters['objects.classes']) or COUNTABLE

    def _channels(self, class_names: tuple[str, ...]) -> list[str]:
        wanted = listed(self._parameters['probabilities.classes'])
        return [name for name in wanted if name in class_names]

    def _probabilities(self, segmented: SegmentedFrame) -> Image | None:
        channels = self._channels(segmented.result.class_names)
        if not channels:  # all classes would be 49 MB for 640x480
            return None
        return probabilities_to_msg(segmented.probabilities(channels), segmented.header)

    def _objects(self, segmented: SegmentedFrame) -> Any:
        objects = segmented.objects(self._countable, self._parameters['objects.min_pixels'])
        return objects_to_msg(objects, segmented.result.class_names, segmented.header)

    def _depth_without_selected(self, segmented: SegmentedFrame) -> Image:
        depth_m, encoding = segmented.depth_without(self._selected), segmented.depth_encoding
        return depth_to_msg(depth_m, segmented.header, encoding, self._parameters['depth.scale'])

    def _points(self, segmented: SegmentedFrame) -> PointCloud2:
        stride, color = self._parameters['points.stride'], self._parameters['points.color']
        colors = segmented.colors.cpu().numpy() if color == 'class' else None
        return points_to_msg(segmented.frame, segmented.result, segmented.header, stride, colors)

    def _hha(self, segmented: SegmentedFrame) -> Image | None:
        frame = segmented.frame
        if frame.gravity is None:
            return None
        depth_m = torch.from_numpy(frame.depth_m).to(self._device)
        hha = depth_to_hha(depth_m, frame.intrinsics, frame.gravity)
        return rgb_to_msg(hha_image(hha), segmented.header)

    def _overlay(self, segmented: SegmentedFrame) -> Image:
        picture = segmented.overlay(self._parameters['overlay.alpha']).cpu().numpy()
        if self._parameters['overlay.legend']:
            write_region_names(picture, segmented.result.labels, segmented.result.class_names)
        return rgb_to_msg(picture, segmented.header)
