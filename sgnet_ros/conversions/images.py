# SPDX-License-Identifier: Apache-2.0
"""Raw colour and depth images to arrays and frames, and back.

Messages are read by attribute only, so those of rclpy and of `rosbags` (`data` is an array) both
work. All functions are pure and need no running ROS.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.compat.ros_api import CvBridge, CvBridgeError

COLOUR_BYTES_PER_PIXEL = {
    **dict.fromkeys(('rgb8', 'bgr8'), 3),
    **dict.fromkeys(('rgba8', 'bgra8'), 4),
    **dict.fromkeys(('mono8', 'bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'), 1),
    **dict.fromkeys(('yuv422', 'yuv422_yuy2'), 2),
}
# The fourcc names of newer versions of sensor_msgs, unknown to cv_bridge.
COLOUR_SYNONYMS = {'uyvy': 'yuv422', 'yuyv': 'yuv422_yuy2'}

SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
# REP 118: 0 is "no measurement". Sensors saturate at the largest value; it is invalid, too.
SATURATED_DEPTH = 65535
# Encoding -> (element type, default of metres per unit (REP 118), largest valid value).
DEPTH_ENCODINGS = {
    '16UC1': (np.uint16, 0.001, SATURATED_DEPTH - 1),
    'mono16': (np.uint16, 0.001, SATURATED_DEPTH - 1),
    '32FC1': (np.float32, 1.0, LARGEST),
}
ANY_DEPTH = (0.0, float('inf'))

_BRIDGE = CvBridge()


class MessageError(InputError):
    """One message cannot be used.

    Attributes:
        stream: the input of the message ('rgb/image', 'depth/image'), or '' if unknown.
        cause: the counter of the error; '' = named after the stream.
    """

    cause = ''

    def __init__(self, message: str, stream: str = '') -> None:
        super().__init__(message)
        self.stream = stream


@dataclass(frozen=True)
class PackedImage:
    """The fields of an Image that are read, without row padding and in native byte order.

    cv_bridge skews rows whose padding is not a whole number of pixels, and for big-endian messages
    it calls a method that NumPy 2 removed. So it receives this class instead.
    """

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: np.ndarray
    header: Header

    @classmethod
    def from_rows(cls, rows: np.ndarray, width: int, encoding: str, header: Header) -> PackedImage:
        """`rows`: (H, values of a row), contiguous."""
        big = int(sys.byteorder == 'big')
        data = rows.reshape(-1).view(np.uint8)
        return cls(len(rows), width, encoding, big, rows[0].nbytes, data, header)


def stamp_ns(header: Header) -> int:
    """The header's stamp in nanoseconds since the epoch of its clock."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def rgb_from_msg(msg: Image) -> np.ndarray:
    """Colour image as (H, W, 3) uint8 RGB. For rgb8 it shares the memory of the message.

    Raises:
        MessageError: unknown encoding, empty image, short rows or data.
    """
    encoding = COLOUR_SYNONYMS.get(msg.encoding, msg.encoding)
    if encoding not in COLOUR_BYTES_PER_PIXEL:
        supported = ', '.join([*COLOUR_BYTES_PER_PIXEL, *COLOUR_SYNONYMS])
        raise MessageError(f'unknown colour encoding {msg.encoding!r}; supported: {supported}')
    what = f'{msg.width}x{msg.height} {msg.encoding} image'
    if encoding.startswith('yuv422') and msg.width % 2:
        # Older versions of OpenCV would return wrong pixels.
        raise MessageError(f'{what}: odd width')
    width_bytes = msg.width * COLOUR_BYTES_PER_PIXEL[encoding]
    rows = np.ascontiguousarray(pixel_rows(msg, width_bytes))
    if encoding == 'rgb8' and rows.flags.writeable:  # PyTorch warns about read-only arrays
        return rows.reshape(msg.height, msg.width, 3)
    packed = PackedImage.from_rows(rows, msg.width, encoding, msg.header)
    try:
        return _BRIDGE.imgmsg_to_cv2(packed, 'rgb8')
    except CvBridgeError as error:
        raise MessageError(f'{what} cannot be converted: {str(error).strip()}') from error


def depth_from_msg(
    msg: Image, depth_scale: float = 0.0, range_m: tuple[float, float] = ANY_DEPTH
) -> np.ndarray:
    """Depth image as (H, W) float32 metres along the optical axis, NaN = no measurement.

    Args:
        msg: 16UC1 or mono16 (millimetres, 0 and 65535 invalid) or 32FC1 (metres, above 0).
        depth_scale: metres per unit; 0 = the default of the encoding.
        range_m: (nearest, farthest) valid depth.

    Raises:
        MessageError: unknown encoding, empty image, short rows or data.
    """
    element, metres_per_unit, largest = _depth_encoding(msg)
    dtype = np.dtype(element).newbyteorder('>' if msg.is_bigendian else '<')
    raw = np.ascontiguousarray(pixel_rows(msg, msg.width * dtype.itemsize)).view(dtype)
    scale = np.float32(depth_scale or metres_per_unit)
    depth_m = np.multiply(raw, scale, dtype=np.float32)
    nearest = max(range_m[0], SMALLEST)
    farthest = min(range_m[1], largest * float(scale), LARGEST)
    invalid = ~((depth_m >= np.float32(nearest)) & (depth_m <= np.float32(farthest)))
    # All bits set are a NaN. This takes an eighth of the time of a masked assignment.
    bits = depth_m.view(np.int32)
    bits |= -invalid.view(np.int8)
    return depth_m


def default_depth_scale(msg: Image) -> float:
    """Metres per unit of the encoding of a depth image; MessageError if it is unknown."""
    return _depth_encoding(msg)[1]


def _depth_encoding(msg: Image) -> tuple[type, float, float]:
    if msg.encoding not in DEPTH_ENCODINGS:
        supported = ', '.join(DEPTH_ENCODINGS)
        raise MessageError(f'unknown depth encoding {msg.encoding!r}; supported: {supported}')
    return DEPTH_ENCODINGS[msg.encoding]


def images_from_msgs(
    image_msg: Image,
    depth_msg: Image,
    depth_scale: float = 0.0,
    depth_range_m: tuple[float, float] = ANY_DEPTH,
) -> tuple[np.ndarray, np.ndarray]:
    """`rgb_from_msg` and `depth_from_msg` of a pair; errors name the stream."""
    with naming_stream('rgb/image'):
        rgb = rgb_from_msg(image_msg)
    with naming_stream('depth/image'):
        return rgb, depth_from_msg(depth_msg, depth_scale, depth_range_m)


def registered_frame(
    rgb: np.ndarray, depth_m: np.ndarray, intrinsics: CameraIntrinsics
) -> RgbdFrame:
    """The frame of a colour image and depth that is registered to it.

    Raises:
        MessageError: the sizes differ; `.stream` is depth/image or rgb/camera_info.
    """
    with naming_stream('rgb/camera_info' if depth_m.shape == rgb.shape[:2] else 'depth/image'):
        return RgbdFrame(rgb, depth_m, intrinsics)


def rgb_to_msg(rgb: np.ndarray, header: Header) -> Image:
    """(H, W, 3) uint8 RGB to rgb8. The message keeps `header`."""
    return image_to_msg(rgb, 'rgb8', header)


def depth_to_msg(
    depth_m: np.ndarray, header: Header, encoding: str = '16UC1', depth_scale: float = 0.0
) -> Image:
    """(H, W) float32 metres, NaN = no measurement, to a depth image, as `depth_from_msg` reads it.

    In 16UC1 and mono16, 0 = no measurement: NaN, infinities, values <= 0, and values that do not
    fit. In 32FC1, NaN stays (REP 118).
    """
    element, metres_per_unit, largest = DEPTH_ENCODINGS[encoding]
    units = depth_m * (1 / (depth_scale or metres_per_unit))
    if element is np.float32:
        return image_to_msg(units, encoding, header)
    units = np.round(units)
    fits = (units > 0) & (units <= largest)
    return image_to_msg(np.where(fits, units, 0).astype(element), encoding, header)


def pixel_rows(msg: Image, width_bytes: int) -> np.ndarray:
    """View of (H, width_bytes) uint8, no row padding; MessageError if empty or too short."""
    what = f'{msg.width}x{msg.height} {msg.encoding} image'
    if msg.width < 1 or msg.height < 1:
        raise MessageError(f'{what} is empty')
    if msg.step < width_bytes:
        raise MessageError(f'{what} needs a step of {width_bytes} bytes or more, got {msg.step}')
    data = bytes_of(msg.data)
    needed = msg.height * msg.step
    if data.size < needed:
        raise MessageError(
            f'{what} with a step of {msg.step} bytes needs {needed} bytes of data, got {data.size}'
        )
    return data[:needed].reshape(msg.height, msg.step)[:, :width_bytes]


def bytes_of(data: Any) -> np.ndarray:
    """A uint8[] field as (N,) uint8, without a copy if it is contiguous memory of this machine.

    rclpy gives an array.array, rosbags an array, other readers bytes, a memoryview or a list. Since
    Lyrical it can be a rosidl_buffer.Buffer in memory of another device, which has only `to_array`.

    Raises:
        MessageError: the field does not hold bytes.
    """
    try:
        data = data.to_array() if hasattr(data, 'to_array') else data
        values = bytes(data) if isinstance(data, (list, tuple)) else data
        values = np.asarray(memoryview(values))
        if values.itemsize != 1:
            raise TypeError
    except (TypeError, ValueError) as error:
        raise MessageError(f'the data are of type {type(data).__name__}, not uint8') from error
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def image_to_msg(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """(H, W) or (H, W, C) pixels of any dtype to an image of this encoding."""
    # rclpy takes array.array unchecked, but checks each of the bytes in Python (0.3 s a frame).
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8))
    msg = Image(
        header=header,
        height=int(pixels.shape[0]),
        width=int(pixels.shape[1]),
        encoding=encoding,
        is_bigendian=int(sys.byteorder == 'big'),
        step=pixels[0].nbytes,
    )
    msg.data = data  # the constructor would copy it
    return msg


@contextmanager
def naming_stream(stream: str) -> Iterator[None]:
    """Convert an InputError inside to a MessageError of this input."""
    try:
        yield
    except InputError as error:
        raise MessageError(str(error), stream) from error
