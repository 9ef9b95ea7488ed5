# SPDX-License-Identifier: Apache-2.0
"""The cameras of `camera:=`: topics and frame of the driver, and its remedies. No ROS inside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Camera:
    """A camera as its driver publishes it; config/NAME.yaml describes how to start the driver.

    Attributes:
        name: the name in messages.
        rgb, depth: image topics; depth is registered to colour.
        depth_camera_info: topic of the intrinsics of unregistered depth.
        no_depth: remedy for a missing depth topic.
        unsynchronised: remedy for stamps of colour and depth that differ.
        frame: the optical frame of colour.
    """

    name: str
    rgb: str
    depth: str
    depth_camera_info: str
    no_depth: str
    unsynchronised: str
    frame: str = 'camera_color_optical_frame'

    @property
    def camera_info(self) -> str:
        """Topic of the intrinsics of colour."""
        return f'{self.rgb.rpartition("/")[0]}/camera_info'


CAMERAS = {
    'azure_kinect': Camera(
        'Azure Kinect',
        '/rgb/image_raw',
        '/depth_to_rgb/image_raw',
        '/depth/camera_info',
        'depth_enabled:=true',
        'the driver synchronises; check its log',
        'rgb_camera_link',
    ),
    'kinect_v1': Camera(
        'Kinect v1',
        '/camera/rgb/image_raw',
        '/camera/depth/image_raw',
        '/camera/depth/camera_info',
        'with camera_with_cloud.launch.py depth_topic:=/camera/depth_registered/image_raw',
        'the sensors run freely: sync.slop:=0.017',
        'camera_rgb_optical_frame',
    ),
    'oak_d': Camera(
        'OAK-D',
        '/oak/rgb/image_raw',
        '/oak/stereo/image_raw',
        '/oak/stereo/camera_info',
        'i_pipeline_type: RGBD',
        'pointcloud.enable:=true',
        'oak_rgb_camera_optical_frame',
    ),
    'orbbec': Camera(
        'Orbbec',
        '/camera/color/image_raw',
        '/camera/depth/image_raw',
        '/camera/depth/camera_info',
        'enable_depth:=true depth_registration:=true',
        'enable_frame_sync:=true',
    ),
    'realsense': Camera(
        'RealSense',
        '/camera/camera/color/image_raw',
        '/camera/camera/aligned_depth_to_color/image_raw',
        '/camera/camera/depth/camera_info',
        'align_depth.enable:=true',
        'enable_sync:=true',
    ),
}
"""Value of `camera:=` -> camera."""


def camera_of(rgb: str, depth: str) -> Camera | None:
    """The camera that publishes these topics in any namespace; None: unknown."""
    streams = [_stream(rgb), _stream(depth)]
    known = (one for one in CAMERAS.values() if streams == [_stream(one.rgb), _stream(one.depth)])
    return next(known, None)


def _stream(topic: str) -> str:
    """`color` of /camera/camera/color/image_raw."""
    return '/'.join(topic.split('/')[-2:-1])
