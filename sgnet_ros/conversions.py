# SPDX-License-Identifier: Apache-2.0
"""ROS messages to the nouns of `sgnet_core.types` and back. The only module that knows encodings.

Messages are read by attribute alone, so those of rclpy and those that `rosbags` deserialises
(where `data` is an array) serve alike. Every function is pure; nothing here needs a running ROS.
A little over 300 lines, so that both directions of every message stay side by side.
"""

from __future__ import annotations

import array
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

from sgnet_core.errors import InputError
from sgnet_core.types import CameraIntrinsics, RgbdFrame
from sgnet_ros.ros_api import CvBridge, CvBridgeError, vision_msgs

COLOUR_BYTES_PER_PIXEL = {
    'rgb8': 3,
    'bgr8': 3,
    'rgba8': 4,
    'bgra8': 4,
    'mono8': 1,
    'yuv422': 2,
    'yuv422_yuy2': 2,
    'bayer_rggb8': 1,
    'bayer_bggr8': 1,
    'bayer_gbrg8': 1,
    'bayer_grbg8': 1,
}
COLOUR_OF_TWO_PIXELS = ('yuv422', 'yuv422_yuy2')
# The fourcc names of newer sensor_msgs, which cv_bridge does not know.
COLOUR_SYNONYMS = {'uyvy': 'yuv422', 'yuyv': 'yuv422_yuy2'}

SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
# 0 is REP 118's "no measurement"; sensors saturate at the largest value, which is none either.
SATURATED_DEPTH = 65535
# Encoding -> (element type, metres per unit where the user gives none: REP 118, largest value).
DEPTH_ENCODINGS = {
    '16UC1': (np.uint16, 0.001, SATURATED_DEPTH - 1),
    'mono16': (np.uint16, 0.001, SATURATED_DEPTH - 1),
    '32FC1': (np.float32, 1.0, LARGEST),
}
ANY_DEPTH = (0.0, float('inf'))
CONFIDENCE_ENCODINGS = ('mono8', '32FC1')

_BRIDGE = CvBridge()


class MessageError(InputError):
    """One message cannot be used.

    Attributes:
        stream: the input it came by ('rgb/image', 'depth/image'), or '' where not known.
        cause: what it is counted as; '' = after the stream.
    """

    cause = ''

    def __init__(self, message: str, stream: str = '') -> None:
        super().__init__(message)
        self.stream = stream


@dataclass(frozen=True)
class PackedImage:
    """What is read of an Image, without row padding and in this machine's byte order.

    The real cv_bridge skews rows whose padding is not a whole number of pixels and calls a method
    that NumPy 2 removed for big-endian messages: it gets neither.
    """

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: np.ndarray
    header: Header

    @classmethod
    def of_rows(cls, rows: np.ndarray, width: int, encoding: str, header: Header) -> PackedImage:
        """`rows`: (H, values of a row), contiguous."""
        big = int(sys.byteorder == 'big')
        data = rows.reshape(-1).view(np.uint8)
        return cls(len(rows), width, encoding, big, rows[0].nbytes, data, header)


def stamp_ns(header: Header) -> int:
    """The header's stamp in nanoseconds since the epoch of its clock."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def rgb_from_msg(msg: Image) -> np.ndarray:
    """Colour image as (H, W, 3) uint8 RGB; of rgb8 the memory of the message itself.

    Raises:
        MessageError: unknown encoding, empty image, short rows or data.
    """
    encoding = COLOUR_SYNONYMS.get(msg.encoding, msg.encoding)
    if encoding not in COLOUR_BYTES_PER_PIXEL:
        raise MessageError(
            f'unknown colour encoding {msg.encoding!r}; supported: '
            f'{", ".join([*COLOUR_BYTES_PER_PIXEL, *COLOUR_SYNONYMS])}'
        )
    if encoding in COLOUR_OF_TWO_PIXELS and msg.width % 2:
        # Older versions of OpenCV would convert it to something.
        raise MessageError(f'{msg.width}x{msg.height} {msg.encoding} image: odd width')
    width_bytes = msg.width * COLOUR_BYTES_PER_PIXEL[encoding]
    rows = np.ascontiguousarray(_rows(msg, width_bytes))
    if encoding == 'rgb8' and rows.flags.writeable:  # PyTorch warns of arrays that are not
        return rows.reshape(msg.height, msg.width, 3)
    packed = PackedImage.of_rows(rows, msg.width, encoding, msg.header)
    try:
        return _BRIDGE.imgmsg_to_cv2(packed, 'rgb8')
    except CvBridgeError as error:
        raise MessageError(
            f'{msg.width}x{msg.height} {msg.encoding} image cannot be converted: '
            f'{str(error).strip()}'
        ) from error


def depth_from_msg(
    msg: Image, depth_scale: float = 0.0, range_m: tuple[float, float] = ANY_DEPTH
) -> np.ndarray:
    """Depth image as (H, W) float32 metres along the optical axis, NaN = no measurement.

    Args:
        msg: 16UC1 or mono16 (millimetres, 0 and 65535 invalid) or 32FC1 (metres; NaN, infinities
            and values <= 0 invalid), any byte order and row padding.
        depth_scale: metres per unit; 0 = by encoding.
        range_m: (nearest, farthest) that counts as a measurement.

    Raises:
        MessageError: unknown encoding, empty image, short rows or data.
    """
    if msg.encoding not in DEPTH_ENCODINGS:
        raise MessageError(
            f'unknown depth encoding {msg.encoding!r}; supported: {", ".join(DEPTH_ENCODINGS)}'
        )
    element, metres_per_unit, largest = DEPTH_ENCODINGS[msg.encoding]
    order = '>' if msg.is_bigendian else '<'
    dtype = np.dtype(element).newbyteorder(order)
    raw = np.ascontiguousarray(_rows(msg, msg.width * dtype.itemsize)).view(dtype)
    scale = np.float32(depth_scale or metres_per_unit)
    depth_m = np.multiply(raw, scale, dtype=np.float32)
    nearest = max(range_m[0], SMALLEST)
    farthest = min(range_m[1], largest * float(scale), LARGEST)
    lost = ~((depth_m >= np.float32(nearest)) & (depth_m <= np.float32(farthest)))
    # All bits set are a NaN: an eighth of the time of assigning where `lost`.
    bits = depth_m.view(np.int32)
    bits |= -lost.view(np.int8)
    return depth_m


def frame_from_msgs(
    image_msg: Image,
    depth_msg: Image,
    intrinsics: CameraIntrinsics,
    depth_scale: float = 0.0,
    depth_range_m: tuple[float, float] = ANY_DEPTH,
    register: Callable[[np.ndarray], np.ndarray] | None = None,
) -> RgbdFrame:
    """One registered frame of a colour and a depth message.

    Args:
        image_msg: any colour encoding.
        depth_msg: any depth encoding, registered to the colour image unless `register` does that.
        intrinsics: of the colour image.
        depth_scale: metres per unit of depth; 0 = by encoding.
        depth_range_m: (nearest, farthest) that counts as a measurement; outside becomes NaN.
        register: from depth as measured, (H, W) float32 metres, to depth of the colour image.

    Raises:
        MessageError: with `.stream`, when one message is unusable or the sizes differ.
    """
    with about('rgb/image'):
        rgb = rgb_from_msg(image_msg)
    with about('depth/image'):
        depth_m = depth_from_msg(depth_msg, depth_scale, depth_range_m)
        if register is not None:
            depth_m = register(depth_m)
        if depth_m.shape != rgb.shape[:2]:
            RgbdFrame(rgb, depth_m, intrinsics)  # raises, with the remedy for unaligned depth
    with about('rgb/camera_info'):
        return RgbdFrame(rgb, depth_m, intrinsics)


def not_aligned(image_header: Header, depth_header: Header) -> str:
    """What makes doubt that depth is registered to colour; '' = nothing."""
    if image_header.frame_id == depth_header.frame_id:
        return ''
    return (
        f'depth is of frame {depth_header.frame_id!r}, colour of {image_header.frame_id!r}: not '
        'aligned, unless both are one camera; register depth to colour first (RealSense: '
        'align_depth.enable:=true; segmentation_node: depth.register:=true)'
    )


def intrinsics_from_msg(
    camera_info: CameraInfo, rectified: bool = False, stream: str = 'rgb/camera_info'
) -> CameraIntrinsics:
    """Pinhole camera of the images that come with `camera_info`, region and binning applied.

    Args:
        camera_info: K and P are of the full sensor image (REP 104).
        rectified: the images are rectified, so that P is their camera and not K.
        stream: the input it came by.

    Raises:
        MessageError: K (or P) of zeros, or values that are no camera.
    """
    with about(stream):
        # ROS 1 bags, as rosbags reads them, spell the fields in capitals.
        key = 'p' if rectified else 'k'
        matrix = getattr(camera_info, key, None)
        if matrix is None:
            matrix = getattr(camera_info, key.upper())
        rows = np.asarray(matrix, np.float64).reshape(3, -1)
        sensor = CameraIntrinsics(
            int(camera_info.width),
            int(camera_info.height),
            fx=float(rows[0, 0]),
            fy=float(rows[1, 1]),
            cx=float(rows[0, 2]),
            cy=float(rows[1, 2]),
        )
        return _windowed(sensor, camera_info)


def is_rectified(topic: str) -> bool:
    """Whether images of this topic are rectified, which only its name tells: `image_rect_color`.

    Compressed ones add their transport: `image_rect/compressed`.
    """
    return any(name.startswith('image_rect') for name in topic.split('/')[-2:])


def _windowed(sensor: CameraIntrinsics, camera_info: CameraInfo) -> CameraIntrinsics:
    """The camera of the region of interest, binned (REP 104)."""
    roi = camera_info.roi
    camera = sensor
    if roi.width and roi.height:
        camera = sensor.cropped(
            int(roi.y_offset), int(roi.x_offset), int(roi.height), int(roi.width)
        )
    binning_x, binning_y = max(camera_info.binning_x, 1), max(camera_info.binning_y, 1)
    if (binning_x, binning_y) == (1, 1):
        return camera
    return camera.resized(int(camera.height // binning_y), int(camera.width // binning_x))


def camera_info_to_msg(intrinsics: CameraIntrinsics, header: Header) -> CameraInfo:
    """An undistorted CameraInfo of this camera; `header` is taken as it is."""
    fx, fy, cx, cy = (float(getattr(intrinsics, name)) for name in ('fx', 'fy', 'cx', 'cy'))
    return CameraInfo(
        header=header,
        width=int(intrinsics.width),
        height=int(intrinsics.height),
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def camera_info_with_header(camera_info: CameraInfo, header: Header) -> CameraInfo:
    """The same camera, distortion and all, under another header."""
    fields = camera_info.get_fields_and_field_types()
    return CameraInfo(**{name: getattr(camera_info, name) for name in fields} | {'header': header})


def rgb_to_msg(rgb: np.ndarray, header: Header) -> Image:
    """(H, W, 3) uint8 RGB to rgb8; `header` is taken as it is."""
    return _image_msg(rgb, 'rgb8', header)


def depth_to_msg(depth_m: np.ndarray, header: Header) -> Image:
    """(H, W) float32 metres, NaN = no measurement, to 16UC1 millimetres.

    Not a measurement, and so 0: NaN, infinities, values <= 0, and those that do not fit.
    """
    millimetres = np.round(depth_m * 1000.0)
    fits = (millimetres > 0) & (millimetres < SATURATED_DEPTH)
    return _image_msg(np.where(fits, millimetres, 0).astype(np.uint16), '16UC1', header)


def mask_to_msg(labels: np.ndarray, header: Header) -> Image:
    """(H, W) uint8 class ids, 255 = unlabelled, to mono8."""
    return _image_msg(labels, 'mono8', header)


def mask_from_msg(msg: Image) -> np.ndarray:
    """(H, W) uint8 class ids of a mono8 (or 8UC1) image.

    Raises:
        MessageError: another encoding, empty image, short rows or data.
    """
    if msg.encoding not in ('mono8', '8UC1'):
        raise MessageError(f'a class mask must be mono8 or 8UC1, got {msg.encoding!r}')
    return _rows(msg, msg.width).copy()


def confidence_to_msg(
    confidence: np.ndarray, header: Header, encoding: str = CONFIDENCE_ENCODINGS[0]
) -> Image:
    """(H, W) float32 in [0, 1] as it is in 32FC1, or in mono8, 255 = certain."""
    if encoding == '32FC1':
        return _image_msg(confidence, encoding, header)
    grey = cv2.convertScaleAbs(np.clip(confidence, 0.0, 1.0), alpha=255)  # NaN becomes 0
    return _image_msg(grey, 'mono8', header)


def label_names_to_msg(class_names: Sequence[str], palette: np.ndarray) -> String:
    """JSON list of `{"id": 0, "name": "wall", "rgb": [r, g, b]}`, as `~/labels` carries it."""
    entries = [
        {'id': index, 'name': name, 'rgb': [int(value) for value in palette[index]]}
        for index, name in enumerate(class_names)
    ]
    return String(data=json.dumps(entries))


def label_names_from_msg(msg: String) -> tuple[str, ...]:
    """The class names of `label_names_to_msg`, by id.

    Raises:
        MessageError: not such a list, or ids that are not 0, 1, 2, ...
    """
    try:
        entries = sorted(json.loads(msg.data), key=lambda entry: entry['id'])
        names = tuple(str(entry['name']) for entry in entries)
        ids = [entry['id'] for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise MessageError(f'not a JSON list of id and name: {msg.data[:80]!r}') from error
    if ids != list(range(len(ids))):
        raise MessageError(f'class ids must be 0, 1, 2, ..., got {ids}')
    return names


def label_info_to_msg(class_names: Sequence[str], header: Header) -> Any:
    """vision_msgs/LabelInfo of the classes; only where `vision_msgs` is installed."""
    return vision_msgs.LabelInfo(
        header=header,
        class_map=[
            vision_msgs.VisionClass(class_id=index, class_name=name)
            for index, name in enumerate(class_names)
        ],
    )


def _rows(msg: Image, width_bytes: int) -> np.ndarray:
    """View of the pixels of `msg` as (H, width_bytes) uint8, row padding cut off."""
    what = f'{msg.width}x{msg.height} {msg.encoding} image'
    if msg.width < 1 or msg.height < 1:
        raise MessageError(f'{what} is empty')
    if msg.step < width_bytes:
        raise MessageError(f'{what} needs a step of {width_bytes} bytes or more, got {msg.step}')
    data = np.frombuffer(msg.data, np.uint8)
    needed = msg.height * msg.step
    if data.size < needed:
        raise MessageError(
            f'{what} with a step of {msg.step} bytes needs {needed} bytes of data, got {data.size}'
        )
    return data[:needed].reshape(msg.height, msg.step)[:, :width_bytes]


def _image_msg(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    # array.array goes in unchecked; bytes would be checked one by one in Python (0.3 s a frame).
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
def about(stream: str) -> Iterator[None]:
    """Names the input that an error inside is about."""
    try:
        yield
    except InputError as error:
        raise MessageError(str(error), stream) from error
