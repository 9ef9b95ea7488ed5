# SPDX-License-Identifier: Apache-2.0
"""The segmentation node, for a camera that runs already.

ros2 launch sgnet_ros segmentation.launch.py camera:=oak_d
ros2 launch sgnet_ros segmentation.launch.py rgb_topic:=/kinect/rgb/image_raw \
    depth_topic:=/kinect/depth_registered/image_raw camera_info_topic:=/kinect/rgb/camera_info

The first one knows topics and parameters of the camera, and config/oak_d.yaml says how to start
its driver. Depth that is not registered to the colour image needs depth.register in params_file.
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
"""Camera -> launch argument -> its default, as the camera's driver has it unless told otherwise.

Each but the first has a parameter file of its name in config/, which says how to start the driver.
"""

NODE_PARAMETERS = {
    'checkpoint': (str, None, 'file of a trained network'),
    'device': (str, None, 'auto, cpu, cuda or cuda:N'),
    'precision': (str, ['auto', 'fp32', 'fp16', 'bf16'], 'number format of inference'),
    'image_transport': (str, ['raw', 'compressed'], 'how colour comes; rgb_topic is the raw topic'),
    'depth_transport': (str, ['raw', 'compressedDepth'], 'the same of depth_topic'),
    'qos.input': (str, ['sensor_data', 'reliable', 'auto'], 'QoS of what the node hears'),
    'queue.policy': (str, ['latest', 'all'], 'which frames wait while the node is busy'),
    'use_sim_time': (bool, ['true', 'false'], 'take the time from /clock'),
}
"""Launch argument and node parameter of the same name -> (type, choices, description).

Empty, the default, leaves the parameter to params_file: a default of our own would silently win
over what the file says.
"""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """Every argument of this file; what the node itself can be told is in params_file."""
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
            description='whose topics and parameter file to take; empty: any camera',
        ),
        *inputs,
        *parameters,
        DeclareLaunchArgument(
            'params_file',
            default_value='',
            description='YAML file with the parameters of the node; empty: by camera, in config/',
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
            description='in which rviz2 shows the points, any frame of TF or that of the colour '
            'images; empty: the latter, by camera',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='log level of the node',
        ),
    ]


def nodes(context: LaunchContext) -> list[Node]:
    """The node and RViz, with what the arguments leave open taken from the camera."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    camera = argument('camera')
    topics = {topic: argument(name) or CAMERAS[camera][name] for name, (topic, _) in INPUTS.items()}
    # What is given on the command line wins over params_file.
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
    """Arguments, the node, and RViz where it is wanted."""
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=nodes)])
