# SPDX-License-Identifier: Apache-2.0
"""Keeps what the segmentation node publishes: masks with their latency, overlays, its counts."""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import SEEK_END

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sgnet_ros.conversions.images import rgb_from_msg, stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg

# The network may take all processors for a while: nothing must be lost meanwhile.
QUEUE_DEPTH = 50
SPIN_S = 0.1

BEFORE_PAIRING = ('rgb_unmatched', 'depth_unmatched', 'duplicate_stamp', 'time_jump')
"""The node's causes that are about single messages; all others are about pairs."""


@dataclass(frozen=True)
class ReceivedMask:
    """One mask as it arrived.

    Attributes:
        load: returns the (H, W) uint8 class ids.
        latency_ms: from the stamp of the colour image to the arrival here; in a `ReplayResult`,
            from when the image was sent.
        arrived_s: on the monotonic clock.
    """

    load: Callable[[], np.ndarray]
    latency_ms: float
    arrived_s: float


class MaskFile:
    """Masks in a temporary file, compressed: a long run needs no more memory than a short one."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as a mask in it

    def store(self, labels: np.ndarray) -> Callable[[], np.ndarray]:
        """Keep (H, W) uint8 class ids; returns what loads them."""
        place = self._file.seek(0, SEEK_END)
        size = self._file.write(zlib.compress(labels, level=1))
        return partial(self._load, place, size, labels.shape)

    def _load(self, place: int, size: int, shape: tuple[int, int]) -> np.ndarray:
        self._file.seek(place)
        return np.frombuffer(zlib.decompress(self._file.read(size)), np.uint8).reshape(shape)


class MaskSubscriber:
    """Subscribes to the outputs of a segmentation node.

    Args:
        on_overlay: called with the stamp in ns and the (H, W, 3) uint8 picture; None = the overlay
            is not asked for.
        node_name: with its namespace, as in `/robot1/segmentation`.

    Attributes:
        mask_topic: of its masks.
        masks: by stamp in ns, in order of arrival.
        class_names: of the node's network; None until it is ready.
        about: what the node says of its network on /diagnostics: `network`, a line for people,
            `device`, `checkpoint` ...
        reports: how many reports of the node on /diagnostics came.
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
        self.mask_topic = f'{node_name}/mask'
        self._node = node
        self._was_heard = False
        self._masks_on_disk = MaskFile()
        self._status_name = node_name.lstrip('/')
        self._on_overlay = on_overlay
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        subscribe = node.create_subscription
        subscribe(Image, self.mask_topic, self._store_mask, QUEUE_DEPTH)
        if on_overlay is not None:
            subscribe(Image, f'{node_name}/overlay', self._store_overlay, QUEUE_DEPTH)
        subscribe(String, f'{node_name}/labels', self._store_names, latched)
        subscribe(DiagnosticArray, '/diagnostics', self._store_report, QUEUE_DEPTH)

    @property
    def under_way(self) -> int:
        """Pairs of which the node has neither made a mask nor said why not."""
        after_pairing = sum(
            count
            for key, count in self.totals.items()
            if key.startswith('dropped.') and key.removeprefix('dropped.') not in BEFORE_PAIRING
        )
        return self.totals.get('pairs', 0) - self.totals.get('masks', 0) - after_pairing

    def count_from_here(self) -> None:
        """Leave what the node has reported so far out of `totals`."""
        self._before, self.totals = self.totals, dict.fromkeys(self.totals, 0)

    def has_lost_node(self) -> bool:
        """Whether nobody publishes masks any more."""
        heard = self._node.count_publishers(self.mask_topic) > 0
        self._was_heard |= heard
        return self._was_heard and not heard

    def spin(self, timeout_s: float = SPIN_S) -> None:
        """Take one message, or wait for it so long at most."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def _store_mask(self, message: Image) -> None:
        arrived_ns, arrived_s = time.time_ns(), time.monotonic()
        stamp = stamp_ns(message.header)
        latency_ms = (arrived_ns - stamp) / 1e6
        self.masks[stamp] = ReceivedMask(
            self._masks_on_disk.store(mask_from_msg(message)), latency_ms, arrived_s
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
