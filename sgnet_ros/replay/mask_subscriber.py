# SPDX-License-Identifier: Apache-2.0
"""Subscribes to the outputs of a node: masks with their latency, overlays, counts."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sgnet_ros.conversions.images import rgb_from_msg, stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg
from sgnet_ros.topics import LATCHED_QOS

QUEUE_DEPTH = 50  # the network can use all processors for a while
SPIN_S = 0.1

BEFORE_PAIRING = ('rgb_unmatched', 'depth_unmatched', 'duplicate_stamp', 'time_jump')
"""Causes of drops that count single messages; all others count pairs."""


@dataclass(frozen=True)
class ReceivedMask:
    """One mask; `load` returns its (H, W) uint8 class ids, `arrived_s` is monotonic.

    The latency counts from the colour stamp; in a `ReplayResult`, from sending.
    """

    load: Callable[[], np.ndarray]
    latency_ms: float
    arrived_s: float


class MaskSubscriber:
    """Subscribes to the outputs of a segmentation node.

    Args:
        on_overlay: called with the stamp in ns and the overlay; None = without overlays.
        node_name: name with namespace, for example `/robot1/segmentation`.

    Attributes:
        masks: by stamp in ns, in order of arrival.
        class_names: classes of the network; None until the node is ready.
        about: status of the network on /diagnostics: `network`, `device`, `checkpoint` ...
        reports: number of reports on /diagnostics.
        totals: `pairs`, `masks`, `dropped.<cause>`, `received.<stream>` of the latest report, since
            `count_from_here`.
    """

    def __init__(
        self,
        node: Node,
        on_overlay: Callable[[int, np.ndarray], None] | None = None,
        node_name: str = '/segmentation',
    ) -> None:
        self.masks: dict[int, ReceivedMask] = {}
        self.class_names: tuple[str, ...] | None = None
        self.about: dict[str, str] = {}
        self.reports = 0
        self.totals: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._mask_topic = f'{node_name}/mask'
        self._node = node
        self._had_publisher = False
        self._status_name = node_name.lstrip('/')
        self._on_overlay = on_overlay
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        subscribe = node.create_subscription
        subscribe(Image, self._mask_topic, self._store_mask, QUEUE_DEPTH)
        if on_overlay is not None:
            subscribe(Image, f'{node_name}/overlay', self._store_overlay, QUEUE_DEPTH)
        subscribe(String, f'{node_name}/labels', self._store_names, LATCHED_QOS)
        subscribe(DiagnosticArray, '/diagnostics', self._store_report, QUEUE_DEPTH)

    @property
    def in_progress(self) -> int:
        """Number of pairs that are neither segmented nor dropped."""
        single = [f'dropped.{cause}' for cause in BEFORE_PAIRING]
        paired = [key for key in self.totals if key.startswith('dropped.') and key not in single]
        dropped = sum(self.totals[key] for key in paired)
        return self.totals.get('pairs', 0) - self.totals.get('masks', 0) - dropped

    def count_from_here(self) -> None:
        """Exclude the counts so far from `totals`."""
        self._before, self.totals = self.totals, dict.fromkeys(self.totals, 0)

    def has_lost_node(self) -> bool:
        """Whether the publisher of masks has gone."""
        has_publisher = self._node.count_publishers(self._mask_topic) > 0
        self._had_publisher |= has_publisher
        return self._had_publisher and not has_publisher

    def spin(self, timeout_s: float = SPIN_S) -> None:
        """Process one message, if one arrives in time."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def _store_mask(self, message: Image) -> None:
        arrived_ns, arrived_s = time.time_ns(), time.monotonic()
        stamp = stamp_ns(message.header)
        labels = mask_from_msg(message)
        # A long bag has many masks; compressed, 480x640 pixels are some kilobytes.
        data, shape = zlib.compress(labels, level=1), labels.shape
        self.masks[stamp] = ReceivedMask(
            lambda: np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape),
            (arrived_ns - stamp) / 1e6,
            arrived_s,
        )

    def _store_overlay(self, message: Image) -> None:
        self._on_overlay(stamp_ns(message.header), rgb_from_msg(message))

    def _store_names(self, message: String) -> None:
        self.class_names = label_names_from_msg(message)

    def _store_report(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f'{self._status_name}: network':
                self.about = {entry.key: entry.value for entry in status.values}
            elif status.name == f'{self._status_name}: frames':
                self.reports += 1
                self.totals = {
                    entry.key: int(entry.value) - self._before.get(entry.key, 0)
                    for entry in status.values
                    if entry.value.isdecimal()
                }
