# SPDX-License-Identifier: Apache-2.0
"""README.md says what is there: the commands, the interface of the node."""

import re
from pathlib import Path

import interface_tables
import pytest
from interface_tables import TABLE

import sgnet_core.__main__
import sgnet_ros.__main__

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / 'README.md').read_text(encoding='utf-8')


def section(title: str) -> str:
    """What follows the heading `title`, up to the next heading of the same or a higher level."""
    match = re.search(rf'^(#+) {title}$(.*?)(?=^#{{2,3}} |\Z)', README, re.MULTILINE | re.DOTALL)
    assert match, f'README.md has no section {title!r}'
    return match.group(2)


def first_cells(text: str) -> list[str]:
    """Every `name` in the first column of the tables in `text`."""
    cells = re.findall(r'^\|([^|]*)\|', text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r'`([^`]+)`', cell)]


def test_tables_have_every_command():
    commands = [*sgnet_core.__main__.COMMANDS, *sgnet_ros.__main__.COMMANDS]
    listed = first_cells(section('Commands'))
    assert sorted(listed) == sorted(['sgnet_core', *commands, 'sgnet_ros'])


@pytest.mark.parametrize(
    'heading',
    [
        'Topics of the node `segmentation`',
        'Services',
        'Parameters',
        'When nothing appears',
        'Dropped frames',
    ],
)
def test_tables_of_the_interface_are_those_of_its_declarations(heading):
    pytest.importorskip('rclpy')
    made = interface_tables.tables()[heading]
    assert made.count('\n') > 4
    assert TABLE.search(section(heading)).group() == made, 'run: python test/interface_tables.py'


def test_tables_of_the_interface_are_put_in_the_place_of_the_first_table():
    pytest.importorskip('rclpy')
    headings = interface_tables.tables()
    text = ''.join(f'### {heading}\n\nIs:\n\n| a |\n|---|\n\n| b |\n' for heading in headings)
    written = interface_tables.with_tables(text)
    for made in headings.values():
        assert f'Is:\n\n{made}\n| b |\n' in written
    assert '| a |' not in written


def test_every_linked_file_exists():
    links = re.findall(r'\]\((?!https?:|#)([^)]+)\)', README)
    assert 'resource/demo.jpg' in links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []
