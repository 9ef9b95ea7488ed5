# SPDX-License-Identifier: Apache-2.0
"""Rules that no linter checks. Layers and circles are import contracts in pyproject.toml.

A rule takes a path relative to the repository and the text of the file, and returns complaints.
Each rule is shown to catch what it forbids.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ('.ci', 'config', 'docs', 'launch', 'sgnet_core', 'sgnet_ros', 'test')
TOP_LEVEL = (
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'MODEL_CARD.md',
    'Makefile',
    'README.md',
    'RESULTS.md',
    'SECURITY.md',
    'constraints.txt',
    'package.xml',
    'pyproject.toml',
    'setup.cfg',
    'setup.py',
)
TEXT_SUFFIXES = ('', '.md', '.py', '.rviz', '.sh', '.xml', '.yaml')

ROS_API_ONLY = ('message_filters', 'cv_bridge', 'sensor_msgs_py', 'tf2_ros')
ENCODING = re.compile(r'(rgba?|bgra?|mono)(8|16)|\d+[USF]C\d|yuv422(_yuy2)?|bayer_[rgb]{4}(8|16)')
ENCODING_MODULES = (
    'sgnet_ros/conversions/images.py',
    'sgnet_ros/conversions/masks.py',
    # Compressed messages name the encoding of the raw image in their format.
    'sgnet_ros/conversions/compressed_images.py',
    # A stand-in for what converts encodings, and the probe of whether the real one can.
    'sgnet_ros/compat/standalone/cv_bridge.py',
    'sgnet_ros/compat/cv_bridge_probe.py',
)
FORBIDDEN_NAMES = ('utils', 'util', 'helpers', 'helper', 'common', 'misc', 'base', 'manager')
LINES = 400
MODULES = 15
FORBIDDEN_IDENTIFIERS = set(
    re.findall(
        r'\w+',
        """
        ALONE Answers AveragedViews Guide LayerTaps MOST_UNANSWERED PARTS Picked Quotient
        SilenceMonitor StandIn TrainingViews Trouble bad_inputs bags_answers bags_cut_files
        bags_new causes_of_silence class_remap color_scale contenders cpu_memory device_maps
        donor doubts draw_encodings draw_taps fill_holes film foreign_types frame_source
        furnish goes_on heat_map holes initial_weights interruption is_first
        known_keys label_numbers labels_to_paint lettering looks mask_recorder model_soup
        namesakes objective picks published_alike published_otherwise run_state said
        score_maps settle shots silence stage_times stand_in_network steady_clock
        stored_frame tally taps taught teacher_zoom troubles unheard voices whole_file
        """,
    )
)
"""Earlier private terms of the code base that have a standard name in the field."""
FORBIDDEN_WORDS = re.compile(
    r"""\b(nobody|somebody|theirs|for[ ]ever|what[ ]became[ ]of|comes?[ ]with[ ]us|speaks?[ ]with
    |cannot[ ]teach|whose[ ]word|namesakes?|design[ ]section|is[ ]no[ ]number)\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Phrases that are not plain technical English."""

Rule = Callable[[PurePosixPath, str], list[str]]


def imports(path: PurePosixPath, text: str) -> Iterator[tuple[int, str]]:
    """(line, absolute name of what is imported) of each import, wherever in the file it is."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from ..x import y` in a/b/c.py is a.x, and y may be a module of it.
            above = path.parts[: len(path.parts) - node.level] if node.level else ()
            module = '.'.join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f'{module}.{alias.name}') for alias in node.names)


def within(path: PurePosixPath, folder: str) -> bool:
    return path.as_posix().startswith(f'{folder}/')


def belongs_to(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f'{package}.') for package in packages)


def one_module_chooses_the_ros_api(path: PurePosixPath, text: str) -> list[str]:
    if not within(path, 'sgnet_ros') or path.name == 'ros_api.py':
        return []
    if within(path, 'sgnet_ros/compat/standalone'):
        return []
    return [
        f'{path}:{line}: {name} is for sgnet_ros/compat/ros_api.py to import'
        for line, name in imports(path, text)
        if belongs_to(name, *ROS_API_ONLY, 'sgnet_ros.compat.standalone')
    ]


def one_module_knows_encodings(path: PurePosixPath, text: str) -> list[str]:
    if path.as_posix() in ENCODING_MODULES or not path.parts[0].startswith('sgnet_'):
        return []
    return [
        f'{path}:{node.lineno}: encoding {node.value!r} outside {ENCODING_MODULES[0]}'
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ENCODING.fullmatch(node.value)
    ]


def one_module_knows_distributions(path: PurePosixPath, text: str) -> list[str]:
    if path.as_posix() == 'sgnet_ros/compat/distributions.py' or not path.parts[0].startswith(
        'sgnet_'
    ):
        return []
    return [
        f'{path}:{node.lineno}: {node.value!r} is for sgnet_ros/compat/distributions.py to know'
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and node.value in ('ROS_DISTRO', 'humble', 'jazzy', 'kilted')
    ]


def torch_comes_before_opencv(path: PurePosixPath, text: str) -> list[str]:
    first = {}
    for line, name in imports(path, text):
        package = name.partition('.')[0]
        first[package] = min(line, first.get(package, line))
    return [
        f'{path}:{first[package]}: {package} is imported before torch'
        for package in ('cv2', 'cv_bridge')
        if first.get(package, sys.maxsize) < first.get('torch', 0)
    ]


def names_say_what_is_inside(path: PurePosixPath, text: str) -> list[str]:
    words = [word for part in path.with_suffix('').parts for word in part.split('_')]
    return [f'{path}: {word!r} says nothing' for word in words if word in FORBIDDEN_NAMES]


def identifiers_are_standard_terms(path: PurePosixPath, text: str) -> list[str]:
    if not path.parts[0].startswith('sgnet_'):
        return []
    fields = ('name', 'id', 'attr', 'arg', 'asname')
    used = {
        (getattr(node, field, None), getattr(node, 'lineno', 0))
        for node in ast.walk(ast.parse(text))
        for field in fields
        if getattr(node, field, None) in FORBIDDEN_IDENTIFIERS
    }
    return [f'{path}:{line}: {name!r} has a standard name' for name, line in sorted(used)]


def sentences_are_plain_english(path: PurePosixPath, text: str) -> list[str]:
    if path.parts[0] == 'test':
        return []
    return [
        f'{path}:{number}: {found[0]!r}'
        for number, line in enumerate(text.splitlines(), 1)
        for found in FORBIDDEN_WORDS.finditer(line)
    ]


def license_is_stated(path: PurePosixPath, text: str) -> list[str]:
    if path.suffix == '.md':
        return []
    head = '\n'.join(text.splitlines()[:3])
    found = 'SPDX-License-Identifier: Apache-2.0' in head
    return [] if found else [f'{path}: no SPDX line at the top']


def product_files_are_short(path: PurePosixPath, text: str) -> list[str]:
    lines = len(text.splitlines())
    too_long = path.parts[0].startswith('sgnet_') and lines > LINES
    return [f'{path}: {lines} lines, more than {LINES}'] if too_long else []


PYTHON_RULES: dict[Rule, tuple[str, str]] = {
    one_module_chooses_the_ros_api: ('sgnet_ros/a.py', 'from message_filters import Cache'),
    one_module_knows_encodings: ('sgnet_ros/a.py', "if e in ('16UC1', None): pass"),
    one_module_knows_distributions: ('sgnet_ros/a.py', "if os.environ.get('ROS_DISTRO'): pass"),
    torch_comes_before_opencv: ('sgnet_ros/a.py', 'import cv2\nimport torch.nn'),
    identifiers_are_standard_terms: ('sgnet_ros/a.py', 'def f(namesakes): pass'),
    product_files_are_short: ('sgnet_core/a.py', 'x = 1\n' * (LINES + 1)),
}
"""Rule -> (path, text) that breaks it."""

FILE_RULES: dict[Rule, tuple[str, str]] = {
    sentences_are_plain_english: ('config/a.yaml', '# A topic that nobody publishes.'),
    names_say_what_is_inside: ('sgnet_ros/image_utils.py', ''),
    license_is_stated: ('config/a.yaml', 'a: 1'),
}

MORE_VIOLATIONS: list[tuple[Rule, str, str]] = [
    (one_module_chooses_the_ros_api, 'sgnet_ros/a.py', 'def f(): import cv_bridge'),
    (one_module_chooses_the_ros_api, 'sgnet_ros/a.py', 'from sgnet_ros.compat.standalone import x'),
    (one_module_chooses_the_ros_api, 'sgnet_ros/a.py', 'from tf2_ros import Buffer'),
    (one_module_chooses_the_ros_api, 'sgnet_ros/compat/a.py', 'from .standalone import cv_bridge'),
    (one_module_knows_encodings, 'sgnet_ros/a.py', 'x = dict(e="bayer_rggb8")'),
    (one_module_knows_encodings, 'sgnet_core/a.py', "e == 'mono8'"),
    (torch_comes_before_opencv, 'sgnet_ros/a.py', 'import cv_bridge\nfrom torch import nn'),
    (identifiers_are_standard_terms, 'sgnet_core/a.py', 'x.fill_holes()'),
    (identifiers_are_standard_terms, 'sgnet_core/a.py', 'from a import b as tally'),
    (names_say_what_is_inside, 'sgnet_core/common/a.py', ''),
    (names_say_what_is_inside, 'config/base.yaml', ''),
]

ALLOWED: list[tuple[Rule, str, str]] = [
    (one_module_chooses_the_ros_api, 'sgnet_ros/compat/ros_api.py', 'import cv_bridge'),
    (one_module_knows_encodings, 'sgnet_ros/conversions/images.py', "e == 'mono8'"),
    (one_module_knows_encodings, 'sgnet_ros/a.py', '"""A mono8 image."""'),
    (one_module_knows_distributions, 'sgnet_ros/a.py', '"""For humble, too."""'),
    (torch_comes_before_opencv, 'sgnet_ros/a.py', 'import torch\nimport cv2'),
    (torch_comes_before_opencv, 'sgnet_ros/a.py', 'import cv2'),
    (identifiers_are_standard_terms, 'sgnet_core/a.py', "'--taps'"),
    (names_say_what_is_inside, 'sgnet_core/database.py', ''),
    (product_files_are_short, 'sgnet_core/a.py', 'x = 1\n' * LINES),
]


def text_files() -> list[PurePosixPath]:
    """Every text file of ours, relative to the repository."""
    found = [Path(name) for name in (*TOP_LEVEL, 'setup.py')]
    for folder in FOLDERS:
        for path in (REPOSITORY / folder).rglob('*'):
            if path.is_file() and path.suffix in TEXT_SUFFIXES and '__pycache__' not in path.parts:
                found.append(path.relative_to(REPOSITORY))
    return sorted(PurePosixPath(path.as_posix()) for path in found)


def complaints(rule: Rule, paths: list[PurePosixPath]) -> list[str]:
    texts = ((path, (REPOSITORY / path).read_text(encoding='utf-8')) for path in paths)
    return [complaint for path, text in texts for complaint in rule(path, text)]


@pytest.mark.parametrize('rule', PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_rule(rule):
    python = [path for path in text_files() if path.suffix == '.py']
    assert len(python) > 30
    found = complaints(rule, python)
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('rule', FILE_RULES, ids=lambda rule: rule.__name__)
def test_file_rule(rule):
    found = complaints(rule, text_files())
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    ('rule', 'path', 'text'),
    [(rule, *bad) for rule, bad in (PYTHON_RULES | FILE_RULES).items()] + MORE_VIOLATIONS,
)
def test_rule_catches(rule, path, text):
    assert len(rule(PurePosixPath(path), text)) == 1


@pytest.mark.parametrize(('rule', 'path', 'text'), ALLOWED)
def test_rule_allows(rule, path, text):
    assert rule(PurePosixPath(path), text) == []


def test_folders_have_few_modules():
    modules = [path for path in text_files() if path.suffix == '.py' and path.name != '__init__.py']
    sizes = Counter(path.parent.as_posix() for path in modules if path.parts[0] != 'test')
    assert {folder: count for folder, count in sizes.items() if count > MODULES} == {}


@pytest.mark.parametrize('package', ['sgnet_core', 'sgnet_ros'])
def test_importing_a_package_loads_nothing_heavy(package):
    code = f'import sys, {package}; print(*sys.modules)'
    loaded = subprocess.run(
        [sys.executable, '-c', code], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.split()
    assert package in loaded
    assert not {'torch', 'cv2', 'numpy', 'rclpy', 'yaml'} & set(loaded)
