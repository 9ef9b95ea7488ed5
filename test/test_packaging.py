# SPDX-License-Identifier: Apache-2.0
"""The package built by colcon (both ways) and by pip from a copy, sourced, and run."""

import ast
import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

import sgnet_core.__main__
import sgnet_ros.__main__

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = {
    'sgnet_core': sgnet_core.__main__.COMMANDS,
    'sgnet_ros': sgnet_ros.__main__.COMMANDS,
}
INSTALLED_SOURCES = (
    *('LICENSE', 'README.md', 'package.xml', 'pyproject.toml', 'setup.cfg', 'setup.py'),
    *('config', 'launch', 'resource', 'sgnet_core', 'sgnet_ros'),
)
HEAVY = {'torch', 'cv2', 'rclpy'}
ROS_VARIABLES = ('AMENT_', 'COLCON_', 'PYTHONPATH', 'PYTHONDONTWRITEBYTECODE', '_ROS_WHEELS_')
ROS = re.compile(
    r'rclpy|launch|launch_ros|ament_index_python|cv_bridge|message_filters|sensor_msgs_py|tf2_ros'
    r'|\w+_(msgs|interfaces|srvs)'
)
PACKAGE_OF = {'tf2_ros': 'tf2_ros_py'}
LOOKED_FOR_BY = ('_choose', '_optional', 'pytest.importorskip')


def run(*command: object, **options) -> subprocess.CompletedProcess:
    options = {'cwd': REPOSITORY, **options}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def run_to_success(*command: object, **options) -> subprocess.CompletedProcess:
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class Installation:
    """An installed package, and the environment after sourcing it."""

    prefix: Path
    environment: dict[str, str]

    def run(self, *command: object) -> str:
        """Run outside the checkout, so that its packages are not found; the standard output."""
        return run_to_success(*command, env=self.environment, cwd=self.prefix).stdout


def clean_environment() -> dict[str, str]:
    """This environment without the variables of ROS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ROS_VARIABLES)}
    kept['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), kept['PATH']])
    return kept


def copy_sources(destination: Path) -> Path:
    ignored = shutil.ignore_patterns('__pycache__', '*.egg-info')
    destination.mkdir(parents=True)
    for name in INSTALLED_SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, destination / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, destination)
    return destination


def build_with_colcon(folder: Path, *options: str) -> Installation:
    colcon = Path(sys.executable).parent / 'colcon'
    if not colcon.exists():
        pytest.skip(f'no colcon beside {sys.executable}; the extra "test" of setup.cfg has it')
    copy_sources(folder / 'src' / 'sgnet_ros')
    environment = clean_environment()
    built = run_to_success(colcon, 'build', *options, cwd=folder, env=environment)
    # colcon warns if it had to install the marker or the manifest itself.
    assert 'explicitly' not in built.stdout + built.stderr
    command = ['bash', '-c', '. install/setup.bash && env -0']
    sourced = run(*command, cwd=folder, env=environment).stdout
    variables = dict(line.split('=', 1) for line in sourced.split('\0') if line)
    return Installation(folder / 'install' / 'sgnet_ros', variables)


def install_with_pip(folder: Path) -> Installation:
    sources = copy_sources(folder / 'sources')
    prefix = folder / 'prefix'
    pip = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-build-isolation']
    pip += ['--ignore-installed', '--prefix', prefix, sources]
    environment = clean_environment()
    run_to_success(*pip, cwd=folder, env=environment)
    purelib = sysconfig.get_path('purelib', vars={'base': str(prefix)})
    sourced = {'AMENT_PREFIX_PATH': str(prefix), 'PYTHONPATH': purelib}
    return Installation(prefix, environment | sourced)


@pytest.fixture(scope='module', params=['colcon', 'colcon --symlink-install', 'pip'])
def installation(request, tmp_path_factory) -> Installation:
    folder = tmp_path_factory.mktemp('packaging')
    if request.param == 'pip':
        return install_with_pip(folder)
    return build_with_colcon(folder, *request.param.split()[1:])


@pytest.mark.parametrize('package', COMMANDS)
def test_ament_index_has_both_names(installation, package, monkeypatch):
    packages = pytest.importorskip('ament_index_python.packages')
    monkeypatch.setenv('AMENT_PREFIX_PATH', installation.environment['AMENT_PREFIX_PATH'])
    assert Path(packages.get_package_prefix(package)) == installation.prefix
    share = Path(packages.get_package_share_directory(package))
    assert '<name>sgnet_ros</name>' in (share / 'package.xml').read_text()


@pytest.mark.parametrize('package', COMMANDS)
def test_ros2_run_finds_exactly_the_commands(installation, package):
    # The rule of ros2run.api.get_executable_paths.
    found = [
        Path(root, name)
        for root, _, names in os.walk(installation.prefix / 'lib' / package)
        for name in names
        if os.access(Path(root, name), os.X_OK)
    ]
    assert sorted(path.name for path in found) == sorted(COMMANDS[package])
    for path in found:
        # Not the interpreter of the build, which a virtual environment would hide.
        assert path.read_text().splitlines()[0] == '#!/usr/bin/env python3'


@pytest.mark.parametrize('package', COMMANDS)
def test_every_command_answers_help(installation, package):
    for name in COMMANDS[package]:
        text = installation.run(installation.prefix / 'lib' / package / name, '--help')
        assert text.startswith(f'usage: {name} ')


def test_sgnet_has_all_commands(installation):
    sgnet = installation.prefix / 'bin' / 'sgnet'
    listed = re.findall(r'^  (\w+)  ', installation.run(sgnet, '--help'), re.MULTILINE)
    assert [*COMMANDS['sgnet_core'], *COMMANDS['sgnet_ros']] == listed[1:]
    assert installation.run(sgnet, 'info', '--help').startswith('usage: info ')
    assert installation.run(sgnet, '--version') == f'sgnet_ros {sgnet_core.__version__}\n'
    in_environment = sgnet.read_text().startswith(f'#!{sys.executable}')
    assert in_environment == (installation.prefix.name == 'prefix')


def test_metadata_contain_the_readme(installation):
    found = [*installation.prefix.rglob('METADATA'), *installation.prefix.rglob('PKG-INFO')]
    if not found:
        pytest.skip('a symlink install keeps its metadata in the build folder')
    text = found[0].read_text()
    assert 'Description-Content-Type: text/markdown' in text
    assert 'Classifier: Typing :: Typed' in text
    assert (REPOSITORY / 'README.md').read_text().splitlines()[0] in text


def test_modules_and_data_are_installed(installation):
    for folder in ('launch', 'config'):
        here = {path.name for path in (REPOSITORY / folder).iterdir() if path.is_file()}
        there = {path.name for path in (installation.prefix / 'share/sgnet_ros' / folder).glob('*')}
        assert here <= there
    code = 'import sgnet_core, sgnet_ros; print(sgnet_core.__file__, sgnet_ros.__file__)'
    files = installation.run(sys.executable, '-c', code).split()
    (root,) = {Path(file).parents[1] for file in files}
    workspace = installation.prefix.parent
    assert root.is_relative_to(workspace.parent if workspace.name == 'install' else workspace)
    patterns = 'sgnet_core/checkpoints/*.safetensors', 'sgnet_*/py.typed', 'sgnet_core/report/t*/*'
    here, there = (
        {str(path.relative_to(base)) for pattern in patterns for path in base.glob(pattern)}
        for base in (REPOSITORY, root)
    )
    assert here == there
    checkpoint, page = 'checkpoints/sgnet_lite2_nyu40.safetensors', 'report/templates/page.html.j2'
    assert {f'sgnet_core/{checkpoint}', f'sgnet_core/{page}', 'sgnet_ros/py.typed'} <= there


@pytest.mark.parametrize('package', COMMANDS)
def test_table_lists_the_modules(package):
    modules = (REPOSITORY / package / 'cli').glob('[!_]*.py')
    shared = {'runner', 'options'}
    assert set(COMMANDS[package]) == {path.stem for path in modules} - shared
    assert all(COMMANDS[package].values())


@pytest.mark.parametrize('package', COMMANDS)
def test_help_loads_nothing_heavy(package):
    code = f"""
import contextlib, io, sys
from sgnet_core.cli.runner import run_command
for name in {sorted(COMMANDS[package])}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        run_command({package!r}, name, ['--help'])
    if found := {HEAVY} & sys.modules.keys():
        sys.exit(f'{{name}} --help imports {{found}}')
"""
    run_to_success(sys.executable, '-c', code)


@pytest.mark.parametrize('command', ['segmentation_node', 'play_bag bag'])
def test_missing_ros_is_one_line_with_a_remedy(command):
    code = f"""
import sys
sys.modules['rclpy'] = None
from sgnet_ros.__main__ import sgnet
sys.argv = ['sgnet', *{command.split()}]
sys.exit(sgnet())
"""
    done = run(sys.executable, '-c', code)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert 'rclpy' in line
    assert 'extra standalone' in line


@pytest.mark.parametrize('package', COMMANDS)
@pytest.mark.parametrize('arguments', [['segment_everything'], []])
def test_unknown_command_is_wrong_usage(package, arguments):
    done = run(sys.executable, '-m', package, *arguments)
    assert (done.returncode, done.stdout) == (2, '')
    assert (arguments or ['COMMAND'])[0] in done.stderr


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13', '3.14'])
def test_constraints_pin_every_requirement(python):
    requirements = pytest.importorskip('packaging.requirements')
    utils = pytest.importorskip('packaging.utils')

    def valid(lines):
        for line in lines:
            requirement = requirements.Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({'python_version': python}):
                yield utils.canonicalize_name(requirement.name), requirement.specifier

    pins = {}
    lines = (REPOSITORY / 'constraints.txt').read_text().splitlines()
    for name, (exact,) in valid(line for line in lines if not line.startswith('#')):
        assert exact.operator == '=='
        assert pins.setdefault(name, exact.version) == exact.version
    options = configparser.ConfigParser()
    options.read(REPOSITORY / 'setup.cfg')
    sections = [options['options']['install_requires'], *options['options.extras_require'].values()]
    wanted = list(valid(filter(None, '\n'.join(sections).splitlines())))
    assert len(wanted) > 20
    for name, specifier in wanted:
        assert specifier.contains(pins[name])


def installed_by(text: str) -> tuple[set[str], set[str]]:
    """Packages of `apt install` and requirements of `pip install` in a text."""
    apt, pip = set(), set()
    for command, words in re.findall(
        r'(apt(?:-get)?|pip) install ((?:[^\n]|\\\n)*?)(?: \\)?\n', text
    ):
        names = {word for word in shlex.split(words) if not word.startswith(('-', '$'))}
        (apt if command.startswith('apt') else pip).update(names)
    return apt, pip


def test_dockerfile_installs_what_the_installation_page_says():
    dockerfile = (REPOSITORY / 'Dockerfile').read_text()
    page = (REPOSITORY / 'docs' / 'installation.md').read_text()
    readme = (REPOSITORY / 'README.md').read_text()
    block, readme_block = (
        re.search(r'```sh robot\n(\. /opt/ros.*?)```', text, re.DOTALL)[1]
        for text in (page, readme)
    )
    apt, pip = installed_by(dockerfile)
    assert 'torch' in pip and 'python3-venv' in apt
    assert (apt, pip) == installed_by(block)
    camera = 'ros-$ROS_DISTRO-realsense2-camera'
    assert (apt | {camera}, pip) == installed_by(readme_block)
    (numpy,) = set(re.findall(r"NUMPY='(.*?)'", dockerfile)) & set(
        re.findall(r"NUMPY='(.*?)'", block)
    )
    assert numpy == 'numpy>=1.26,<2'
    requirements = (REPOSITORY / 'setup.cfg').read_text()
    for requirement in pip - {'torch', 'jinja2'}:
        assert requirement.partition('>')[0].partition('<')[0] in requirements


def test_container_files_name_what_exists():
    dockerfile = (REPOSITORY / 'Dockerfile').read_text()
    stages = re.findall(r'^FROM (\S+) AS (\w+)', dockerfile, re.MULTILINE)
    names = [name for _, name in stages]
    assert {source for source, _ in stages[1:]} <= set(names)
    assert set(re.findall(r'--from=(\w+)', dockerfile)) <= set(names)
    build = json.loads((REPOSITORY / '.devcontainer/devcontainer.json').read_text())['build']
    assert (REPOSITORY / '.devcontainer' / build['dockerfile']).resolve().name == 'Dockerfile'
    assert build['target'] in names
    assert '.git' in (REPOSITORY / '.dockerignore').read_text().splitlines()


def test_hadolint_accepts_the_dockerfile():
    hadolint = shutil.which('hadolint', path=clean_environment()['PATH'])
    if hadolint is None:
        pytest.skip('no hadolint; the extra "test" of setup.cfg has it')
    run_to_success(hadolint, 'Dockerfile')


def imported_ros_packages(folder: str) -> set[str]:
    """ROS packages that Python files in `folder` import, or that ros_api.py looks for."""
    found = set()
    for path in (REPOSITORY / folder).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in LOOKED_FOR_BY:
                found.add(node.args[0].value)
    packages = {name.partition('.')[0] for name in found}
    return {PACKAGE_OF.get(name, name) for name in packages if ROS.fullmatch(name)}


def test_manifest_lists_exactly_the_imported_packages():
    # colcon silently treats a package with an invalid manifest as plain Python.
    package = pytest.importorskip('catkin_pkg.package')
    warnings = []
    manifest = package.parse_package(str(REPOSITORY / 'package.xml'), warnings=warnings)
    manifest.validate(warnings=warnings)
    assert warnings == []
    runtime, tests = (
        {item.name for item in items if not item.name.startswith('python3-')}
        for items in (manifest.exec_depends, manifest.test_depends)
    )
    # rclpy's lifecycle nodes speak lifecycle_msgs; `ros2 launch` is a command; and with
    # sensor_msgs_py users read ~/points as docs/integrations.md shows.
    used = {'lifecycle_msgs', 'ros2launch', 'sensor_msgs_py'}
    used |= imported_ros_packages('sgnet_ros') | imported_ros_packages('launch')
    assert 'tf2_ros_py' in used
    # Optional, and not known to rosdep.
    used -= {'elevation_map_msgs', 'semantic_inference_msgs'}
    assert runtime == used
    assert tests == imported_ros_packages('test') - used
