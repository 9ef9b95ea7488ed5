# SPDX-License-Identifier: Apache-2.0
"""Evaluates the segmentation node on a bag: replay, node and evaluator.

ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag out:=report
ros2 launch sgnet_ros evaluate_bag.launch.py bag:=kitchen_bag queue.policy:=all json:=metrics.json

The evaluator plays the bag when the node is ready. All processes end when the evaluator or the node
ends, and launch ends with the exit status of the evaluator. The arguments of
segmentation.launch.py work here as well, but `camera` selects parameters only: topics are always
those of the bag.
"""

from pathlib import Path

from launch import Event, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from sgnet_ros.bag.frame_topics import COMPRESSED_SUFFIXES, FrameTopics
from sgnet_ros.compat import launch_checks

PARTS = ('rgb', 'depth', 'camera_info', 'depth_camera_info')
INPUTS = {f'{part}_topic': getattr(FrameTopics(), part) for part in PARTS}
"""Arguments of segmentation.launch.py whose default is a topic of the bag here."""

OPTIONS = {
    'labels': 'Folder of label images; empty: a topic of the bag.',
    'labels_topic': 'Topic of label images; empty: as in frames_to_bag.',
    'label_names_topic': 'Topic of the label names; empty: as in frames_to_bag.',
    'remap': 'YAML file that maps classes to other classes.',
    'rate': 'Speed factor.',
    'sync_mode': 'Pairing of the evaluator; empty: sync.mode, which params_file must not change.',
    'sync_slop': 'Pairing of the evaluator; empty: sync.slop, which params_file must not change.',
    'write_bag': 'Output bag: the input bag with masks.',
    'out': 'Folder for a report.',
    'json': 'JSON file for the metrics.',
}
"""Launch argument and option of evaluate_bag -> description. The default is empty: not set."""

NODE_OPTIONS = {'sync_mode': 'sync.mode', 'sync_slop': 'sync.slop'}
"""Option of evaluate_bag -> parameter of the node with the same value."""

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
        # Node and evaluator must make the same pairs.
        if value := argument(name) or NODE_OPTIONS.get(name) and argument(NODE_OPTIONS[name]):
            words += [f'--{name.replace("_", "-")}', value]
    camera = [argument(f'camera.{key}') for key in ('fx', 'fy', 'cx', 'cy')]
    words += ['--camera', ','.join(camera)] if all(camera) else []
    if pose := argument('depth.extrinsics'):
        words += ['--extrinsics', pose.strip('[]')]
    return [
        Node(
            package='sgnet_ros',
            executable='evaluate_bag',
            exec_name='evaluate_bag',
            arguments=words,
            output='screen',
            emulate_tty=True,
            sigterm_timeout=REPORT_TIMEOUT_S,
            prefix=launch_checks.process_prefix(context, 'evaluate_bag'),
            on_exit=[Shutdown(reason='the evaluation has ended')],
        )
    ]


class ExitStatus:
    """Ends launch with the exit status of the evaluator after the last process has ended.

    Launch itself ends with 0 if processes fail.
    """

    def __init__(self) -> None:
        self._running = self._status = 0

    def start(self, event: Event, context: LaunchContext) -> None:
        """Count a process that has started."""
        self._running += 1

    def end(self, event: Event, context: LaunchContext) -> None:
        """Count a process that has ended."""
        self._running -= 1
        if event.process_name.startswith('evaluate_bag'):
            # A shell reports a signal as 128 + its number.
            self._status = event.returncode if event.returncode >= 0 else 128 - event.returncode
        if self._status and not self._running:
            raise SystemExit(self._status)


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
    arguments = declare_arguments()
    known = [a.name for a in LaunchDescription([*arguments, segmentation]).get_launch_arguments()]
    needs = {'fixed_frame': ('rviz', 'true')}
    status = ExitStatus()
    return LaunchDescription(
        [
            *arguments,
            OpaqueFunction(function=launch_checks.check_arguments, args=[known, needs]),
            RegisterEventHandler(OnProcessStart(on_start=status.start)),
            RegisterEventHandler(OnProcessExit(on_exit=status.end)),
            # Otherwise the evaluator would wait for a node that has failed.
            RegisterEventHandler(
                OnProcessExit(
                    target_action=lambda process: process.process_details['name'].startswith(
                        'segmentation_node'
                    ),
                    on_exit=Shutdown(reason='the node has ended'),
                )
            ),
            segmentation,
            OpaqueFunction(function=evaluator),
        ]
    )
