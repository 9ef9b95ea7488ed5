# SPDX-License-Identifier: Apache-2.0
"""What every command gets from `cli`."""

import json
import math
import os
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from types import ModuleType

import pytest

from sgnet_core.cli.options import add_options, check_positive, image_size
from sgnet_core.cli.runner import run_command
from sgnet_core.errors import InputError
from sgnet_core.io.files import check_json_destination, write_json

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


def test_command_line_is_passed_to_the_command(monkeypatch):
    seen = []
    command = ModuleType('command', 'Help.')
    command.add_arguments = lambda parser: parser.add_argument('words', nargs='*')
    command.run = lambda args: seen.append(args.command_line)
    monkeypatch.setitem(sys.modules, 'sgnet_core.cli.command', command)
    assert run_command('sgnet_core', 'command', ['one', 'two words', '--', '$x']) == 0
    assert seen == ["python -m sgnet_core command one 'two words' -- '$x'"]


def test_json_replaces_files_atomically_and_writes_pipes_in_place(tmp_path):
    file, pipe = tmp_path / 'figures.json', tmp_path / 'pipe'
    file.write_text('old')
    for destination in (file, tmp_path / 'new.json', '-', None):
        check_json_destination(destination)
    assert (file.read_text(), list(tmp_path.iterdir())) == ('old', [file])
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_json_destination(pipe)
    write_json(pipe, {'a': 1})
    assert json.loads(os.read(reader, 100)) == {'a': 1}
    os.close(reader)
    assert pipe.is_fifo()


def test_full_disk_under_standard_output_is_one_line():
    command = [sys.executable, '-m', 'sgnet_core', 'info', '--json', '-']
    with Path('/dev/full').open('w') as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stderr == 'info: [Errno 28] No space left on device; free disk space\n'


@pytest.mark.parametrize('option', ['--seed', '--workers'])
@pytest.mark.parametrize('text', ['-1', '1.5', str(2**63), '9' * 5000])
def test_numbers_out_of_range_are_usage_errors(capsys, option, text):
    parser = ArgumentParser()
    add_options(parser, 'seed', 'workers')
    with pytest.raises(SystemExit):
        parser.parse_args([f'{option}={text}'])
    assert f'{option}: {text!r} is not a whole number from 0 to' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('value', 'bound'),
    [
        (0, 'at least 1'),
        (0.0, 'above 0'),
        (math.nan, 'above 0'),
        (1e-300, r'from 1e-06 to 1e\+09'),
        (10**400, r'from 1 to 1e\+09'),
    ],
)
def test_check_positive_names_the_option(value, bound):
    check_positive(Namespace(a=None, b=1, c=0.5), 'a', 'b', 'c')
    with pytest.raises(InputError, match=f'--max-rate must be {bound}, got {value}'):
        check_positive(Namespace(max_rate=value), 'max_rate')


@pytest.mark.parametrize('size', ['480', '0480x', '99999x32', f'32x{"9" * 5000}'])
def test_implausible_sizes_are_refused(size):
    with pytest.raises(ArgumentTypeError, match='not HEIGHTxWIDTH of at most 16384 pixels'):
        image_size(size)
