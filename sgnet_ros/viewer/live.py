# SPDX-License-Identifier: Apache-2.0
"""Shows a running node. Everything comes from its outputs: the camera has no more subscribers.

The subscription to frames is best effort and keeps one: a slow viewer loses frames, and the node
never waits for it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from sgnet_ros.conversions.images import MessageError, stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg
from sgnet_ros.conversions.point_clouds import points_from_msg
from sgnet_ros.topics import DIAGNOSTICS_QOS, LATCHED_QOS
from sgnet_ros.viewer.scene import Scene

CURVES = ('latency_ms.', 'dropped.')
"""Keys of /diagnostics that become curves."""
SILENCE_S = 5.0
NEWEST_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

_logger = logging.getLogger(__name__)


class LiveView:
    """Passes `~/points`, `~/labels` and /diagnostics of the node `node_name` on to the scene.

    At most `rate` frames a second are read; the middleware drops the others.
    """

    def __init__(self, ros: Node, node_name: str, scene: Scene, rate: float) -> None:
        self._ros, self._scene, self._period_s = ros, scene, 1 / rate
        self._topic, self._status = f'{node_name}/points', f'{node_name.lstrip("/")}: frames'
        self._last_s, self._warned = time.monotonic(), False
        self._executor = SingleThreadedExecutor(context=ros.context)
        self._executor.add_node(ros)
        for kind, topic, show, qos in (
            (PointCloud2, self._topic, self._show_frame, NEWEST_QOS),
            (String, f'{node_name}/labels', self._show_classes, LATCHED_QOS),
            (DiagnosticArray, '/diagnostics', self._show_counts, DIAGNOSTICS_QOS),
        ):
            ros.create_subscription(kind, topic, self._tolerant(show), qos)

    def run(self, stop: threading.Event) -> None:
        """Show messages until `stop`; says once why there are none."""
        while not stop.is_set():
            self._executor.spin_once(timeout_sec=0.2)
            stop.wait(max(0.0, self._last_s + self._period_s - time.monotonic()))
            if not self._warned and time.monotonic() - self._last_s > SILENCE_S:
                self._warned = True
                publishers = self._ros.count_publishers(self._topic)
                _logger.warning(
                    'no frame on %s for %.0f s: %d publishers; start the node in this '
                    'ROS_DOMAIN_ID, set --node (see `ros2 node list`), or read the log of the node',
                    *(self._topic, SILENCE_S, publishers),
                )

    def _tolerant(self, show: Any) -> Any:
        def callback(message: Any) -> None:
            try:
                show(message)
            except MessageError as error:
                _logger.warning('%s', error)

        return callback

    def _show_frame(self, message: PointCloud2) -> None:
        self._last_s = time.monotonic()
        xyz, rgb, labels = points_from_msg(message)
        self._scene.log_frame(stamp_ns(message.header), rgb, xyz, labels)

    def _show_classes(self, message: String) -> None:
        names = label_names_from_msg(message)  # checks the message
        entries = sorted(json.loads(message.data), key=lambda entry: entry['id'])
        self._scene.set_classes(names, np.array([entry['rgb'] for entry in entries], np.uint8))

    def _show_counts(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._status:
                curves = {
                    entry.key.replace('.', '/', 1): float(entry.value)
                    for entry in status.values
                    if entry.key.startswith(CURVES)
                }
                self._scene.log_curves(stamp_ns(message.header), curves)
