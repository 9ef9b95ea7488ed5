# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to CameraIntrinsics and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sgnet_core.geometry.plausibility import check_camera
from sgnet_core.types import CameraIntrinsics
from sgnet_ros.conversions.images import naming_stream


def intrinsics_from_msg(
    camera_info: CameraInfo, rectified: bool = False, stream: str = 'rgb/camera_info'
) -> CameraIntrinsics:
    """Pinhole camera of the images that belong to `camera_info`, with its region and binning.

    Args:
        camera_info: K and P are of the full sensor image (REP 104).
        rectified: whether the images are rectified: then P is their camera, not K.
        stream: the input of the message.

    Raises:
        MessageError: K and P are zero, or not of a possible camera.
    """
    with naming_stream(stream):
        camera = check_camera(sensor_camera(camera_info, rectified))
        roi = camera_info.roi
        if roi.width and roi.height:
            camera = camera.cropped(*map(int, (roi.y_offset, roi.x_offset, roi.height, roi.width)))
        binning_x, binning_y = max(camera_info.binning_x, 1), max(camera_info.binning_y, 1)
        if (binning_x, binning_y) == (1, 1):
            return camera
        return camera.resized(int(camera.height // binning_y), int(camera.width // binning_x))


def sensor_camera(camera_info: CameraInfo, rectified: bool = False) -> CameraIntrinsics:
    """The camera of the full sensor image; see `intrinsics_from_msg`.

    Some drivers fill only P. Others fill only K, which is also P if the lens does not distort.
    """
    k, p, d = (np.asarray(_field(camera_info, name), np.float64) for name in 'kpd')
    uses_p = p[0] or d.any() if rectified else p[0] and not k[0]
    rows = (p if uses_p else k).reshape(3, -1)
    parameters = (float(rows[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return CameraIntrinsics(int(camera_info.width), int(camera_info.height), *parameters)


def distortion_of(
    camera_info: CameraInfo, rectified: bool = False
) -> tuple[str, tuple[float, ...]] | None:
    """Model and coefficients of the lens of the images; None if they are rectified."""
    if rectified or not _field(camera_info, 'k')[0]:
        return None
    return str(camera_info.distortion_model), tuple(map(float, _field(camera_info, 'd')))


def _field(camera_info: CameraInfo, name: str) -> Sequence[float]:
    # rosbags names the fields of ROS 1 messages in capitals.
    return getattr(camera_info, name if hasattr(camera_info, name) else name.upper())


def camera_info_topics(image_topic: str) -> tuple[str, ...]:
    """Names of the camera_info of an image topic, raw or compressed: next to it, or, in recordings
    of the RealSense SDK (`image/data`), in `info`.
    """
    parent, _, name = image_topic.rpartition('/')
    if name in ('compressed', 'compressedDepth'):
        parent = parent.rpartition('/')[0]
    return f'{parent}/camera_info', f'{parent.rpartition("/")[0]}/info/camera_info'


def is_rectified(topic: str) -> bool:
    """Whether images of this topic are rectified; only its name tells: `image_rect_color`.

    The names of compressed topics end in the transport: `image_rect/compressed`.
    """
    return any(name.startswith('image_rect') for name in topic.split('/')[-2:])


def strided_camera_info(camera_info: CameraInfo, stride: int, size: tuple[int, int]) -> CameraInfo:
    """The camera_info of every `stride`-th row and column of an image, from the first on.

    K and P are those of the result, without region and binning. Distortion is kept: it does not
    depend on the size.

    Args:
        size: (height, width) of the result.
    """
    roi, rows = camera_info.roi, {}
    for name, columns in (('k', 3), ('p', 4)):
        rows[name] = np.array(getattr(camera_info, name)).reshape(3, columns)
        binned = max(camera_info.binning_x, 1), max(camera_info.binning_y, 1)
        for axis, (offset, n) in enumerate(zip((roi.x_offset, roi.y_offset), binned, strict=True)):
            # Binning averages pixels, whose centre moves; a stride takes the first of each block.
            shift = ((0.5 - offset) / n - 0.5) / stride
            rows[name][axis] = rows[name][axis] / (n * stride) + shift * rows[name][2]
    return CameraInfo(
        header=camera_info.header,
        width=size[1],
        height=size[0],
        distortion_model=camera_info.distortion_model,
        d=camera_info.d,
        k=rows['k'].ravel(),
        r=camera_info.r,
        p=rows['p'].ravel(),
    )


def camera_info_to_msg(intrinsics: CameraIntrinsics, header: Header) -> CameraInfo:
    """A CameraInfo without distortion. The message keeps `header`."""
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
