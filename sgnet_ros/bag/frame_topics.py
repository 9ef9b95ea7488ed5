# SPDX-License-Identifier: Apache-2.0
"""Names of the topics that carry the parts of a frame."""

from __future__ import annotations

from dataclasses import dataclass

COMPRESSED_SUFFIXES = {'rgb': '/compressed', 'depth': '/compressedDepth'}
"""What ends the name of a compressed topic, by field of `FrameTopics`."""


@dataclass(frozen=True)
class FrameTopics:
    """Where in a bag the parts of a frame are; the defaults are those of a RealSense camera.

    Colour and depth may be compressed: `.../compressed`, `.../compressedDepth`.

    Attributes:
        depth_camera_info: needed only where depth is to be registered.
        labels: class ids by pixel; None = frames without labels.
        label_names: what the ids mean, as the node's `~/labels`; need not be in the bag.
    """

    rgb: str = '/camera/camera/color/image_raw'
    depth: str = '/camera/camera/aligned_depth_to_color/image_raw'
    camera_info: str = '/camera/camera/color/camera_info'
    depth_camera_info: str = '/camera/camera/depth/camera_info'
    labels: str | None = '/camera/camera/labels/image_raw'
    label_names: str = '/camera/camera/labels/names'
