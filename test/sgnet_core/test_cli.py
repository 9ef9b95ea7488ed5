# SPDX-License-Identifier: Apache-2.0
"""What every command gets from `cli`."""

import json
import sys
from types import ModuleType

import pytest

from sgnet_core.cli import run_command, write_json

VALUES = {
    'confusion': [[1, 2, 3], [40, 50, -6]],
    'empty': [],
    'nested': {'b': [None, 0.25, 1e-9, True], 'words': ['[1,\n 2]', 'a,b', '{"x": [1,\n2]}']},
    'mixed': [1, 'two', [3, {'four': [5, 6]}]],
}


def test_json_keeps_its_values_and_a_row_on_its_line(tmp_path, capsys):
    file = tmp_path / 'new' / 'figures.json'
    write_json(file, VALUES)
    assert json.loads(file.read_text()) == VALUES
    lines = [line.strip(' ,') for line in file.read_text().splitlines()]
    assert {'[1, 2, 3]', '[40, 50, -6]', '"four": [5, 6]'} <= set(lines)
    write_json('-', VALUES)
    assert capsys.readouterr().out == file.read_text()


def test_json_has_no_nan():
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json('-', {'a': [float('nan')]})


def test_a_command_knows_what_was_typed(monkeypatch):
    seen = []
    command = ModuleType('command', 'Help.')
    command.add_arguments = lambda parser: parser.add_argument('words', nargs='*')
    command.run = lambda args: seen.append(args.command_line)
    monkeypatch.setitem(sys.modules, 'sgnet_core.commands.command', command)
    assert run_command('sgnet_core', 'command', ['one', 'two words', '--', '$x']) == 0
    assert seen == ["python -m sgnet_core command one 'two words' -- '$x'"]
