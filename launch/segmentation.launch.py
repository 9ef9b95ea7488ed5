# SPDX-License-Identifier: Apache-2.0
"""The segmentation node for a running camera.

ros2 launch sgnet_ros segmentation.launch.py camera:=oak_d
ros2 launch sgnet_ros segmentation.launch.py rgb_topic:=/kinect/rgb/image_raw \
    depth_topic:=/kinect/depth_registered/image_raw camera_info_topic:=/kinect/rgb/camera_info

`camera:=` selects the topics and parameters of a driver; config/oak_d.yaml describes how to start
it. Depth that is not registered to the colour image needs depth.register in params_file.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

CONFIG = Path(__file__).parent.parent / 'config'

TOPICS = {
    'rgb_topic': 'rgb/image',
    'depth_topic': 'depth/image',
    'camera_info_topic': 'rgb/camera_info',
    'depth_camera_info_topic': 'depth/camera_info',
}
"""Launch argument -> topic of the node before remapping."""

CAMERAS = {
    'azure_kinect': ('/rgb/image_raw', '/depth_to_rgb/image_raw', '/depth/camera_info'),
    'kinect_v1': ('/camera/rgb/image_raw', '/camera/depth/image_raw', '/camera/depth/camera_info'),
    'oak_d': ('/oak/rgb/image_raw', '/oak/stereo/image_raw', '/oak/stereo/camera_info'),
    'orbbec': ('/camera/color/image_raw', '/camera/depth/image_raw', '/camera/depth/camera_info'),
    'realsense': (
        '/camera/camera/color/image_raw',
        '/camera/camera/aligned_depth_to_color/image_raw',
        '/camera/camera/depth/camera_info',
    ),
}
"""Camera -> topics of colour, depth and depth camera_info, as in the driver.

Each camera has a parameter file in config/, which describes how to start the driver.
"""

FRAMES = {
    'azure_kinect': 'rgb_camera_link',
    'kinect_v1': 'camera_rgb_optical_frame',
    'oak_d': 'oak_rgb_camera_optical_frame',
}
"""Camera -> default of fixed_frame; for all others it is camera_color_optical_frame."""

NODE_PARAMETERS = {
    'checkpoint': (str, None, 'Path to a checkpoint'),
    'device': (str, None, 'Device: auto, cpu, cuda or cuda:N'),
    'precision': (str, ['auto', 'fp32', 'fp16', 'bf16'], 'Precision of inference'),
    'image_transport': (
        str,
        ['raw', 'compressed'],
        'Transport of colour; rgb_topic is the raw topic',
    ),
    'depth_transport': (
        str,
        ['raw', 'compressedDepth'],
        'Transport of depth; depth_topic is the raw topic',
    ),
    'qos.input': (str, ['sensor_data', 'reliable', 'auto'], 'Reliability of the subscriptions'),
    'queue.policy': (
        str,
        ['latest', 'all'],
        'Pairs that wait for the network: only the newest, or all',
    ),
    'use_sim_time': (bool, ['true', 'false'], 'Use the time of /clock'),
}
"""Launch argument and node parameter of the same name -> (type, choices, description).

The default is empty and leaves the parameter to params_file. Any other default would silently
override the file.
"""

OPTIONS = {
    'camera': ('', ['', *CAMERAS], 'Camera that selects topics and parameter file; empty: none.'),
    'params_file': ('', None, 'YAML file with node parameters; empty: the file of the camera.'),
    'namespace': ('', None, 'Namespace of the node.'),
    'rviz': ('false', ['true', 'false'], 'Show overlay and points in rviz2.'),
    'fixed_frame': ('', None, 'Fixed frame of rviz2; empty: by camera.'),
    'log_level': ('info', ['debug', 'info', 'warn', 'error', 'fatal'], 'Log level of the node.'),
}
"""Other launch arguments -> (default, choices, description)."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of this file; params_file holds the other parameters of the node."""
    table = {
        **{name: ('', None, f'Input topic of {topic}; empty: by camera.')
           for name, topic in TOPICS.items()},
        **{name: ('', ['', *choices] if choices else None, f'{text}; empty: as in params_file.')
           for name, (_, choices, text) in NODE_PARAMETERS.items()},
        **OPTIONS,
    }  # fmt: skip
    return [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, (default, choices, description) in table.items()
    ]


def nodes(context: LaunchContext) -> list[Node]:
    """The node and RViz; the camera gives the defaults of the arguments."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    camera = argument('camera')
    rgb, depth, depth_info = CAMERAS.get(camera, ('rgb/image', 'depth/image', 'depth/camera_info'))
    defaults = (rgb, depth, f'{rgb.rpartition("/")[0]}/camera_info', depth_info)
    topics = {
        topic: argument(name) or default
        for (name, topic), default in zip(TOPICS.items(), defaults, strict=True)
    }
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
    frame = argument('fixed_frame') or FRAMES.get(camera, 'camera_color_optical_frame')
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
