# SPDX-License-Identifier: Apache-2.0
"""A camera process with valid and broken messages, for the soak test; it runs until it is killed.

python -m sgnet_ros.benchmark.faulty_camera SEED HZ FAULTS --ros-args ...

FAULTS is the fraction of broken frames. Publishes raw and compressed images, and a /clock that
jumps.
"""

from __future__ import annotations

import array
import functools
import random
import struct
import sys
import time
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from sgnet_core.benchmark.synthetic_frames import frame_from_images, synthetic_images
from sgnet_core.types import RgbdFrame
from sgnet_ros.compat.ros_node import ros_node
from sgnet_ros.compat.signals import interruptible
from sgnet_ros.conversions.camera_info import camera_info_to_msg
from sgnet_ros.conversions.images import (
    COLOUR_BYTES_PER_PIXEL,
    DEPTH_ENCODINGS,
    depth_to_msg,
    rgb_to_msg,
)
from sgnet_ros.topics import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB

SIZE, OTHER_SIZE = (96, 128), (60, 82)
JPEG, PNG = f'{RGB}/compressed', f'{DEPTH}/compressedDepth'
MAX_CLOCK_JUMP_S = 100.0
CLOCK_JUMPS = 0.02
"""Probability of a jump of /clock before a frame."""
INTEGERS = (0, 1, 7, 65500, 2**31 - 1, 2**32 - 1)
FLOATS = (0.0, -1.0, 1e-300, 1e300, np.nan, np.inf, -np.inf)
DEPTHS_M = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-38, 3e38)
TEXTS = (
    *DEPTH_ENCODINGS,
    *COLOUR_BYTES_PER_PIXEL,
    '',
    'nonsense\n',
    ';',
    'png',
    '; rvl',
    'x' * 10_000,
)


@functools.cache
def _images(size: tuple[int, int]) -> tuple[RgbdFrame, bytes, bytes]:
    """A frame, also as JPEG and as the data of a compressedDepth message."""
    rgb, depth_mm = synthetic_images(size)
    png = struct.pack('<iff', 0, 0.0, 0.0) + cv2.imencode('.png', depth_mm)[1].tobytes()
    return frame_from_images(rgb, depth_mm), cv2.imencode('.jpg', rgb)[1].tobytes(), png


def frame_messages(size: tuple[int, int], now_ns: int) -> dict[str, Any]:
    """The messages of a valid frame, by topic."""
    view, jpeg, png = _images(size)
    messages = {
        CAMERA_INFO: camera_info_to_msg(view.intrinsics, Header()),
        DEPTH_CAMERA_INFO: camera_info_to_msg(view.intrinsics, Header()),
        RGB: rgb_to_msg(view.rgb, Header()),
        DEPTH: depth_to_msg(view.depth_m, Header()),
        JPEG: CompressedImage(format='rgb8; jpeg compressed bgr8', data=jpeg),
        PNG: CompressedImage(format='16UC1; compressedDepth png', data=png),
    }
    for message in messages.values():
        message.header.frame_id = 'camera'
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
    return messages


def break_field(rng: random.Random, message: Any) -> None:
    """Give one field of a message, at any depth, a wrong, extreme or truncated value."""
    field, kind = rng.choice(list(message.get_fields_and_field_types().items()))
    value = getattr(message, field)
    if hasattr(value, 'get_fields_and_field_types'):
        break_field(rng, value)
    elif isinstance(value, bool):
        setattr(message, field, not value)
    elif isinstance(value, int):
        unsigned, bits = kind.startswith('u'), int(kind.lstrip('uint'))
        number = rng.choice(INTEGERS) % 2 ** (bits if unsigned else bits - 1)
        setattr(message, field, number if unsigned else rng.choice((1, -1)) * number)
    elif isinstance(value, str):
        setattr(message, field, rng.choice(TEXTS))
    elif isinstance(value, np.ndarray):  # of a fixed length, like K
        value[rng.randrange(len(value))] = rng.choice(FLOATS)
    elif value.typecode == 'd':  # the distortion
        setattr(message, field, [rng.choice(FLOATS)] * rng.choice((0, 4, 5, 8, 1000)))
    elif rng.random() < 0.5:
        setattr(message, field, value[: rng.choice((0, 1, 13, len(value) // 2, len(value) - 1))])
    else:
        for _ in range(rng.choice((1, 10, 100))):
            value[rng.randrange(min(len(value), 600))] = rng.randrange(256)


def break_frame(rng: random.Random, messages: dict[str, Any], now_ns: int) -> None:
    """Break the messages of a frame in one way."""
    fault = rng.randrange(8)
    topics = rng.sample(sorted(messages), rng.randrange(1, len(messages)))
    if fault == 0:  # messages are lost
        for topic in topics:
            del messages[topic]
    elif fault == 1:  # some messages have another size
        messages.update({topic: frame_messages(OTHER_SIZE, now_ns)[topic] for topic in topics})
    elif fault == 2:  # JPEG and PNG claim to be giant
        for topic, sign, at in ((JPEG, b'\xff\xc0', 5), (PNG, b'IHDR', 4)):
            data = bytearray(messages[topic].data)
            at += data.index(sign)
            data[at : at + 4] = rng.choice((b'\xff\xdc\xff\xdc', b'\0\0\x75\x30'))
            messages[topic].data = array.array('B', data)
    elif fault == 3:  # impossible depth
        pixels = np.frombuffer(messages[DEPTH].data, np.float32).copy()
        pixels[rng.choice((0, len(pixels) // 2)) :] = rng.choice(DEPTHS_M)
        messages[DEPTH].data = array.array('B', pixels.tobytes())
    elif fault == 4:  # stamps of all messages go back or ahead
        shift_ns = rng.choice((-3600, -1, -0.01, 0.01, 60)) * 1e9
        messages.update(frame_messages(SIZE, now_ns + int(shift_ns)))
    else:
        for topic in topics:
            break_field(rng, messages[topic])


def broken_cdr(rng: random.Random, cdr: bytes) -> bytes:
    """A serialized message that is truncated or has wrong bytes, for example as a length."""
    damaged = bytearray(cdr[: rng.choice((0, 3, 40, len(cdr) // 2, len(cdr)))])
    for _ in range(rng.randrange(4) if damaged else 0):
        damaged[rng.randrange(min(len(damaged), 120))] = rng.randrange(256)
    return bytes(damaged)


def main(seed: str, rate_hz: str, faults: str) -> None:
    """Publish until a signal."""
    rng, clock_offset_ns = random.Random(int(seed)), 0
    with interruptible() as stop, ros_node('camera') as node:
        kinds = {topic: type(one) for topic, one in frame_messages(SIZE, 0).items()}
        kinds['/clock'] = Clock
        publishers = {topic: node.create_publisher(kind, topic, 5) for topic, kind in kinds.items()}
        while not stop.wait(1.0 / float(rate_hz)):
            now_ns, is_broken = time.time_ns(), rng.random() < float(faults)
            messages = frame_messages(SIZE, now_ns)
            if is_broken:
                break_frame(rng, messages, now_ns)
            if rng.random() < CLOCK_JUMPS:
                clock_offset_ns = int(1e9 * rng.uniform(-MAX_CLOCK_JUMP_S, MAX_CLOCK_JUMP_S))
            messages['/clock'] = Clock()
            clock = messages['/clock'].clock
            clock.sec, clock.nanosec = divmod(now_ns + clock_offset_ns, 10**9)
            for topic, message in messages.items():
                cdr = serialize_message(message)
                damage = is_broken and rng.random() < 0.1
                publishers[topic].publish(broken_cdr(rng, cdr) if damage else cdr)


if __name__ == '__main__':
    main(*sys.argv[1:4])
