# SPDX-License-Identifier: Apache-2.0
"""A segmented frame as an organised point cloud."""

from __future__ import annotations

import array

import torch  # noqa: F401  before cv2
import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import RgbdFrame, SegmentationResult
from sgnet_ros.conversions.images import MessageError, bytes_of

LANE_BYTES = 4
LANES = (
    ('x', PointField.FLOAT32),
    ('y', PointField.FLOAT32),
    ('z', PointField.FLOAT32),
    ('rgb', PointField.FLOAT32),  # the bits of 0x00RRGGBB, as PCL and RViz expect them
    ('label', PointField.UINT8),  # and three unused bytes, which align confidence
    ('confidence', PointField.FLOAT32),
)


def points_to_msg(
    frame: RgbdFrame,
    result: SegmentationResult,
    header: Header,
    stride: int = 1,
    colors: np.ndarray | None = None,
) -> PointCloud2:
    """An organised cloud of every `stride`-th row and column of a frame.

    x y z are metres in the optical frame, NaN without a measurement; rgb is the colour image, or
    `colors`, (H, W, 3) uint8; label is the class id, 255 = unlabelled. Little-endian, like every
    machine that ROS 2 supports.
    """
    colors = frame.rgb if colors is None else colors
    depth_m = np.ascontiguousarray(frame.depth_m[::stride, ::stride])
    height, width = depth_m.shape
    x, y, z = depth_to_xyz(depth_m, frame.intrinsics.strided(stride))
    bgr0 = cv2.cvtColor(np.ascontiguousarray(colors[::stride, ::stride]), cv2.COLOR_RGB2BGRA)
    bgr0[..., 3] = 0
    rgb = bgr0.view(np.float32)[..., 0]
    label = result.labels[::stride, ::stride].astype(np.uint32).view(np.float32)
    confidence = np.ascontiguousarray(result.confidence[::stride, ::stride])
    # Written directly into the memory of the message.
    data = array.array('B', [0]) * (height * width * LANE_BYTES * len(LANES))
    cloud = np.frombuffer(data, np.float32).reshape(height, width, len(LANES))
    cv2.merge([x, y, z, rgb, label, confidence], cloud)
    msg = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=lane * LANE_BYTES, datatype=kind, count=1)
            for lane, (name, kind) in enumerate(LANES)
        ],
        is_bigendian=False,
        point_step=LANE_BYTES * len(LANES),
        row_step=LANE_BYTES * len(LANES) * width,
        is_dense=False,
    )
    msg.data = data  # the constructor would copy it
    return msg


def points_from_msg(msg: PointCloud2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cloud of `points_to_msg`, also with other fields: views of the memory of the message.

    Returns:
        (H, W, 3) float32 metres, (H, W, 3) uint8 RGB, (H, W) uint8 class ids.

    Raises:
        MessageError: a field is missing or of another type, or the data are too short.
    """
    found = {field.name: (field.offset, field.datatype) for field in msg.fields}
    shape, strides = (msg.height, msg.width), (msg.row_step, msg.point_step)
    data, lanes = bytes_of(msg.data), {}
    if data.size < msg.height * msg.row_step or msg.row_step < msg.width * msg.point_step:
        raise MessageError(f'cloud of {msg.width}x{msg.height}: {data.size} bytes are too few')
    for name, kind in LANES[:-1]:
        offset, datatype = found.get(name, (0, None))
        dtype = np.dtype(np.uint8 if name == 'label' else np.float32)
        if datatype != kind or offset + dtype.itemsize > msg.point_step or msg.is_bigendian:
            raise MessageError(f'cloud without a little-endian field {name!r} of type {kind}')
        lanes[name] = np.ndarray(shape, dtype, data, offset, strides)
    bgr0 = np.ascontiguousarray(lanes['rgb']).view(np.uint8).reshape(*shape, 4)
    xyz = np.stack([lanes[axis] for axis in 'xyz'], axis=-1)
    return xyz, np.ascontiguousarray(bgr0[..., 2::-1]), lanes['label']
