# SPDX-License-Identifier: Apache-2.0
"""A process that is a camera: colour, depth and camera_info at a steady rate, of any size.

python -m sgnet_ros.benchmark.camera HEIGHT WIDTH HZ SECONDS FILE
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header

from sgnet_core.benchmark.sensor import generated_bytes
from sgnet_core.errors import SgnetError
from sgnet_core.files import write_json
from sgnet_ros.bags import with_header_stamp
from sgnet_ros.camera_info_conversion import camera_info_to_msg
from sgnet_ros.child_process import READY_TIMEOUT_S, SETTLE_S
from sgnet_ros.conversions import depth_to_msg, rgb_to_msg
from sgnet_ros.interface import CAMERA_INFO, DEPTH, RGB
from sgnet_ros.interruption import interruptible

QUEUE_DEPTH = 5
POLL_S = 0.05


class Camera:
    """Publishes the same generated view again and again, each time under the present stamp.

    Messages are encoded once, so that the camera takes hardly more of the machine than a driver.
    Publishers are reliable, which subscribers of either reliability accept.
    """

    def __init__(self, node: Node, height: int, width: int) -> None:
        view = generated_bytes((height, width)).frame()
        header = Header(frame_id='camera')
        qos = QoSProfile(depth=QUEUE_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        self._outputs = [
            (node.create_publisher(type(message), topic, qos), serialize_message(message))
            for topic, message in (
                (CAMERA_INFO, camera_info_to_msg(view.intrinsics, header)),
                (RGB, rgb_to_msg(view.rgb, header)),
                (DEPTH, depth_to_msg(view.depth_m, header)),
            )
        ]

    def wait_for_node(self, stop: threading.Event) -> None:
        """Until all three topics have a subscriber, and it knows us.

        Raises:
            SgnetError: nobody subscribes.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not all(publisher.get_subscription_count() for publisher, _ in self._outputs):
            if time.monotonic() > deadline:
                raise SgnetError(f'after {READY_TIMEOUT_S:g} s nobody subscribes to the camera')
            # There is no event for "somebody subscribed" on Humble.
            if stop.wait(POLL_S):
                return
        stop.wait(SETTLE_S)

    def run(self, rate_hz: float, seconds: float, stop: threading.Event) -> int:
        """Publish for so long, inf Hz = as fast as it goes; returns the number of frames."""
        start_ns = time.time_ns()
        sent = 0
        while sent < rate_hz * seconds:
            # What is late is stamped when it is published; the stamp is set before it is time, as
            # that copies the images.
            stamp_ns = max(start_ns + round(1e9 * sent / rate_hz), time.time_ns())
            if stamp_ns > start_ns + 1e9 * seconds:
                break
            messages = [with_header_stamp(cdr, stamp_ns) for _, cdr in self._outputs]
            if stop.wait(max(0.0, (stamp_ns - time.time_ns()) / 1e9)):
                break
            for (publisher, _), message in zip(self._outputs, messages, strict=True):
                publisher.publish(message)
            sent += 1
        return sent


def main(height: str, width: str, rate_hz: str, seconds: str, json_file: str) -> None:
    """Be that camera, then write `{"sent": frames}`."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    with interruptible() as stop:
        node = rclpy.create_node('benchmark_camera')
        camera = Camera(node, int(height), int(width))
        camera.wait_for_node(stop)
        sent = camera.run(float(rate_hz), float(seconds), stop)
        node.destroy_node()
    rclpy.try_shutdown()
    write_json(Path(json_file), {'sent': sent})


if __name__ == '__main__':
    main(*sys.argv[1:])
