# SPDX-License-Identifier: Apache-2.0
"""Stand-in for `cv_bridge`: the subset that `sgnet_ros` uses. It works with NumPy 2.

It has the names, arguments, results and errors of `cv_bridge.CvBridge.imgmsg_to_cv2` for the 8-bit
colour encodings, to `rgb8` or `passthrough`.
"""

import cv2
import numpy as np

_CHANNELS = {
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

# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's
# first two: rggb is "BG" in OpenCV.
_TO_RGB = {
    'bgr8': cv2.COLOR_BGR2RGB,
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
    'mono8': cv2.COLOR_GRAY2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
}


class CvBridgeError(TypeError):
    """An image message cannot be converted."""


class CvBridge:
    """Converts `sensor_msgs/Image` to arrays."""

    def imgmsg_to_cv2(self, img_msg, desired_encoding='passthrough'):
        """Return the image as (H, W) or (H, W, C) uint8.

        Raises:
            CvBridgeError: unknown encoding or unsupported conversion.
        """
        encoding = img_msg.encoding
        if encoding not in _CHANNELS:
            raise CvBridgeError(f'Unrecognized image encoding [{encoding}]')
        if desired_encoding not in ('passthrough', 'rgb8'):
            raise CvBridgeError(f'Unsupported conversion from [{encoding}] to [{desired_encoding}]')
        image = self._pixels(img_msg, _CHANNELS[encoding])
        if desired_encoding in ('passthrough', encoding):
            return image
        try:
            return cv2.cvtColor(image, _TO_RGB[encoding])
        except cv2.error as error:
            raise CvBridgeError(error) from error

    @staticmethod
    def _pixels(img_msg, channels):
        rows = np.frombuffer(img_msg.data, np.uint8, count=img_msg.height * img_msg.step)
        packed = rows.reshape(img_msg.height, img_msg.step)[:, : img_msg.width * channels]
        shape = (img_msg.height, img_msg.width) + ((channels,) if channels > 1 else ())
        return packed.reshape(shape).copy()
