# SPDX-License-Identifier: Apache-2.0
"""Stand-in for `cv_bridge`: the subset that `sgnet_ros` uses. It works with NumPy 2.

It has the names, results and errors of `cv_bridge.CvBridge.imgmsg_to_cv2` for the 8-bit colour
encodings, to `rgb8`.
"""

import cv2
import numpy as np

# Encoding -> channels, conversion to rgb8. OpenCV names a Bayer pattern by pixels two and three
# of the second row, ROS by the first two pixels: rggb is "BG" in OpenCV.
_ENCODINGS = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}


class CvBridgeError(TypeError):
    """An image message cannot be converted."""


class CvBridge:
    """Converts `sensor_msgs/Image` to arrays."""

    def imgmsg_to_cv2(self, img_msg, desired_encoding):
        """Return the image as (H, W, 3) uint8; CvBridgeError if the conversion is impossible."""
        encoding, height, width = img_msg.encoding, img_msg.height, img_msg.width
        if encoding not in _ENCODINGS:
            raise CvBridgeError(f'Unrecognized image encoding [{encoding}]')
        if desired_encoding != 'rgb8':
            raise CvBridgeError(f'Unsupported conversion from [{encoding}] to [{desired_encoding}]')
        channels, conversion = _ENCODINGS[encoding]
        rows = np.frombuffer(img_msg.data, np.uint8, count=height * img_msg.step)
        image = rows.reshape(height, img_msg.step)[:, : width * channels]
        image = image.reshape(height, width, channels)
        try:
            return image.copy() if conversion is None else cv2.cvtColor(image, conversion)
        except cv2.error as error:
            raise CvBridgeError(error) from error
