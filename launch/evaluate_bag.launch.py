# SPDX-License-Identifier: Apache-2.0
"""A bag through the segmentation node: replay, node and evaluator.

ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag out:=report
ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag queue.policy:=all json:=metrics.json

The evaluator plays the bag once the node is ready, and everything ends with it, or with the node.
Whatever segmentation.launch.py can be told about the node can be told here as well; but topics are
those of the bag, also where camera is given: that is for the parameters.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from sgnet_ros.frame_topics import COMPRESSED_SUFFIXES, FrameTopics

PARTS = ('rgb', 'depth', 'camera_info', 'depth_camera_info')
INPUTS = {f'{part}_topic': getattr(FrameTopics(), part) for part in PARTS}
"""Arguments of segmentation.launch.py whose default is another one here: those of the bag."""

OPTIONS = {
    'labels': 'folder of label images; empty: a topic of the bag',
    'labels_topic': 'topic of label images; empty: as frames_to_bag has it',
    'label_names_topic': 'topic that says what labels mean; empty: as frames_to_bag has it',
    'remap': 'YAML file of classes made of others',
    'rate': 'speed, 2 = twice',
    'sync_mode': 'as sync.mode in params_file, if that is another than auto',
    'sync_slop': 'as sync.slop in params_file, if that is another than 0.015',
    'write_bag': 'bag to write, with masks added',
    'out': 'folder for a report',
    'json': 'file for the figures',
}
"""Launch argument and option of evaluate_bag -> description; empty, the default: as it has it."""

REPORT_TIMEOUT_S = '600'
"""How long the evaluator may take after Ctrl-C to score what was seen."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """What this file adds to the arguments of segmentation.launch.py, or gives other defaults."""
    inputs = [
        DeclareLaunchArgument(name, default_value=topic, description='raw topic, in the bag')
        for name, topic in INPUTS.items()
    ]
    options = [
        DeclareLaunchArgument(name, default_value='', description=description)
        for name, description in OPTIONS.items()
    ]
    return [
        DeclareLaunchArgument('bag', description='rosbag2 folder, .mcap, .db3 or .bag file'),
        *inputs,
        *options,
        DeclareLaunchArgument(
            'queue.policy',
            default_value='',
            choices=['', 'latest', 'all'],
            description='all: lossless, the bag waits for the node; empty: as in params_file',
        ),
        DeclareLaunchArgument(
            'qos.input',
            # The player is reliable, and what is dropped must be dropped where it is counted.
            default_value='reliable',
            choices=['', 'sensor_data', 'reliable', 'auto'],
            description='QoS of what the node hears; empty: as in params_file',
        ),
    ]


def evaluator(context: LaunchContext) -> list[Node]:
    """The evaluator, which starts the replay."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    node = '/'.join(['', *filter(None, argument('namespace').split('/')), 'segmentation'])
    words = [argument('bag'), '--live', '--node', node]
    words += ['--lossless'] if argument('queue.policy') == 'all' else []
    for name in INPUTS:
        words += [f'--{name.replace("_", "-")}', argument(name)]
    for part, transport in (('rgb', 'image_transport'), ('depth', 'depth_transport')):
        if argument(transport) not in ('', 'raw'):
            topic = argument(f'{part}_topic') + COMPRESSED_SUFFIXES[part]
            words += [f'--{part}-topic', topic]
    for name in OPTIONS:
        if argument(name):
            words += [f'--{name.replace("_", "-")}', argument(name)]
    return [
        Node(
            package='sgnet_ros',
            executable='evaluate_bag',
            arguments=words,
            output='screen',
            emulate_tty=True,
            sigterm_timeout=REPORT_TIMEOUT_S,
            on_exit=[Shutdown(reason='the evaluation has ended')],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, segmentation.launch.py with the topics of the bag, and the evaluator."""
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('segmentation.launch.py'))),
        launch_arguments={
            'qos.input': LaunchConfiguration('qos.input'),
            'queue.policy': LaunchConfiguration('queue.policy'),
            **{name: LaunchConfiguration(name) for name in INPUTS},
        }.items(),
    )
    return LaunchDescription(
        [
            *declare_arguments(),
            segmentation,
            # A node that does not start would be waited for.
            RegisterEventHandler(
                OnProcessExit(
                    target_action=lambda process: process.process_details['name'].startswith(
                        'segmentation_node'
                    ),
                    on_exit=Shutdown(reason='the node has ended'),
                )
            ),
            OpaqueFunction(function=evaluator),
        ]
    )
