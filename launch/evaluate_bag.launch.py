# SPDX-License-Identifier: Apache-2.0
"""Evaluates the segmentation node on a bag: replay, node and evaluator.

ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag out:=report
ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag queue.policy:=all json:=metrics.json

The evaluator plays the bag when the node is ready. All processes end when the evaluator or the node
ends. The arguments of segmentation.launch.py work here as well, but `camera` selects parameters
only: topics are always those of the bag.
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

from sgnet_ros.bag.frame_topics import COMPRESSED_SUFFIXES, FrameTopics

PARTS = ('rgb', 'depth', 'camera_info', 'depth_camera_info')
INPUTS = {f'{part}_topic': getattr(FrameTopics(), part) for part in PARTS}
"""Arguments of segmentation.launch.py whose default is a topic of the bag here."""

OPTIONS = {
    'labels': 'Folder of label images; empty: a topic of the bag.',
    'labels_topic': 'Topic of label images; empty: as in frames_to_bag.',
    'label_names_topic': 'Topic of the label names; empty: as in frames_to_bag.',
    'remap': 'YAML file that maps classes to other classes.',
    'rate': 'Speed factor.',
    'sync_mode': 'Must equal sync.mode in params_file if that is not auto.',
    'sync_slop': 'Must equal sync.slop in params_file if that is not 0.015.',
    'write_bag': 'Output bag: the input bag with masks.',
    'out': 'Folder for a report.',
    'json': 'JSON file for the metrics.',
}
"""Launch argument and option of evaluate_bag -> description. The default is empty: not set."""

REPORT_TIMEOUT_S = '600'
"""Time of the evaluator after Ctrl-C to score the frames so far."""


def declare_arguments() -> list[DeclareLaunchArgument]:
    """New arguments, and those of segmentation.launch.py with another default."""
    inputs = [
        DeclareLaunchArgument(name, default_value=topic, description='Raw topic in the bag.')
        for name, topic in INPUTS.items()
    ]
    options = [
        DeclareLaunchArgument(name, default_value='', description=description)
        for name, description in OPTIONS.items()
    ]
    return [
        DeclareLaunchArgument('bag', description='rosbag2 folder, .mcap, .db3 or .bag file.'),
        *inputs,
        *options,
        DeclareLaunchArgument(
            'queue.policy',
            default_value='',
            choices=['', 'latest', 'all'],
            description='all: lossless, the bag waits for the node; empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'qos.input',
            # The player is reliable, and only the node counts its drops.
            default_value='reliable',
            choices=['', 'sensor_data', 'reliable', 'auto'],
            description='Reliability of the subscriptions; empty: as in params_file.',
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
            # Otherwise the evaluator would wait for a node that has failed.
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
