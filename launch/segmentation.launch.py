# SPDX-License-Identifier: Apache-2.0
"""The segmentation node for a running camera.

ros2 launch sgnet_ros segmentation.launch.py camera:=oak_d
ros2 launch sgnet_ros segmentation.launch.py rgb_topic:=/kinect/rgb/image_raw \
    depth_topic:=/kinect/depth_registered/image_raw camera_info_topic:=/kinect/rgb/camera_info

With `camera:=`, topics and parameters are those of the driver; config/oak_d.yaml describes how to
start it. Depth that is not registered to the colour image needs depth.register in params_file.
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
    'rgb_topic': ('rgb/image', 'topic of colour images'),
    'depth_topic': ('depth/image', 'topic of depth images'),
    'camera_info_topic': ('rgb/camera_info', 'topic of the intrinsics of colour'),
    'depth_camera_info_topic': (
        'depth/camera_info',
        'topic of the intrinsics of depth, for depth.register',
    ),
}
"""Launch argument -> (name of the topic in the node, description)."""

CAMERAS = {
    '': {
        'rgb_topic': 'rgb/image',
        'depth_topic': 'depth/image',
        'camera_info_topic': 'rgb/camera_info',
        'depth_camera_info_topic': 'depth/camera_info',
        'fixed_frame': 'camera_color_optical_frame',
    },
    'azure_kinect': {
        'rgb_topic': '/rgb/image_raw',
        'depth_topic': '/depth_to_rgb/image_raw',
        'camera_info_topic': '/rgb/camera_info',
        'depth_camera_info_topic': '/depth/camera_info',
        'fixed_frame': 'rgb_camera_link',
    },
    'kinect_v1': {
        'rgb_topic': '/camera/rgb/image_raw',
        'depth_topic': '/camera/depth/image_raw',
        'camera_info_topic': '/camera/rgb/camera_info',
        'depth_camera_info_topic': '/camera/depth/camera_info',
        'fixed_frame': 'camera_rgb_optical_frame',
    },
    'oak_d': {
        'rgb_topic': '/oak/rgb/image_raw',
        'depth_topic': '/oak/stereo/image_raw',
        'camera_info_topic': '/oak/rgb/camera_info',
        'depth_camera_info_topic': '/oak/stereo/camera_info',
        'fixed_frame': 'oak_rgb_camera_optical_frame',
    },
    'orbbec': {
        'rgb_topic': '/camera/color/image_raw',
        'depth_topic': '/camera/depth/image_raw',
        'camera_info_topic': '/camera/color/camera_info',
        'depth_camera_info_topic': '/camera/depth/camera_info',
        'fixed_frame': 'camera_color_optical_frame',
    },
    'realsense': {
        'rgb_topic': '/camera/camera/color/image_raw',
        'depth_topic': '/camera/camera/aligned_depth_to_color/image_raw',
        'camera_info_topic': '/camera/camera/color/camera_info',
        'depth_camera_info_topic': '/camera/camera/depth/camera_info',
        'fixed_frame': 'camera_color_optical_frame',
    },
}
"""Camera -> launch argument -> its default, which is the default of the driver.

Each but the first has a parameter file in config/, which describes how to start the driver.
"""

NODE_PARAMETERS = {
    'checkpoint': (str, None, 'path to a checkpoint'),
    'device': (str, None, 'auto, cpu, cuda or cuda:N'),
    'precision': (str, ['auto', 'fp32', 'fp16', 'bf16'], 'precision of inference'),
    'image_transport': (
        str,
        ['raw', 'compressed'],
        'transport of colour; rgb_topic is the raw topic',
    ),
    'depth_transport': (
        str,
        ['raw', 'compressedDepth'],
        'transport of depth; depth_topic is the raw topic',
    ),
    'qos.input': (str, ['sensor_data', 'reliable', 'auto'], 'reliability of the subscriptions'),
    'queue.policy': (str, ['latest', 'all'], 'pairs that wait for the network'),
    'use_sim_time': (bool, ['true', 'false'], 'use the time of /clock'),
}
"""Launch argument and node parameter of the same name -> (type, choices, description).

The default is empty and leaves the parameter to params_file. Any other default would silently
override the file.
"""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of this file; params_file holds the other parameters of the node."""
    inputs = [
        DeclareLaunchArgument(
            name, default_value='', description=f'{description}; empty: by camera'
        )
        for name, (_, description) in INPUTS.items()
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
        DeclareLaunchArgument(
            'camera',
            default_value='',
            choices=list(CAMERAS),
            description='camera whose topics and parameter file to use; empty: any camera',
        ),
        *inputs,
        *parameters,
        DeclareLaunchArgument(
            'params_file',
            default_value='',
            description='YAML file with the parameters of the node; empty: config/ of the camera',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of the node and of its outputs'
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='false',
            choices=['true', 'false'],
            description='show overlay and points in rviz2, which must be installed',
        ),
        DeclareLaunchArgument(
            'fixed_frame',
            default_value='',
            description='fixed frame of rviz2; empty: the optical frame of the camera',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='log level of the node',
        ),
    ]


def nodes(context: LaunchContext) -> list[Node]:
    """The node and RViz; the camera gives the defaults of the arguments."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    camera = argument('camera')
    topics = {topic: argument(name) or CAMERAS[camera][name] for name, (topic, _) in INPUTS.items()}
    # The command line overrides params_file.
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, (value_type, _, _) in NODE_PARAMETERS.items()
        if argument(name)
    }
    params_file = argument('params_file') or str(CONFIG / f'{camera or "segmentation"}.yaml')
    segmentation = Node(
        package='sgnet_ros',
        executable='segmentation_node',
        name='segmentation',
        namespace=LaunchConfiguration('namespace'),
        parameters=[params_file, *([given] if given else [])],
        remappings=list(topics.items()),
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
    )
    # The topics of the configuration file are those of a node without a namespace.
    outputs = [f'/segmentation/{name}' for name in ('overlay', 'color', 'points')]
    frame = argument('fixed_frame') or CAMERAS[camera]['fixed_frame']
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', str(CONFIG / 'segmentation.rviz'), '-f', frame],
        remappings=[(topic, [LaunchConfiguration('namespace'), topic]) for topic in outputs],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return [segmentation, rviz]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node and, if requested, RViz."""
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=nodes)])
