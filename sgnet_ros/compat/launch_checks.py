# SPDX-License-Identifier: Apache-2.0
"""What the launch files check before they start a process. Imports no package of ROS.

A failure of launch must not leave processes behind, and launch reports some mistakes as warnings
or not at all.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sgnet_core.errors import ConfigError, InputError
from sgnet_core.io.text_files import parse_yaml, read_yaml
from sgnet_ros.compat.distributions import apt_package
from sgnet_ros.compat.signals import ended_with_parent

OWN_LAUNCH_FILES = ('segmentation.launch.py', 'realsense.launch.py', 'evaluate_bag.launch.py')
OPTIONS_OF_LAUNCH = ('launch-prefix', 'launch-prefix-filter')
"""Launch configurations that `ros2 launch` sets for its options."""
SIMILARITY = 0.8
LAUNCH_FILE = re.compile(r'(?!.*:=).*launch\.(py|xml|ya?ml)')
NAME = re.compile(r'(~/|/)?[a-zA-Z_{]\w*}?(/[a-zA-Z_{]\w*}?)*|/?')
CHECKED = 'sgnet_ros_arguments_checked'


def check_arguments(
    context: Any, known: Collection[str], needs: Mapping[str, tuple[str, str]]
) -> None:
    """Refuse launch arguments that have no effect, with the nearest name.

    A launch file of another package may set configurations of its own before it includes this one.
    Those are not mistakes.

    Args:
        context: a `launch.LaunchContext`.
        known: all arguments of the launch file and of the files that it includes.
        needs: argument -> (other argument, value) that it needs to have an effect.

    Raises:
        InputError: an argument is unknown, or lacks what it needs.
    """
    given = context.launch_configurations
    launched = next((Path(w).name for w in sys.argv[1:] if LAUNCH_FILE.fullmatch(w)), None)
    if launched not in (None, *OWN_LAUNCH_FILES) or CHECKED in context.get_locals_as_dict():
        return
    context.extend_globals({CHECKED: True})  # for the files that this one includes
    cutoff = SIMILARITY if launched is None else 0.0
    for name in set(given) - set(known) - set(OPTIONS_OF_LAUNCH):
        for near in difflib.get_close_matches(name, known, n=1, cutoff=cutoff):
            raise InputError(
                f'unknown launch argument {name!r}; did you mean {near!r}? --show-args lists all'
            )
    typed = {word.partition(':=')[0] for word in sys.argv if ':=' in word}
    for name, (other, value) in needs.items():
        if name in typed and given[other] != value:
            raise InputError(f'launch argument {name} has no effect without {other}:={value}')


def check_names(names: Mapping[str, str]) -> None:
    """Raise InputError unless each launch argument is a valid topic or namespace."""
    for argument, name in names.items():
        if not NAME.fullmatch(name):
            raise InputError(
                f'launch argument {argument}: {name!r} is not a valid name; use letters, digits, _ '
                'and single /, and no / at the end'
            )


def node_defaults(file: Path) -> dict[str, Any]:
    """Name -> default of each parameter in config/segmentation.yaml."""
    (section,) = read_yaml(file).values()
    return dict(_flat(section['ros__parameters']))


def _flat(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def parameter_value(name: str, text: str, default: Any) -> Any:
    """The value of a launch argument in the type of `default`.

    Raises:
        InputError: the text has another type.
    """
    if isinstance(default, str):
        return text
    value = parse_yaml(text, f'launch argument {name}')
    try:
        if isinstance(default, list) and isinstance(value, list):
            return [type(default[0])(item) for item in value]
        if isinstance(default, float) and not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        value = None
    if type(value) is type(default):
        return value
    kind = f'a list, as in [{default[0]}]' if isinstance(default, list) else type(default).__name__
    raise InputError(f'launch argument {name} must be {kind}, got {text!r}')


def full_name(context: Any, namespace: str, name: str = 'segmentation') -> str:
    """The full name that launch gives to a node in `namespace`."""
    base = '' if namespace.startswith('/') else context.launch_configurations.get('ros_namespace')
    return '/'.join(['', *filter(None, f'{base or ""}/{namespace}/{name}'.split('/'))])


def check_parameter_file(path: str | Path, node: str) -> None:
    """Raise ConfigError unless the file has parameters for the node with this full name."""
    sections = list(_sections(read_yaml(Path(path))))
    if not sections:
        raise ConfigError(
            f'{path} has no ros__parameters; write /**: {{ros__parameters: {{NAME: VALUE}}}}'
        )
    if not any(re.fullmatch(_pattern(section), node) for section in sections):
        raise ConfigError(
            f'{path} has parameters for {", ".join(sections)}, not for {node}; rename its section '
            f'to {node} or /**'
        )


def _sections(values: Any, prefix: str = '') -> Iterator[str]:
    """The names of the nodes in a parameter file; namespaces may be nested."""
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if name == 'ros__parameters':
            yield prefix or '/'
        else:
            yield from _sections(value, f'{prefix}/{str(name).strip("/")}')


def _pattern(section: str) -> str:
    """The regular expression of the node names of a section with the wildcards of ROS."""
    return re.escape(section).replace(r'/\*\*', '(/[^/]+)*').replace(r'\*', '[^/]+')


def check_executable(package: str, executable: str, alternative: str) -> None:
    """Raise InputError unless a ROS package and its executable are installed."""
    from ament_index_python.packages import get_package_prefix

    try:
        prefix = Path(get_package_prefix(package))
    except (LookupError, OSError, ValueError):
        prefix = None
    if prefix is None or (executable and not (prefix / 'lib' / package / executable).exists()):
        apt = apt_package(package, os.environ)
        raise InputError(f'{package} is not installed: sudo apt install {apt}, or {alternative}')


def process_prefix(context: Any, executable: str, delay_sigint: bool = False) -> str:
    """The words before a command that end its process if launch ends or fails in any way.

    The option `--launch-prefix` of launch follows them; a prefix of its own would replace it.

    Args:
        context: a `launch.LaunchContext`.
        delay_sigint: SIGINT waits until the process uses `exit_within`. Python alone would end with
            a traceback while it starts.
    """
    words = ended_with_parent()
    words += ['env --block-signal=INT'] if words and delay_sigint else []
    prefix, pattern = (context.launch_configurations.get(name, '') for name in OPTIONS_OF_LAUNCH)
    return ' '.join([*words, *([prefix] if re.match(pattern, executable) else [])])
