# SPDX-License-Identifier: Apache-2.0
"""The segmentation node for a running camera.

ros2 launch sgnet_ros segmentation.launch.py camera:=oak_d
ros2 launch sgnet_ros segmentation.launch.py rgb_topic:=/kinect/rgb/image_raw \
    depth_topic:=/kinect/depth_registered/image_raw camera_info_topic:=/kinect/rgb/camera_info

`camera:=` selects the topics and parameters of a driver; config/oak_d.yaml describes how to start
it. Each parameter of the node is an argument. Depth that is not registered to the colour image
needs depth.register:=true.
"""

from pathlib import Path
from typing import List  # noqa: UP035  launch compares types with it

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from sgnet_ros.cameras import CAMERAS
from sgnet_ros.compat import launch_checks

CONFIG = Path(__file__).parent.parent / 'config'

TOPICS = {
    'rgb_topic': 'rgb/image',
    'depth_topic': 'depth/image',
    'camera_info_topic': 'rgb/camera_info',
    'depth_camera_info_topic': 'depth/camera_info',
}
"""Launch argument -> topic of the node before remapping."""

NODE_PARAMETERS = launch_checks.node_defaults(CONFIG / 'segmentation.yaml')
NODE_PARAMETERS['use_sim_time'] = False
"""Launch argument and node parameter of the same name -> default in segmentation.yaml.

The default of the argument is empty and leaves the parameter to the files. Any other default would
silently override them.
"""

CHOICES = {
    'precision': ['auto', 'fp32', 'fp16', 'bf16'],
    'image_transport': ['raw', 'compressed'],
    'depth_transport': ['raw', 'compressedDepth'],
    'qos.input': ['sensor_data', 'reliable', 'auto'],
    'queue.policy': ['latest', 'all'],
    'use_sim_time': ['true', 'false'],
}
"""Node parameters that launch itself checks; the node checks all."""

OPTIONS = {
    'camera': ('', ['', *CAMERAS], 'Camera that selects topics and parameter file; empty: none.'),
    'params_file': ('', None, 'YAML file with node parameters, over those of the camera.'),
    'namespace': ('', None, 'Namespace of the node.'),
    'rviz': ('false', ['true', 'false'], 'Show overlay and points in rviz2.'),
    'fixed_frame': ('', None, 'Fixed frame of rviz2; empty: by camera.'),
    'log_level': ('info', ['debug', 'info', 'warn', 'error', 'fatal'], 'Log level of the node.'),
}
"""Other launch arguments -> (default, choices, description)."""

ARGUMENTS = {
    **{name: ('', None, f'Input topic of {topic}; empty: by camera.')
       for name, topic in TOPICS.items()},
    **{name: ('', ['', *CHOICES[name]] if name in CHOICES else None,
              f'Node parameter, by default {default!r}; empty: as in params_file.')
       for name, default in NODE_PARAMETERS.items()},
    **OPTIONS,
}  # fmt: skip
"""Launch argument -> (default, choices, description)."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of this file."""
    return [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, (default, choices, description) in ARGUMENTS.items()
    ]


def nodes(context: LaunchContext) -> list[Node]:
    """The node and RViz; the camera gives the defaults of the arguments."""
    arguments = {name: context.launch_configurations[name] for name in ARGUMENTS}
    camera = CAMERAS.get(arguments['camera'])
    topics = {
        topic: arguments[name]
        or (getattr(camera, name.removesuffix('_topic')) if camera else topic)
        for name, topic in TOPICS.items()
    }
    launch_checks.check_names({name: arguments[name] for name in (*TOPICS, 'namespace')})
    files = [CONFIG / 'segmentation.yaml']
    files += [CONFIG / f'{arguments["camera"]}.yaml'] if camera else []
    if arguments['params_file']:
        files.append(Path(arguments['params_file']))
        name = launch_checks.full_name(context, arguments['namespace'])
        launch_checks.check_parameter_file(files[-1], name)
    values = {
        name: launch_checks.parameter_value(name, arguments[name], default)
        for name, default in NODE_PARAMETERS.items()
        if arguments[name]
    }
    # The command line overrides the files. Without a type, launch_ros converts the string '0', and
    # writes lists that only Python reads.
    given = {
        name: ParameterValue(
            value,
            value_type=List[type(value[0])] if isinstance(value, list) else type(value),  # noqa: UP006
        )
        for name, value in values.items()
    }
    if arguments['rviz'] == 'true':
        launch_checks.check_executable('rviz2', 'rviz2', 'set rviz:=false')
    segmentation = Node(
        package='sgnet_ros',
        executable='segmentation_node',
        exec_name='segmentation_node',
        name='segmentation',
        namespace=LaunchConfiguration('namespace'),
        parameters=[*map(str, files), *([given] if given else [])],
        remappings=list(topics.items()),
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
        prefix=launch_checks.process_prefix(context, 'segmentation_node', delay_sigint=True),
    )
    # The topics of the configuration file are those of a node without a namespace.
    outputs = [f'/segmentation/{name}' for name in ('overlay', 'color', 'points')]
    frame = arguments['fixed_frame'] or (camera or CAMERAS['realsense']).frame
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        exec_name='rviz2',
        arguments=['-d', str(CONFIG / 'segmentation.rviz'), '-f', frame],
        remappings=[(topic, [LaunchConfiguration('namespace'), topic]) for topic in outputs],
        condition=IfCondition(LaunchConfiguration('rviz')),
        prefix=launch_checks.process_prefix(context, 'rviz2'),
    )
    return [segmentation, rviz]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node and, if requested, RViz."""
    check = OpaqueFunction(
        function=launch_checks.check_arguments,
        args=[ARGUMENTS, {'fixed_frame': ('rviz', 'true')}],
    )
    return LaunchDescription([*declare_arguments(), check, OpaqueFunction(function=nodes)])
