# SPDX-License-Identifier: Apache-2.0
"""A RealSense camera and the segmentation node.

ros2 launch sgnet_ros realsense.launch.py device:=cuda rviz:=true

The topics are those of realsense-ros 4.55 and newer, which start with the camera's namespace and
name. With `launch_camera:=false` the camera is somebody else's, who must align depth to colour.
"""

import os
from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from sgnet_ros.dds_profile import large_image_profile

CAMERA = ['/', LaunchConfiguration('camera_namespace'), '/', LaunchConfiguration('camera_name')]

INPUTS = {
    'rgb_topic': [*CAMERA, '/color/image_raw'],
    'depth_topic': [*CAMERA, '/aligned_depth_to_color/image_raw'],
    'camera_info_topic': [*CAMERA, '/color/camera_info'],
    'depth_camera_info_topic': [*CAMERA, '/depth/camera_info'],
}
"""Arguments of segmentation.launch.py whose default is another one here."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """What this file adds to the arguments of segmentation.launch.py, or gives other defaults."""
    return [
        DeclareLaunchArgument(
            'launch_camera',
            default_value='true',
            choices=['true', 'false'],
            description='start the camera; false: it runs already',
        ),
        DeclareLaunchArgument(
            'camera_namespace', default_value='camera', description='namespace of the camera'
        ),
        DeclareLaunchArgument(
            'camera_name', default_value='camera', description='name of the camera node'
        ),
        DeclareLaunchArgument(
            'serial_no', default_value='', description='which camera, in digits; empty: any'
        ),
        DeclareLaunchArgument(
            'color_profile', default_value='640x480x30', description='width x height x rate'
        ),
        DeclareLaunchArgument(
            'depth_profile', default_value='640x480x30', description='width x height x rate'
        ),
        *(
            DeclareLaunchArgument(
                name, default_value=topic, description='default: by camera_namespace, camera_name'
            )
            for name, topic in INPUTS.items()
        ),
        DeclareLaunchArgument(
            'fixed_frame',
            default_value=[LaunchConfiguration('camera_name'), '_color_optical_frame'],
            description='in which rviz2 shows the points; default: by camera_name',
        ),
    ]


def camera() -> GroupAction:
    """The camera's own launch file, which gets its configuration and none of ours.

    It takes every launch configuration in its scope for its own: it would read our `log_level`,
    and newer versions warn about each name they do not know.
    """
    configuration = {
        'camera_namespace': LaunchConfiguration('camera_namespace'),
        'camera_name': LaunchConfiguration('camera_name'),
        # Quoted, because it reaches the driver through YAML, which would make it a number.
        'serial_no': ["'", LaunchConfiguration('serial_no'), "'"],
        'rgb_camera.color_profile': LaunchConfiguration('color_profile'),
        'depth_module.depth_profile': LaunchConfiguration('depth_profile'),
        'enable_color': 'true',
        'enable_depth': 'true',
        'enable_sync': 'true',
        'align_depth.enable': 'true',
    }
    launch_file = PathJoinSubstitution(
        [FindPackageShare('realsense2_camera'), 'launch', 'rs_launch.py']
    )
    # For the camera as for the node: the shared memory of its images is the sender's.
    profile = [SetEnvironmentVariable(*item) for item in large_image_profile(os.environ).items()]
    return GroupAction(
        [*profile, IncludeLaunchDescription(PythonLaunchDescriptionSource(launch_file))],
        scoped=True,
        forwarding=False,
        launch_configurations=configuration,
        condition=IfCondition(LaunchConfiguration('launch_camera')),
    )


def generate_launch_description() -> LaunchDescription:
    """Arguments, the camera, and segmentation.launch.py with the camera's topics."""
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('segmentation.launch.py'))),
        launch_arguments={
            'camera': 'realsense',
            'fixed_frame': LaunchConfiguration('fixed_frame'),
            **{name: LaunchConfiguration(name) for name in INPUTS},
        }.items(),
    )
    return LaunchDescription([*declare_arguments(), camera(), segmentation])
