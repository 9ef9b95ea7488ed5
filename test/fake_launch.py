# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch FILE NAME:=VALUE ...`, with stand-ins where `launch` and `launch_ros` are missing.

PyPI has neither. The stand-ins have what the launch files of this repository use, and start real
processes. An error ends the program like launch: it stops to visit actions, and does not end the
processes that have started.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory


class LaunchConfiguration:
    def __init__(self, name):
        self.perform = lambda context: context.launch_configurations[name]


class PathJoinSubstitution:
    def __init__(self, parts):
        self.perform = lambda context: '/'.join(text(part, context) for part in parts)


class FindPackageShare:
    def __init__(self, package):
        self.perform = lambda context: get_package_share_directory(package)


def text(value, context):
    """A string, a substitution or a list of them as a string."""
    if isinstance(value, (list, tuple)):
        return ''.join(text(part, context) for part in value)
    return value.perform(context) if hasattr(value, 'perform') else str(value)


class LaunchContext:
    def __init__(self):
        self.launch_configurations, self.environment = {}, dict(os.environ)
        self.handlers, self.processes, self._globals = [], [], {}

    def extend_globals(self, values):
        self._globals |= values

    def get_locals_as_dict(self):
        return self._globals

    def emit(self, kind, action, event):
        for handler in [h for h in self.handlers if type(h) is kind and h.matches(action)]:
            if callable(handler.then):
                handler.then(event, self)
            else:
                visit([handler.then], self)


class Action:
    def __init__(self, *args, condition=None, **options):
        self.args, self.condition, self.options = args, condition, options
        for name, value in options.items():
            setattr(self, name, value)


class IfCondition:
    def __init__(self, value):
        self.holds = lambda context: text(value, context) == 'true'


class LaunchDescription(Action):
    def execute(self, context):
        return self.args[0]

    def get_launch_arguments(self):
        found = []
        for action in self.args[0]:
            found += [SimpleNamespace(name=action.args[0])] if hasattr(action, 'choices') else []
            if isinstance(action, IncludeLaunchDescription):
                found += action.args[0].load(None).get_launch_arguments()
        return found


class DeclareLaunchArgument(Action):
    def __init__(self, name, default_value=None, description='', choices=None):
        super().__init__(name, default_value=default_value, choices=choices)

    def execute(self, context):
        (name,), given = self.args, context.launch_configurations
        if self.default_value is None and name not in given:
            raise RuntimeError(f'missing required argument {name}')
        given.setdefault(name, text(self.default_value, context))
        if self.choices and given[name] not in self.choices:
            raise RuntimeError(f'{name} must be one of {self.choices}')


class PythonLaunchDescriptionSource:
    def __init__(self, path):
        self.path = path

    def load(self, context):
        spec = importlib.util.spec_from_file_location('launch_file', text(self.path, context))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.generate_launch_description()


class IncludeLaunchDescription(Action):
    def execute(self, context):
        for name, value in self.options.get('launch_arguments', ()):
            context.launch_configurations[name] = text(value, context)
        return [self.args[0].load(context)]


class GroupAction(Action):
    """Scoped and not forwarding."""

    def execute(self, context):
        before = context.launch_configurations, context.environment
        values = {n: text(v, context) for n, v in self.launch_configurations.items()}
        context.launch_configurations, context.environment = values, dict(before[1])
        visit(self.args[0], context)
        context.launch_configurations, context.environment = before


class SetEnvironmentVariable(Action):
    def execute(self, context):
        context.environment[self.args[0]] = self.args[1]


class OpaqueFunction(Action):
    def execute(self, context):
        return self.function(context, *self.options.get('args', ()))


class OnProcessStart:
    def __init__(self, *, target_action=None, on_start=None, on_exit=None):
        self.matches = target_action or (lambda action: True)
        self.then = on_start or on_exit


class OnProcessExit(OnProcessStart):
    pass


class RegisterEventHandler(Action):
    def execute(self, context):
        context.handlers.append(self.args[0])


class Shutdown(Action):
    def execute(self, context):
        for node in context.processes:
            node.process.send_signal(2)


class ParameterValue:
    def __init__(self, value, value_type):
        self.value = value


class Node(Action):
    def execute(self, context):
        get = self.options.get
        folder = Path(get_package_prefix(self.package), 'lib', self.package)
        words = [*shlex.split(get('prefix', '')), str(folder / self.executable)]
        words += [text(word, context) for word in get('arguments', ())]
        words += ['--ros-args', *(text(word, context) for word in get('ros_arguments', ()))]
        if 'name' in self.options:
            names = (f'__node:={self.name}', f'__ns:=/{text(self.namespace, context).strip("/")}')
            words += [word for name in names for word in ('-r', name)]
        for item in get('parameters', ()):
            words += ['--params-file', item if isinstance(item, str) else self.written(item)]
        for old, new in get('remappings', ()):
            words += ['-r', f'{old}:={text(new, context)}']
        self.process = subprocess.Popen(words, env=context.environment)
        self.process_details = {'name': f'{self.exec_name}-1'}
        context.processes.append(self)
        context.emit(OnProcessStart, self, None)

    def written(self, parameters):
        values = {n: getattr(v, 'value', v) for n, v in parameters.items()}
        with tempfile.NamedTemporaryFile('w', delete=False) as file:
            yaml.dump({f'/{self.name}': {'ros__parameters': values}}, file)
        return file.name


def visit(actions, context):
    for action in actions:
        if action.condition is None or action.condition.holds(context):
            visit(action.execute(context) or [], context)


class LaunchService:
    def __init__(self, argv):
        self.context = LaunchContext()

    def include_launch_description(self, description):
        self.description = description

    def run(self):
        try:
            visit([self.description], self.context)
        except Exception as error:
            print(f'[ERROR] [launch]: Caught exception in launch: {error}', file=sys.stderr)
            return 1
        context, ended = self.context, threading.Condition()
        done = []

        def wait(node):
            node.process.wait()
            with ended:
                done.append(node)
                ended.notify()

        for node in context.processes:
            threading.Thread(target=wait, args=[node], daemon=True).start()
        while context.processes:
            with ended:
                ended.wait_for(lambda: done)
            node = done.pop(0)
            context.processes.remove(node)
            names = {'process_name': f'{node.exec_name}-1', 'returncode': node.process.returncode}
            context.emit(OnProcessExit, node, SimpleNamespace(**names))
            visit(node.options.get('on_exit', ()), context)
        return 0


def install():
    """Put the stand-ins in the place of the packages."""
    own = {name: value for name, value in globals().items() if isinstance(value, type)}
    modules = ['actions', 'conditions', 'event_handlers', 'substitutions']
    modules += ['launch_description_sources']
    names = ['launch', *(f'launch.{module}' for module in modules), 'launch_ros']
    names += [f'launch_ros.{m}' for m in ('actions', 'parameter_descriptions', 'substitutions')]
    for name in names:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(own, Event=object)


def main():
    if importlib.util.find_spec('launch_ros') is None:
        install()
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    path, *words = sys.argv[1:]
    arguments = [tuple(word.split(':=', 1)) for word in words]
    source = PythonLaunchDescriptionSource(path)
    service = LaunchService(argv=words)
    included = IncludeLaunchDescription(source, launch_arguments=arguments)
    service.include_launch_description(LaunchDescription([included]))
    sys.exit(service.run())


if __name__ == '__main__':
    main()
