# SPDX-License-Identifier: Apache-2.0
"""The launch files, run with stand-ins for node, camera and RViz that record how they started.

Where a ROS distribution has `launch` and `launch_ros`, the runs use them, else `fake_launch.py`.
"""

import argparse
import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sgnet_ros.compat.dds_profile import large_image_profile
from sgnet_ros.compat.launch_checks import node_defaults

REPOSITORY = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((REPOSITORY / 'launch').glob('*.launch.py'))
CONFIG = REPOSITORY / 'config'
DEFAULTS = str(CONFIG / 'segmentation.yaml')
INPUTS = ('rgb/image', 'depth/image', 'rgb/camera_info', 'depth/camera_info')

# launch_ros removes the parameter files that it makes, so the node has to read them.
NODE = """\
#!{python}
import json, os, pathlib, signal, sys, time
import yaml
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
words = sys.argv[1:]
files = [words[i + 1] for i, word in enumerate(words) if word == '--params-file']
parameters = [yaml.safe_load(pathlib.Path(name).read_text()) for name in files]
record = dict(words=words, files=files, parameters=parameters)
record['prefixed'] = os.environ.get('PREFIXED')
me = pathlib.Path(sys.argv[0])
me.with_suffix('.json').write_text(json.dumps(record))
# The end of one process ends the others: NAME waits for the file.
awaited = os.environ.get(me.name)
deadline = time.monotonic() + 30
try:
    while awaited and not me.with_name(awaited).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
except KeyboardInterrupt:
    me.with_suffix('.interrupted').touch()
sys.exit(int(os.environ.get('STATUS_OF_' + me.name, 0)))
"""

# Like rs_launch.py it declares a name that ours declares, and takes whatever is in its scope.
CAMERA = """\
import json, pathlib
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

def record(context):
    seen = dict(context.launch_configurations), dict(context.environment)
    pathlib.Path({record!r}).write_text(json.dumps(seen))

def generate_launch_description():
    log_level = DeclareLaunchArgument('log_level', default_value='info')
    return LaunchDescription([log_level, OpaqueFunction(function=record)])
"""


class Robot:
    """A prefix with a node and a camera that record how they were started."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        for package in ('sgnet_ros', 'realsense2_camera', 'rviz2'):
            self.write(f'share/ament_index/resource_index/packages/{package}', '')
        for name in ('sgnet_ros/segmentation_node', 'sgnet_ros/evaluate_bag', 'rviz2/rviz2'):
            self.write(f'lib/{name}', NODE.format(python=sys.executable)).chmod(0o755)
        camera = CAMERA.format(record=str(prefix / 'camera.json'))
        self.write('share/realsense2_camera/launch/rs_launch.py', camera)

    def write(self, name: str, text: str) -> Path:
        path = self.prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def launch(self, name: str, **arguments: str) -> None:
        """Launch until everything has ended, with success."""
        done = self.run(name, **arguments)
        assert done.returncode == 0, done.stdout

    def run(self, name: str, **arguments: str) -> subprocess.CompletedProcess:
        """`ros2 launch`, with all output in stdout."""
        program = str(REPOSITORY / 'test' / 'fake_launch.py')
        path = os.pathsep.join([str(REPOSITORY), *sys.path])
        words = [str(REPOSITORY / 'launch' / name), *(f'{n}:={v}' for n, v in arguments.items())]
        return subprocess.run(
            [sys.executable, program, *words],
            env={**os.environ, 'PYTHONPATH': path, 'TMPDIR': str(self.prefix)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def exit_status(self, name: str, **arguments: str) -> int:
        """The exit status of `ros2 launch`."""
        return self.run(name, **arguments).returncode

    def refusal(self, name: str, **arguments: str) -> str:
        """The error of arguments with which nothing starts; it is one line."""
        done = self.run(name, **arguments)
        assert done.returncode == 1, done.stdout
        assert self.started() is None
        assert self.camera() is None
        assert 'Traceback' not in done.stdout
        (line,) = (x for x in done.stdout.splitlines() if 'Caught exception in launch' in x)
        return line.partition('launch: ')[2] or line

    def camera(self) -> tuple[dict[str, str], dict[str, str]] | None:
        """Launch configurations and environment of the camera's launch file; None: not run."""
        return self.record('camera.json')

    def started(self, name: str = 'sgnet_ros/segmentation_node') -> dict | None:
        """How it was started: words, files and content of --params-file; None: it was not."""
        return self.record(f'lib/{name}.json')

    def record(self, name: str) -> Any:
        path = self.prefix / name
        return json.loads(path.read_text()) if path.exists() else None

    def values_of(self, option: str, **name: str) -> list[str]:
        words = self.started(**name)['words']
        return [words[index + 1] for index, word in enumerate(words) if word == option]

    def remappings(self, **name: str) -> dict[str, str]:
        return dict(value.split(':=') for value in self.values_of('-r', **name))


@pytest.fixture
def robot(tmp_path, monkeypatch) -> Robot:
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    return Robot(tmp_path)


@pytest.fixture
def evaluating(robot, monkeypatch) -> Robot:
    """The evaluator waits for the node, and the node until it is interrupted."""
    monkeypatch.setenv('evaluate_bag', 'segmentation_node.json')
    monkeypatch.setenv('segmentation_node', 'never')
    return robot


def test_segmentation_leaves_everything_to_the_parameter_file(robot):
    robot.launch('segmentation.launch.py')
    assert robot.started()['files'] == [DEFAULTS]
    names = {'__node': 'segmentation', '__ns': '/'}
    assert robot.remappings() == names | {topic: topic for topic in INPUTS}
    assert robot.values_of('--log-level') == ['info']
    assert robot.camera() is None


def test_camera_selects_topics_and_parameters(robot):
    robot.launch('segmentation.launch.py', camera='oak_d', rgb_topic='/oak/image_rect')
    assert robot.started()['files'] == [DEFAULTS, str(CONFIG / 'oak_d.yaml')]
    remappings = robot.remappings()
    assert remappings['rgb/image'] == '/oak/image_rect'
    assert remappings['depth/image'] == '/oak/stereo/image_raw'
    assert remappings['depth/camera_info'] == '/oak/stereo/camera_info'
    assert robot.started('rviz2/rviz2') is None


def test_rviz_shows_outputs_in_a_namespace(robot):
    robot.launch('realsense.launch.py', rviz='true', namespace='/left', camera_name='d455')
    assert robot.values_of('-f', name='rviz2/rviz2') == ['d455_color_optical_frame']
    (file,) = robot.values_of('-d', name='rviz2/rviz2')
    shown = re.findall(r'Value: (/.*)', Path(file).read_text())
    assert '/segmentation/points' in shown
    assert robot.remappings(name='rviz2/rviz2') == {topic: f'/left{topic}' for topic in shown}


@pytest.mark.parametrize('section', ['/**', '/robot1/segmentation', '/*/segmentation'])
def test_params_file_layers_on_the_camera_and_arguments_on_both(robot, tmp_path, section):
    params_file = tmp_path / 'my.yaml'
    params_file.write_text(f'{section}: {{ros__parameters: {{device: cuda, precision: fp16}}}}')
    robot.launch(
        'segmentation.launch.py',
        camera='oak_d',
        params_file=str(params_file),
        namespace='robot1',
        rgb_topic='/kinect/rgb',
        log_level='debug',
        **{
            'checkpoint': 'x.safetensors',
            'device': '0',
            'use_sim_time': 'true',
            'sync.slop': '3e-2',
            'depth.max': '7',
            'points.stride': '2',
            'input_size': '[288, 384]',
        },
    )
    assert robot.started()['files'][:3] == [DEFAULTS, str(CONFIG / 'oak_d.yaml'), str(params_file)]
    (given,) = robot.started()['parameters'][3].values()
    expected = {
        'checkpoint': 'x.safetensors',
        'device': '0',
        'use_sim_time': True,
        'sync.slop': 0.03,
    }
    expected |= {'depth.max': 7.0, 'points.stride': 2, 'input_size': [288, 384]}
    assert given['ros__parameters'] == expected
    assert type(given['ros__parameters']['depth.max']) is float
    assert robot.remappings()['rgb/image'] == '/kinect/rgb'
    assert robot.remappings()['__ns'] == '/robot1'
    assert robot.values_of('--log-level') == ['debug']


@pytest.mark.parametrize('wrong', [{'precision': 'fp8'}, {'rviz': 'perhaps'}, {'camera': 'webcam'}])
def test_invalid_choice_starts_nothing(robot, wrong):
    assert robot.exit_status('segmentation.launch.py', **wrong) != 0
    assert robot.started() is None


REFUSALS = [
    ('segmentation', {'sync.slopp': '0.03'}, "unknown launch argument 'sync.slopp'", "'sync.slop'"),
    ('segmentation', {'sync_slop': '0.03'}, "'sync_slop'", "did you mean 'sync.slop'"),
    ('realsense', {'serial_nr': '7'}, "'serial_nr'", "did you mean 'serial_no'"),
    ('evaluate_bag', {'bag': 'b', 'job': 'x'}, "'job'", 'did you mean'),
    ('segmentation', {'fixed_frame': 'map'}, 'fixed_frame has no effect', 'rviz:=true'),
    ('realsense', {'camera': 'oak_d'}, 'camera has no effect without camera:=realsense'),
    ('realsense', {'launch_camera': 'false', 'serial_no': '7'}, 'serial_no', 'launch_camera:=true'),
    ('segmentation', {'rgb_topic': '/cam/rgb/'}, "rgb_topic: '/cam/rgb/' is not a valid name"),
    ('segmentation', {'namespace': 'my robot'}, "namespace: 'my robot' is not a valid name"),
    ('realsense', {'camera_namespace': '/robot'}, "'//robot/camera/color/image_raw'"),
    ('segmentation', {'depth.max': 'far'}, "depth.max must be float, got 'far'"),
    ('segmentation', {'points.stride': '1.5'}, "points.stride must be int, got '1.5'"),
    ('segmentation', {'input_size': '[288, x]'}, 'input_size must be a list'),
    ('segmentation', {'params_file': '/no/my.yaml'}, '/no/my.yaml', 'No such file'),
    ('realsense', {'params_file': '/no/my.yaml'}, '/no/my.yaml', 'No such file'),
]


@pytest.mark.parametrize(('name', 'arguments', 'texts'), [(n, a, t) for n, a, *t in REFUSALS])
def test_arguments_without_effect_are_refused(robot, name, arguments, texts):
    error = robot.refusal(f'{name}.launch.py', **arguments)
    assert all(text in error for text in texts), error


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('a: [1,', 'not YAML'),
        ('', 'no ros__parameters'),
        ('device: cpu', 'no ros__parameters'),
        ('other: {ros__parameters: {device: cpu}}', 'for /other, not for /left/segmentation'),
        ('/segmentation: {ros__parameters: {device: cpu}}', 'not for /left/segmentation'),
        ('left: {other: {ros__parameters: {}}}', 'for /left/other, not for'),
    ],
)
def test_params_file_without_parameters_of_the_node_is_refused(robot, tmp_path, text, words):
    (tmp_path / 'my.yaml').write_text(text)
    arguments = {'namespace': 'left', 'params_file': str(tmp_path / 'my.yaml')}
    error = robot.refusal('segmentation.launch.py', **arguments)
    assert 'my.yaml' in error
    assert words in error


@pytest.mark.parametrize(('pattern', 'applies'), [('.*', True), ('seg', True), ('rviz', False)])
def test_launch_prefix_applies_to_the_node(robot, pattern, applies):
    options = {'launch-prefix': 'env PREFIXED=yes', 'launch-prefix-filter': pattern}
    robot.launch('segmentation.launch.py', **options)
    assert (robot.started()['prefixed'] == 'yes') is applies


@pytest.mark.parametrize(
    ('name', 'package', 'arguments'),
    [
        ('segmentation', 'rviz2', {'rviz': 'true'}),
        ('realsense', 'rviz2', {'rviz': 'true'}),
        ('realsense', 'realsense2_camera', {}),
    ],
)
def test_missing_package_is_named_and_starts_nothing(robot, monkeypatch, name, package, arguments):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    (robot.prefix / 'share/ament_index/resource_index/packages' / package).unlink()
    error = robot.refusal(f'{name}.launch.py', **arguments)
    assert f'sudo apt install ros-jazzy-{package.replace("_", "-")}' in error


def test_failure_after_the_start_leaves_no_process(robot, monkeypatch):
    """launch forgets processes that an earlier action of the failed description has started."""
    monkeypatch.setenv('segmentation_node', 'never')
    pid = robot.prefix / 'lib/sgnet_ros/pid'
    script = f'#!/bin/sh\necho $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 60\n'
    robot.write('lib/sgnet_ros/segmentation_node', script).chmod(0o755)
    wait = (
        f'import time, pathlib\nwhile not pathlib.Path({str(pid)!r}).exists(): time.sleep(0.01)\n'
    )
    # Real launch has not started the process yet when the camera fails.
    wait = '' if importlib.util.find_spec('launch_ros') else wait
    robot.write('share/realsense2_camera/launch/rs_launch.py', f'{wait}raise OSError("broken")\n')
    assert robot.exit_status('realsense.launch.py') == 1
    deadline = time.monotonic() + 30
    while pid.exists() and Path('/proc', pid.read_text().strip()).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_realsense_starts_the_camera_with_its_own_configuration_only(robot):
    robot.launch(
        'realsense.launch.py',
        serial_no='831612073525',
        color_profile='848x480x30',
        device='cpu',
        log_level='debug',
    )
    configurations, environment = robot.camera()
    assert configurations == {
        'camera_namespace': 'camera',
        'camera_name': 'camera',
        'serial_no': "'831612073525'",
        'rgb_camera.color_profile': '848x480x30',
        'depth_module.depth_profile': '640x480x30',
        'enable_color': 'true',
        'enable_depth': 'true',
        'enable_sync': 'true',
        'align_depth.enable': 'true',
        'log_level': 'info',
    }
    assert robot.values_of('--log-level') == ['debug'], 'the level of the node, not of the camera'
    assert large_image_profile(os.environ).items() <= environment.items()
    assert robot.started()['files'][:2] == [DEFAULTS, str(CONFIG / 'realsense.yaml')]
    remappings = robot.remappings()
    assert remappings['rgb/image'] == '/camera/camera/color/image_raw'
    assert remappings['depth/image'] == '/camera/camera/aligned_depth_to_color/image_raw'
    assert remappings['rgb/camera_info'] == '/camera/camera/color/camera_info'
    assert remappings['depth/camera_info'] == '/camera/camera/depth/camera_info'
    given = [values for file in robot.started()['parameters'] for values in file.values()]
    assert {'ros__parameters': {'device': 'cpu'}} in given


def test_realsense_topics_follow_the_camera_name(robot):
    robot.launch(
        'realsense.launch.py',
        launch_camera='false',
        camera_namespace='robot1',
        camera_name='d455',
        depth_topic='/registered/depth',
    )
    assert robot.camera() is None
    assert robot.remappings()['rgb/image'] == '/robot1/d455/color/image_raw'
    assert robot.remappings()['depth/image'] == '/registered/depth'


def evaluator_words(robot) -> list[str]:
    """The arguments of the evaluator, without what launch adds for ROS."""
    words = robot.started('sgnet_ros/evaluate_bag')['words']
    return words[: words.index('--ros-args')] if '--ros-args' in words else words


def test_evaluate_bag_passes_the_topics_of_the_bag(evaluating):
    evaluating.launch('evaluate_bag.launch.py', bag='/my/bag', out='report', device='cpu')
    words = evaluator_words(evaluating)
    assert words[:4] == ['/my/bag', '--live', '--node', '/segmentation']
    assert '--lossless' not in words
    assert words[-2:] == ['--out', 'report']
    remappings = evaluating.remappings()
    for option, topic in (('--rgb-topic', 'rgb/image'), ('--depth-topic', 'depth/image')):
        assert words[words.index(option) + 1] == remappings[topic]
    (given,) = evaluating.started()['parameters'][-1].values()
    assert given['ros__parameters'] == {'qos.input': 'reliable', 'device': 'cpu'}


def test_evaluate_bag_is_lossless_with_namespace_and_compression(evaluating):
    arguments = {'queue.policy': 'all', 'qos.input': 'auto', 'image_transport': 'compressed'}
    arguments |= {'namespace': '/left', 'rgb_topic': '/cam'}
    evaluating.launch('evaluate_bag.launch.py', bag='bag', **arguments)
    words = evaluator_words(evaluating)
    assert words[3] == '/left/segmentation'
    assert '--lossless' in words
    assert [w for before, w in pairwise(words) if before == '--rgb-topic'][-1] == '/cam/compressed'
    assert evaluating.remappings()['rgb/image'] == '/cam'
    (given,) = evaluating.started()['parameters'][-1].values()
    assert given['ros__parameters']['qos.input'] == 'auto'


@pytest.mark.parametrize('status', [0, 1, 2])
def test_evaluate_bag_returns_the_exit_status_of_the_evaluator(evaluating, monkeypatch, status):
    monkeypatch.setenv('STATUS_OF_evaluate_bag', str(status))
    assert evaluating.exit_status('evaluate_bag.launch.py', bag='bag') == status
    assert (evaluating.prefix / 'lib/sgnet_ros/segmentation_node.interrupted').exists()


def test_evaluate_bag_pairs_like_the_node(evaluating):
    arguments = {'sync.slop': '0.03', 'sync.mode': 'approximate', 'camera.fx': '500'}
    arguments |= {'camera.fy': '501', 'camera.cx': '320', 'camera.cy': '240'}
    evaluating.launch('evaluate_bag.launch.py', bag='bag', **arguments)
    words = evaluator_words(evaluating)
    for option, value in (('--sync-slop', '0.03'), ('--camera', '500,501,320,240')):
        assert words[words.index(option) + 1] == value
    assert words[words.index('--sync-mode') + 1] == 'approximate'


def test_evaluate_bag_ends_with_the_node(robot, monkeypatch):
    monkeypatch.setenv('evaluate_bag', 'never')
    script = '#!/bin/sh\nwhile [ ! -e "${0%/*}/evaluate_bag.json" ]; do sleep 0.05; done; exit 2\n'
    robot.write('lib/sgnet_ros/segmentation_node', script).chmod(0o755)
    robot.exit_status('evaluate_bag.launch.py', bag='bag')
    assert (robot.prefix / 'lib/sgnet_ros/evaluate_bag.interrupted').exists()


def test_evaluator_accepts_all_launch_options(evaluating):
    """Every option of the launch file is one of the command's."""
    from sgnet_ros.cli.evaluate_bag import add_arguments

    values = ('labels', 'labels_topic', 'label_names_topic', 'remap', 'write_bag', 'out', 'json')
    evaluating.launch('evaluate_bag.launch.py', bag='bag', rate='2', **dict.fromkeys(values, 'x'))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(evaluator_words(evaluating))
    assert args.live
    assert args.rate == 2.0
    assert str(args.write_bag) == args.json == args.labels_topic == 'x'


def test_every_node_parameter_is_an_argument_with_its_choices():
    """Without ROS in launch, the table of the node is read from config/segmentation.yaml."""
    declared = pytest.importorskip('sgnet_ros.parameters').NODE_PARAMETERS
    source = ast.parse((REPOSITORY / 'launch/segmentation.launch.py').read_text())
    tables = [item for item in source.body if isinstance(item, ast.Assign)]
    (table,) = (item.value for item in tables if ast.unparse(item.targets[0]) == 'CHOICES')
    choices = ast.literal_eval(table)
    assert choices.pop('use_sim_time') == ['true', 'false']
    known = {item.name: item for item in declared}
    assert node_defaults(Path(DEFAULTS)) == {name: item.default for name, item in known.items()}
    assert {name: list(known[name].choices) for name in choices} == choices


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """(name of the function, call) for each call in a launch file."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(getattr(call.func, 'id', getattr(call.func, 'attr', '')), call) for call in found]


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=lambda path: path.name)
def test_source_describes_arguments(path):
    needed = {'DeclareLaunchArgument': 'description', 'ParameterValue': 'value_type'}
    seen = []
    for name, call in calls(path):
        assert name not in ('eval', 'exec', 'ExecuteProcess', 'system', 'run', 'Popen')
        if name in needed:
            assert needed[name] in [keyword.arg for keyword in call.keywords], f'line {call.lineno}'
            seen.append(name)
    assert 'DeclareLaunchArgument' in seen


def test_camera_is_included_in_its_own_scope():
    source = calls(REPOSITORY / 'launch/realsense.launch.py')
    (group,) = (call for name, call in source if name == 'GroupAction')
    options = {keyword.arg: keyword.value for keyword in group.keywords}
    assert ast.literal_eval(options['scoped']) is True
    assert ast.literal_eval(options['forwarding']) is False
