# SPDX-License-Identifier: Apache-2.0
"""A camera process: colour, depth and camera_info of any size at a steady rate.

python -m sgnet_ros.benchmark.synthetic_camera HEIGHT WIDTH HZ SECONDS FILE --ros-args ...
"""

from __future__ import annotations

import sys
import threading
import time

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from sgnet_core.benchmark.synthetic_frames import frame_from_images, synthetic_images
from sgnet_core.errors import SgnetError
from sgnet_core.io.files import write_json
from sgnet_ros.bag.reader import with_header_stamp
from sgnet_ros.compat.ros_node import ros_node
from sgnet_ros.compat.signals import interruptible
from sgnet_ros.conversions.camera_info import camera_info_to_msg
from sgnet_ros.conversions.images import depth_to_msg, rgb_to_msg
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, SETTLE_S
from sgnet_ros.topics import CAMERA_INFO, DEPTH, RGB

QUEUE_DEPTH = 5
POLL_S = 0.05


class SyntheticCamera:
    """Publishes one synthetic view repeatedly with the current time stamp.

    Messages are encoded once, so that the camera needs little more CPU time than a driver.
    Publishers are reliable, which all subscribers accept.
    """

    def __init__(self, node: Node, height: int, width: int) -> None:
        view = frame_from_images(*synthetic_images((height, width)))
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
        """Wait until a subscriber of each topic has discovered this camera; SgnetError if none."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not all(publisher.get_subscription_count() for publisher, _ in self._outputs):
            if time.monotonic() > deadline:
                raise SgnetError(f'the camera has no subscriber after {READY_TIMEOUT_S:g} s')
            # Humble has no event for a new subscriber.
            if stop.wait(POLL_S):
                return
        stop.wait(SETTLE_S)

    def run(self, rate_hz: float, seconds: float, stop: threading.Event) -> int:
        """Publish for `seconds`, at inf Hz without pauses; return the number of frames."""
        start_ns = time.time_ns()
        sent = 0
        while sent < rate_hz * seconds:
            # A late frame gets the time of its publication. Messages are stamped ahead of time,
            # because stamping copies the images.
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
    """Run the camera, then write `{"sent": frames}`."""
    with interruptible() as stop, ros_node('benchmark_camera') as node:
        camera = SyntheticCamera(node, int(height), int(width))
        camera.wait_for_node(stop)
        sent = camera.run(float(rate_hz), float(seconds), stop)
    write_json(json_file, {'sent': sent})


if __name__ == '__main__':
    main(*sys.argv[1:6])
