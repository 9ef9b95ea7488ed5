# SPDX-License-Identifier: Apache-2.0
"""The documentation agrees with the repository: links, generated tables, layers, code blocks.

`sh` and `python` blocks without a mark are executed, page by page, in a folder with a small dataset
and small checkpoints. A word behind the language names what CI lacks, and the commands of such a
block are only parsed: `robot` (a ROS distribution or a camera), `gpu`, `data` (published datasets),
`slow` (minutes to hours), `install` (changes the Python environment). `ros` blocks are executed if
rclpy is installed.
"""

import importlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
import cv2
import interface_tables
import numpy as np
import pytest
from interface_tables import DOCS, REPOSITORY, TABLE

from sgnet_core.__main__ import COMMANDS as CORE_COMMANDS
from sgnet_core.checkpoint.checkpoint import Checkpoint, save_checkpoint
from sgnet_core.cli.runner import command_parser, run_command
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.labels import NYU40
from sgnet_core.model import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec
from sgnet_ros.__main__ import COMMANDS as ROS_COMMANDS
from sgnet_ros.compat.launch_checks import node_defaults

PAGES = sorted([*REPOSITORY.glob('*.md'), *DOCS.glob('*.md')])
TABLES = interface_tables.tables()
BLOCK = re.compile(r'^( *)```(\w+) ?(\w*)\n(.*?)^ *```$', re.MULTILINE | re.DOTALL)
PARSED = {'robot', 'gpu', 'data', 'slow', 'install'}
PACKAGE_OF = {
    name: package
    for package, commands in (('sgnet_core', CORE_COMMANDS), ('sgnet_ros', ROS_COMMANDS))
    for name in commands
}
OPTION = re.compile(r'(?<!\S)--[a-z][\w-]*')
OPTIONS_OF_OTHERS = {'--help', '--ros-args', '--clock', '--shm-size', '--ipc'}
OPTIONS_OF_TRTEXEC = {'--minShapes', '--optShapes', '--maxShapes'}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    mark: str
    text: str

    def lines(self) -> list[str]:
        """Its command lines, continued ones joined, without comments."""
        joined = self.text.replace('\\\n', ' ').splitlines()
        return [line for line in joined if shlex.split(line, comments=True)]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order, without their indentation."""
    found = BLOCK.findall(page.read_text(encoding='utf-8'))
    return [
        Block(language, mark, re.sub(rf'^{indent}', '', text, flags=re.MULTILINE))
        for indent, language, mark, text in found
    ]


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def prose(page: Path) -> str:
    """Text of a page without its fenced blocks."""
    return BLOCK.sub('', page.read_text(encoding='utf-8'))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', prose(page), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def targets(page: Path) -> list[tuple[Path, str]]:
    """(file, anchor or '') of every relative link of a page."""
    links = [link.partition('#') for link in re.findall(r'\]\(([^):\s]+)\)', prose(page))]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in links]


def command_of(line: str) -> list[str] | None:
    """[command, argument, ...] if this line starts a command of this project."""
    words = shlex.split(line, comments=True)
    module = next((words.index(name) for name in ('sgnet_core', 'sgnet_ros') if name in words), 0)
    is_run = module and (words[module - 1] == '-m' or words[:2] == ['ros2', 'run'])
    return words[module + 1 :] if is_run or words[0] == 'sgnet' else None


def parsed(argv: list[str]):
    """Arguments of a command; unknown ones end the process, as in a shell."""
    if '--ros-args' in argv:
        argv = argv[: argv.index('--ros-args')]
    parser = command_parser(PACKAGE_OF[argv[0]], argv[0])[1]
    parser.allow_abbrev = False
    return parser.parse_args(argv[1:])


def test_the_readme_is_short():
    assert (REPOSITORY / 'README.md').read_text(encoding='utf-8').count('\n') <= 150


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_relative_link_and_anchor_resolves(page):
    for path, anchor in targets(page):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), f'{path.name}#{anchor}'


@pytest.mark.parametrize('package', ['sgnet_core', 'sgnet_ros'])
def test_rows_of_the_architecture_are_the_layers(package):
    text = (DOCS / 'architecture.md').read_text(encoding='utf-8')
    rows = TABLE.search(text, interface_tables.below(text, f'Folders of `{package}`')).group()
    cells = re.findall(r'^\| (`[^|]*)\|', rows, re.MULTILINE)
    listed = [set(re.findall(r'`(\w+)(?:/|\.py)`', cell)) - {'checkpoints'} for cell in cells]
    contracts = (REPOSITORY / 'pyproject.toml').read_text(encoding='utf-8')
    layers = re.search(rf"containers = \['{package}'\]\nlayers = \[([^]]*)", contracts).group(1)
    expected = [set(layer.split(' | ')) for layer in re.findall(r"'(.*)'", layers)]
    assert listed == [layer for layer in expected if not layer & {'__main__', 'types', 'errors'}]
    folders = {path.parent.name for path in (REPOSITORY / package).glob('*/__init__.py')}
    assert folders <= set().union(*listed)


def test_the_stable_names_exist():
    text = (DOCS / 'architecture.md').read_text(encoding='utf-8')
    modules = re.findall(r'^- `(sgnet_core[.\w]*)`: (.*)$', text, re.MULTILINE)
    assert len(modules) == 3
    for module, names in modules:
        for name in re.findall(r'`(\w+)`', names):
            assert hasattr(importlib.import_module(module), name), f'{module}.{name}'


def test_every_page_is_reachable_from_the_readme():
    found, waiting = set(), [REPOSITORY / 'README.md']
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == '.md' and page.exists():
            found.add(page)
            waiting += [path for path, _ in targets(page)]
    assert set(PAGES) - found == set()


@pytest.mark.parametrize(('page', 'heading'), TABLES, ids=lambda name: name)
def test_generated_tables_are_up_to_date(page, heading):
    if page != 'commands.md':
        pytest.importorskip('rclpy')
    text = (DOCS / page).read_text(encoding='utf-8')
    made = TABLES[page, heading]()
    assert made.count('\n') > 4
    shown = TABLE.search(text, interface_tables.below(text, heading)).group()
    assert shown == made, 'run: python test/interface_tables.py'


def test_a_generated_table_replaces_the_first_table_below_its_heading():
    text = '## A\n\n| a |\n|---|\n\n## B\n\nIs:\n\n| b |\n|---|\n\n| c |\n'
    written = interface_tables.with_table(text, 'B', '| new |\n|---|\n| 1 |\n')
    assert written == text.replace('| b |\n|---|\n', '| new |\n|---|\n| 1 |\n')


def test_marks_are_known():
    assert {block.mark for block in ALL_BLOCKS} <= {'', 'ros', *PARSED}
    assert {block.language for block in ALL_BLOCKS} <= {'sh', 'python', 'yaml', 'bibtex'}
    text = '\n'.join(page.read_text(encoding='utf-8') for page in PAGES)
    assert len(re.findall(r'^ *```\w', text, re.MULTILINE)) == len(ALL_BLOCKS)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_that_the_page_uses(page):
    lines = [line for block in blocks(page) if block.language == 'sh' for line in block.lines()]
    for argv in filter(None, map(command_of, lines)):
        parsed(argv)


def test_options_in_the_text_exist():
    known = OPTIONS_OF_OTHERS | OPTIONS_OF_TRTEXEC
    for name, package in PACKAGE_OF.items():
        known |= set(OPTION.findall(command_parser(package, name)[1].format_help()))
    (kinds,) = [
        action.choices
        for action in command_parser('sgnet_core', 'prepare_dataset')[1]._actions
        if 'rooms' in (action.choices or ())
    ]
    for parser in kinds.values():
        known |= set(OPTION.findall(parser.format_help()))
    for study in (REPOSITORY / 'test' / 'benchmarks').glob('*.py'):
        known |= set(re.findall(r"'(--[\w-]+)'", study.read_text(encoding='utf-8')))
    for page in PAGES:
        if page.name not in ('CHANGELOG.md', 'CONTRIBUTING.md'):
            spans = ' '.join(re.findall(r'`([^`\n]+)`', prose(page)))
            assert set(OPTION.findall(spans)) - known == set(), page.name


def test_launch_files_declare_the_arguments_that_the_pages_use():
    node = (REPOSITORY / 'launch' / 'segmentation.launch.py').read_text(encoding='utf-8')
    node += str(list(node_defaults(REPOSITORY / 'config' / 'segmentation.yaml')))
    launched = [
        line for block in ALL_BLOCKS for line in block.lines() if 'ros2 launch sgnet' in line
    ]
    assert launched
    for line in launched:
        name = re.search(r'sgnet_ros (\S+\.launch\.py)', line).group(1)
        declared = node + (REPOSITORY / 'launch' / name).read_text(encoding='utf-8')
        for argument in re.findall(r'(\S+):=', line.partition('#')[0]):
            assert f"'{argument}'" in declared, line


def test_make_targets_and_studies_exist():
    makefile = (REPOSITORY / 'Makefile').read_text(encoding='utf-8')
    lines = [line for block in ALL_BLOCKS if block.language == 'sh' for line in block.lines()]
    for words in (shlex.split(line, comments=True) for line in lines):
        if words[0] == 'make':
            assert re.search(rf'^{words[1]}:', makefile, re.MULTILINE), words
        if words[0] == 'python' and words[1].endswith('.py'):
            assert (REPOSITORY / words[1]).exists(), words


def test_the_documented_dataset_yaml_describes_a_dataset(tmp_path):
    (block,) = [block for block in blocks(DOCS / 'datasets.md') if block.language == 'yaml']
    (tmp_path / 'dataset.yaml').write_text(block.text, encoding='utf-8')
    for folder in ('image', 'depth', 'label', 'pose'):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / 'image' / 'a.jpg'), np.zeros((480, 640, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'depth' / 'a.png'), np.full((480, 640), 1500, np.uint16))
    cv2.imwrite(str(tmp_path / 'label' / 'a.png'), np.full((480, 640), 2, np.uint8))
    np.savetxt(tmp_path / 'pose' / 'a.txt', np.eye(4))
    for name, text in (('classes', 'void\nfloor\npallet'), ('fit', 'a'), ('val', 'a')):
        (tmp_path / f'{name}.txt').write_text(f'{text}\n', encoding='utf-8')
    sample = FolderDataset(tmp_path, split='val')[0]
    assert sample.frame.depth_m[0, 0] == pytest.approx(1.5)
    assert sample.labels[0, 0] == 1


@pytest.fixture(scope='module')
def small_files(tmp_path_factory) -> Path:
    """What the pages find where their reader works: dataset, bag, checkpoints and images."""
    root = tmp_path_factory.mktemp('docs')
    (root / 'config').symlink_to(REPOSITORY / 'config')
    rng = np.random.default_rng(3)
    cv2.imwrite(str(root / 'color.png'), rng.integers(0, 256, (480, 640, 3), np.uint8))
    cv2.imwrite(str(root / 'depth.png'), rng.integers(500, 5000, (480, 640), np.uint16))
    options = [*QUICK['prepare_dataset'], '--val-rooms', '2']
    rooms = str(root / 'rooms')
    assert run_command('sgnet_core', 'prepare_dataset', ['rooms', rooms, *options]) == 0
    if find_spec('rclpy'):
        bag = [str(root / 'kitchen_bag'), '--rate', '0.5']
        assert run_command('sgnet_ros', 'frames_to_bag', [rooms, *bag]) == 0
    for seed, name in enumerate('ab'):
        torch.manual_seed(seed)
        config = SGNetConfig('sgnet_lite0', len(NYU40))
        spec = InputSpec(64, 96, 'rgb', (127.0,) * 3, (60.0,) * 3, 'depth')
        network = SGNet(config).state_dict()
        save_checkpoint(root / f'{name}.safetensors', Checkpoint(config, spec, NYU40, network))
    return root


QUICK = {
    'prepare_dataset': ['--size', '48x64', '--frames', '10', '--frames-per-room', '2'],
    'train': ['--epochs', '1', '--init', 'a.safetensors'],
    'export': ['--checkpoint', 'a.safetensors', '--parity-data', 'rooms', '--frames', '2'],
}
"""Command -> options that make it quick."""


def execute(line: str) -> None:
    """Run a line of a page; commands of this project in this process."""
    argv = command_of(line)
    if argv is None:
        if shlex.split(line)[0] != 'make':  # CI runs it
            subprocess.run(['bash', '-ec', line], check=True)
        return
    command, *arguments = argv
    if command == 'prepare_dataset':
        shutil.rmtree(arguments[1], ignore_errors=True)
    arguments += QUICK.get(command, [])
    if 'checkpoint' in parsed([command, *arguments]) and '--checkpoint' not in arguments:
        arguments += ['--checkpoint', 'a.safetensors']
    status = run_command(PACKAGE_OF[command], command, arguments)
    assert status == 0, f'exit status {status}: {line}'


def annotate(kitchen: Path) -> None:
    """The third step of docs/training.md, which is done by hand."""
    for image in (kitchen / 'image').iterdir():
        label = np.full(cv2.imread(str(image)).shape[:2], 1, np.uint8)
        label[:24], label[:, :20] = 2, 3
        (kitchen / 'label').mkdir(exist_ok=True)
        cv2.imwrite(str(kitchen / 'label' / f'{image.stem}.png'), label)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    'page',
    [page for page in PAGES if any(block.mark in ('', 'ros') for block in blocks(page))],
    ids=lambda page: page.name,
)
def test_unmarked_blocks_can_be_executed(
    page, small_files, tmp_path, monkeypatch, ros_domain_id, capsys
):
    work = tmp_path / 'work'
    shutil.copytree(small_files, work, symlinks=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain_id))
    for block in blocks(page):
        if block.mark == 'ros':
            pytest.importorskip('rclpy')
        if block.language == 'python' and not block.mark:
            exec(compile(block.text, page.name, 'exec'), {})
        if block.language == 'sh' and block.mark in ('', 'ros'):
            if 'kitchen/label' in block.text:
                annotate(work / 'kitchen')
            for line in block.lines():
                execute(line)
