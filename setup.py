# SPDX-License-Identifier: Apache-2.0
"""Installs one package that the ament index knows under two names, sgnet_ros and sgnet_core.

Each name gets its marker, its package.xml and its executables, so that both
`ros2 launch sgnet_ros ...` and `ros2 run sgnet_core train` resolve. Name, version, licence and
maintainer are package.xml's; the executables are the rows of the `COMMANDS` tables.

The executables are written straight into `<prefix>/lib/<name>/` by a command of our own, because
what setuptools offers does not fit: entry points know one script folder, pip puts them into
`bin/` (where `train` and `info` do not belong), and both write the interpreter of the build into
the first line, which breaks virtual environments. Only `sgnet`, all commands under one name, is an
entry point: pip writes it for its own environment, and a build by colcon gets another first line
here. `install` covers `colcon build` and pip,
`develop` covers `colcon build --symlink-install`.
"""

import ast
from pathlib import Path
from xml.etree import ElementTree

from setuptools import Command, setup
from setuptools.command.develop import develop
from setuptools.command.install import install

PACKAGES = ('sgnet_core', 'sgnet_ros')

EXECUTABLE = """\
#!/usr/bin/env python3
# Written by setup.py from the command table of {package}.
import sys

from sgnet_core.cli.runner import run_command

# Processes that the command starts import this file, too.
if __name__ == '__main__':
    sys.exit(run_command('{package}', '{command}'))
"""


def commands_of(package):
    """Names in `<package>/__main__.py`'s COMMANDS, read without importing anything."""
    source = Path(package, '__main__.py').read_text(encoding='utf-8')
    for statement in ast.parse(source).body:
        targets = getattr(statement, 'targets', [getattr(statement, 'target', None)])
        if any(getattr(target, 'id', None) == 'COMMANDS' for target in targets):
            return sorted(ast.literal_eval(statement.value))
    raise SystemExit(f'{package}/__main__.py has no table called COMMANDS')


class InstallExecutables(Command):
    """Writes `<prefix>/lib/<package>/<command>`, where `ros2 run` looks."""

    description = 'write the executables of ros2 run'
    user_options = []

    def initialize_options(self):
        self.install_dir = None
        self.outputs = []

    def finalize_options(self):
        self.set_undefined_options('install', ('install_data', 'install_dir'))

    def run(self):
        for package in PACKAGES:
            folder = Path(self.install_dir, 'lib', package)
            folder.mkdir(parents=True, exist_ok=True)
            for command in commands_of(package):
                path = folder / command
                path.write_text(
                    EXECUTABLE.format(package=package, command=command), encoding='utf-8'
                )
                path.chmod(0o755)
                self.outputs.append(str(path))
        sgnet = Path(self.install_dir, 'bin', 'sgnet')
        if sgnet.exists():
            lines = sgnet.read_text(encoding='utf-8').splitlines(keepends=True)
            sgnet.write_text(''.join(['#!/usr/bin/env python3\n', *lines[1:]]), encoding='utf-8')

    def get_outputs(self):
        return self.outputs


class InstallWithExecutables(install):
    sub_commands = [*install.sub_commands, ('install_executables', None)]


class DevelopWithExecutables(develop):
    def run(self):
        super().run()
        # `develop --uninstall` is how colcon leaves a symlink install; later versions of
        # setuptools have no such option (and no symlink install).
        if not getattr(self, 'uninstall', False):
            self.run_command('install_executables')


def data_files():
    """(folder under the prefix, files) of everything that is not Python."""
    listed = []
    # colcon remembers one destination per source and warns unless that of package.xml is the
    # share folder of the package's own name: it comes last.
    for package in PACKAGES:
        listed += [
            ('share/ament_index/resource_index/packages', [f'resource/{package}']),
            (f'share/{package}', ['package.xml']),
        ]
    for folder in ('launch', 'config'):
        files = sorted(str(path) for path in Path(folder).glob('*.*'))
        if files:
            listed.append((f'share/sgnet_ros/{folder}', files))
    return listed


manifest = ElementTree.parse('package.xml').getroot()

setup(
    name=manifest.findtext('name'),
    version=manifest.findtext('version'),
    description=' '.join(manifest.findtext('description').split()),
    maintainer=manifest.findtext('maintainer'),
    maintainer_email=manifest.find('maintainer').get('email'),
    license=manifest.findtext('license'),
    # In setup.cfg it would become an object that colcon-python-setup-py cannot read back.
    python_requires='>=3.10',
    data_files=data_files(),
    cmdclass={
        'install': InstallWithExecutables,
        'develop': DevelopWithExecutables,
        'install_executables': InstallExecutables,
    },
)
