# SPDX-License-Identifier: Apache-2.0
"""Keeps what the segmentation node publishes: masks with their latency, overlays, its counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sgnet_ros.conversions import label_names_from_msg, mask_from_msg, rgb_from_msg, stamp_ns

# The network may take all processors for a while: nothing must be lost meanwhile.
QUEUE_DEPTH = 50
SPIN_S = 0.1


BEFORE_PAIRING = ('rgb_unmatched', 'depth_unmatched', 'duplicate_stamp', 'time_jump')
"""The node's causes that are about single messages; all others are about pairs."""


@dataclass(frozen=True)
class RecordedMask:
    """One mask as it arrived.

    Attributes:
        labels: (H, W) uint8 class ids.
        latency_ms: from the stamp of the colour image to the arrival here.
        arrived_s: on the monotonic clock.
    """

    labels: np.ndarray
    latency_ms: float
    arrived_s: float


class MaskRecorder:
    """Subscribes to the outputs of the node called `node_name`.

    Args:
        on_overlay: called with the stamp in ns and the (H, W, 3) uint8 picture.

    Attributes:
        masks: by stamp in ns, in order of arrival.
        class_names: of the node's network; None until it is ready.
        network: a line about it.
        reports: how many reports of the node on /diagnostics came.
        totals: `pairs`, `masks`, `dropped.<cause>`, `received.<stream>` of the latest report.
    """

    def __init__(
        self,
        node: Node,
        on_overlay: Callable[[int, np.ndarray], None],
        node_name: str = 'segmentation',
    ) -> None:
        self.masks: dict[int, RecordedMask] = {}
        self.class_names: tuple[str, ...] | None = None
        self.network = ''
        self.reports = 0
        self.totals: dict[str, int] = {}
        self._node_name = node_name
        self._on_overlay = on_overlay
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        for message_class, topic, callback, qos in (
            (Image, f'/{node_name}/mask', self._store_mask, QUEUE_DEPTH),
            (Image, f'/{node_name}/overlay', self._store_overlay, QUEUE_DEPTH),
            (String, f'/{node_name}/labels', self._store_names, latched),
            (DiagnosticArray, '/diagnostics', self._store_report, QUEUE_DEPTH),
        ):
            node.create_subscription(message_class, topic, callback, qos)

    @property
    def under_way(self) -> int:
        """Pairs of which the node has neither made a mask nor said why not."""
        after_pairing = sum(
            count
            for key, count in self.totals.items()
            if key.startswith('dropped.') and key.removeprefix('dropped.') not in BEFORE_PAIRING
        )
        return self.totals.get('pairs', 0) - self.totals.get('masks', 0) - after_pairing

    def spin(self, timeout_s: float = SPIN_S) -> None:
        """Take one message, or wait for it so long at most."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def _store_mask(self, message: Image) -> None:
        arrived_ns, arrived_s = time.time_ns(), time.monotonic()
        stamp = stamp_ns(message.header)
        latency_ms = (arrived_ns - stamp) / 1e6
        self.masks[stamp] = RecordedMask(mask_from_msg(message), latency_ms, arrived_s)

    def _store_overlay(self, message: Image) -> None:
        self._on_overlay(stamp_ns(message.header), rgb_from_msg(message))

    def _store_names(self, message: String) -> None:
        self.class_names = label_names_from_msg(message)

    def _store_report(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f'{self._node_name}: network':
                self.network = status.message
            elif status.name == f'{self._node_name}: frames':
                self.reports += 1
                self.totals = {
                    entry.key: int(entry.value)
                    for entry in status.values
                    if entry.value.isdecimal()
                }
