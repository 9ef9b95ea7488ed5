# SPDX-License-Identifier: Apache-2.0
"""Names of the topics that carry the parts of a frame."""

from __future__ import annotations

from dataclasses import dataclass

COMPRESSED_SUFFIXES = {'rgb': '/compressed', 'depth': '/compressedDepth'}
"""Field of `FrameTopics` -> suffix of a compressed topic."""


@dataclass(frozen=True)
class FrameTopics:
    """Topics of a bag; by default those of a RealSense camera. Images may be compressed.

    Attributes:
        depth_camera_info: only needed to register depth.
        labels: images of class ids; None = frames without labels.
        label_names: class names, in the format of the node's `~/labels`; optional.
    """

    rgb: str = '/camera/camera/color/image_raw'
    depth: str = '/camera/camera/aligned_depth_to_color/image_raw'
    camera_info: str = '/camera/camera/color/camera_info'
    depth_camera_info: str = '/camera/camera/depth/camera_info'
    labels: str | None = '/camera/camera/labels/image_raw'
    label_names: str = '/camera/camera/labels/names'
