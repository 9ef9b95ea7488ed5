# SPDX-License-Identifier: Apache-2.0
"""The segmentation node, for any camera.

Depth that is not registered to the colour image needs depth.register in params_file.

ros2 launch sgnet_ros segmentation.launch.py rgb_topic:=/kinect/rgb/image_raw \
    depth_topic:=/kinect/depth_registered/image_raw camera_info_topic:=/kinect/rgb/camera_info
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

CONFIG = Path(__file__).parent.parent / 'config'

INPUTS = {
    'rgb_topic': ('rgb/image', 'colour images, sensor_msgs/Image'),
    'depth_topic': ('depth/image', 'depth registered to the colour image, sensor_msgs/Image'),
    'camera_info_topic': ('rgb/camera_info', 'intrinsics of the colour camera'),
    'depth_camera_info_topic': (
        'depth/camera_info',
        'intrinsics of the depth camera, where the node is to register depth',
    ),
}
"""Launch argument -> (name of the topic in the node, description)."""

NODE_PARAMETERS = {
    'checkpoint': (str, None, 'file of a trained network'),
    'device': (str, None, 'auto, cpu, cuda or cuda:N'),
    'precision': (str, ['auto', 'fp32', 'fp16', 'bf16'], 'number format of inference'),
    'image_transport': (str, ['raw', 'compressed'], 'how colour comes; rgb_topic is the raw topic'),
    'depth_transport': (str, ['raw', 'compressedDepth'], 'the same of depth_topic'),
    'use_sim_time': (bool, ['true', 'false'], 'take the time from /clock'),
}
"""Launch argument and node parameter of the same name -> (type, choices, description).

Empty, the default, leaves the parameter to params_file: a default of our own would silently win
over what the file says.
"""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """Every argument of this file; what the node itself can be told is in params_file."""
    inputs = [
        DeclareLaunchArgument(name, default_value=topic, description=description)
        for name, (topic, description) in INPUTS.items()
    ]
    parameters = [
        DeclareLaunchArgument(
            name,
            default_value='',
            choices=['', *choices] if choices else None,
            description=f'{description}; empty: as in params_file',
        )
        for name, (_, choices, description) in NODE_PARAMETERS.items()
    ]
    return [
        *inputs,
        *parameters,
        DeclareLaunchArgument(
            'params_file',
            default_value=str(CONFIG / 'segmentation.yaml'),
            description='YAML file with the parameters of the node',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of the node and of its outputs'
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='false',
            choices=['true', 'false'],
            description='show the overlay in rviz2, which must be installed',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='log level of the node',
        ),
    ]


def segmentation_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameters that were given on the command line over params_file."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, (value_type, _, _) in NODE_PARAMETERS.items()
        if LaunchConfiguration(name).perform(context)
    }
    return [
        Node(
            package='sgnet_ros',
            executable='segmentation_node',
            name='segmentation',
            namespace=LaunchConfiguration('namespace'),
            parameters=[LaunchConfiguration('params_file'), *([given] if given else [])],
            remappings=[(topic, LaunchConfiguration(name)) for name, (topic, _) in INPUTS.items()],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
            emulate_tty=True,
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node, and RViz where it is wanted."""
    outputs = ('/segmentation/overlay', '/segmentation/color')
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', str(CONFIG / 'segmentation.rviz')],
        # The topics of the configuration file are those of a node without a namespace.
        remappings=[(topic, [LaunchConfiguration('namespace'), topic]) for topic in outputs],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return LaunchDescription(
        [*declare_arguments(), OpaqueFunction(function=segmentation_node), rviz]
    )
