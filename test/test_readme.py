# SPDX-License-Identifier: Apache-2.0
"""The documentation agrees with the repository: links, anchors, generated tables."""

import importlib
import re
from pathlib import Path

import interface_tables
import pytest
from interface_tables import DOCS, REPOSITORY, TABLE

PAGES = sorted([*REPOSITORY.glob('*.md'), *DOCS.glob('*.md')])
FENCED = re.compile(r'^( *)```.*?^\1```', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\]\(([^)\s]+)\)')
TABLES = interface_tables.tables()


def prose(page: Path) -> str:
    """Text of a page without its fenced blocks."""
    return FENCED.sub('', page.read_text(encoding='utf-8'))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', prose(page), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def targets(page: Path) -> list[tuple[Path, str]]:
    """(file, anchor or '') of every relative link of a page."""
    links = [link for link in LINK.findall(prose(page)) if not re.match(r'https?:', link)]
    split = [link.partition('#') for link in links]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in split]


def test_the_readme_is_short():
    assert (REPOSITORY / 'README.md').read_text(encoding='utf-8').count('\n') <= 150


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_relative_link_and_anchor_resolves(page):
    broken = [
        (path.name, anchor)
        for path, anchor in targets(page)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert broken == []


@pytest.mark.parametrize('package', ['sgnet_core', 'sgnet_ros'])
def test_the_architecture_lists_every_folder(package):
    text = (DOCS / 'architecture.md').read_text(encoding='utf-8')
    rows = TABLE.search(text, interface_tables.below(text, f'Folders of `{package}`')).group()
    cells = ' '.join(re.findall(r'^\|([^|]*)\|', rows, re.MULTILINE))
    paths = (REPOSITORY / package).iterdir()
    folders = [path.name for path in paths if path.is_dir() and path.name != '__pycache__']
    assert sorted(re.findall(r'`(\w+)/`', cells)) == sorted(folders)


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
