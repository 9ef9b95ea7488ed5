# SPDX-License-Identifier: Apache-2.0
"""A RealSense camera and the segmentation node.

ros2 launch sgnet_ros realsense.launch.py device:=cuda rviz:=true

The topics are those of realsense-ros 4.55 and newer: they start with the namespace and the name of
the camera. With `launch_camera:=false`, a running camera must align depth to colour.
"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from sgnet_ros.compat import launch_checks
from sgnet_ros.compat.dds_profile import large_image_profile

CAMERA = ['/', LaunchConfiguration('camera_namespace'), '/', LaunchConfiguration('camera_name')]

INPUTS = {
    'rgb_topic': [*CAMERA, '/color/image_raw'],
    'depth_topic': [*CAMERA, '/aligned_depth_to_color/image_raw'],
    'camera_info_topic': [*CAMERA, '/color/camera_info'],
    'depth_camera_info_topic': [*CAMERA, '/depth/camera_info'],
}
"""Arguments of segmentation.launch.py with another default here."""

CAMERA_ARGUMENTS = {
    'camera_namespace': ('camera', 'Namespace of the camera.'),
    'camera_name': ('camera', 'Name of the camera node.'),
    'serial_no': ('', 'Serial number of the camera; empty: any.'),
    'color_profile': ('640x480x30', 'Colour: width x height x rate.'),
    'depth_profile': ('640x480x30', 'Depth: width x height x rate.'),
}
"""Launch argument -> (default, description)."""

NEEDS = {
    **dict.fromkeys(('serial_no', 'color_profile', 'depth_profile'), ('launch_camera', 'true')),
    'camera': ('camera', 'realsense'),
    'fixed_frame': ('rviz', 'true'),
}
"""Launch argument -> (argument, value) without which it has no effect."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """New arguments, and those of segmentation.launch.py with another default."""
    return [
        DeclareLaunchArgument(
            'launch_camera',
            default_value='true',
            choices=['true', 'false'],
            description='Start the camera; false: it runs already.',
        ),
        *(
            DeclareLaunchArgument(name, default_value=default, description=description)
            for name, (default, description) in CAMERA_ARGUMENTS.items()
        ),
        *(
            DeclareLaunchArgument(
                name,
                default_value=topic,
                description='Default: by camera_namespace and camera_name.',
            )
            for name, topic in INPUTS.items()
        ),
        DeclareLaunchArgument(
            'fixed_frame',
            default_value=[LaunchConfiguration('camera_name'), '_color_optical_frame'],
            description='Fixed frame of rviz2; default: by camera_name.',
        ),
    ]


def check_camera(context: LaunchContext) -> None:
    """Raise InputError if the driver is missing, before the node starts."""
    if context.launch_configurations['launch_camera'] == 'true':
        launch_checks.check_executable('realsense2_camera', '', 'set launch_camera:=false')


def camera() -> GroupAction:
    """The launch file of the camera, in a scope with its own configuration only.

    It reads every launch configuration in its scope: it would use the `log_level` of the node, and
    newer versions warn about unknown names.
    """
    configuration = {
        'camera_namespace': LaunchConfiguration('camera_namespace'),
        'camera_name': LaunchConfiguration('camera_name'),
        # Quoted: it reaches the driver through YAML, which would convert it to a number.
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
    # The shared memory of the images belongs to their sender, the camera.
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
    # The driver comes last: launch would leave it running if the checks of the node failed.
    included = [segmentation, camera()]
    known = [
        a.name for a in LaunchDescription([*declare_arguments(), *included]).get_launch_arguments()
    ]
    checks = [
        OpaqueFunction(function=launch_checks.check_arguments, args=[known, NEEDS]),
        OpaqueFunction(function=check_camera),
    ]
    return LaunchDescription([*declare_arguments(), *checks, *included])
