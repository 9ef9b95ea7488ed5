# SPDX-License-Identifier: Apache-2.0
"""`evaluate --out`, `report`, and provenance."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from networks import untrained, with_offsets
from report_cases import StrictReader

from sgnet_core.checkpoint.checkpoint import save_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.evaluation.provenance import commit


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / 'guided.safetensors'
    save_checkpoint(path, with_offsets(untrained()))
    return path


def run(command: str, *arguments) -> int:
    return run_command('sgnet_core', command, [str(argument) for argument in arguments])


def test_report_has_provenance(tiny_dataset, checkpoint, tmp_path, capsys):
    out, file = tmp_path / 'report', tmp_path / 'metrics.json'
    arguments = ['--data', tiny_dataset.root, '--checkpoint', checkpoint, '--backend', 'torch']
    assert run('evaluate', *arguments, '--out', out, '--json', file) == 0
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics == json.loads(file.read_text())
    facts = metrics['provenance']
    assert facts['command'].startswith(f'python -m sgnet_core evaluate --data {tiny_dataset.root} ')
    assert facts['checkpoint']['sha256'] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert facts['data'] == {'name': 'tiny', 'split': 'all'}
    page = StrictReader((out / 'report.html').read_text())
    assert page.tags['img'] == 5 * len(tiny_dataset)
    for shown in (facts['checkpoint']['sha256'], metrics['data_sha256'], facts['command']):
        assert shown in page.text
    # A second run has equal metrics; other frames have another hash.
    assert run('evaluate', *arguments, '--out', tmp_path / 'again') == 0
    again = json.loads((tmp_path / 'again' / 'metrics.json').read_text())
    assert again['data_sha256'] == metrics['data_sha256']
    assert again['confusion'] == metrics['confusion']
    assert run('evaluate', *arguments, '--split', 'val', '--out', tmp_path / 'val') == 0
    val = json.loads((tmp_path / 'val' / 'metrics.json').read_text())
    assert val['data_sha256'] != metrics['data_sha256']
    capsys.readouterr()
    assert run('report', out, tmp_path / 'val', '--out', tmp_path / 'compared') == 0
    assert 'The difference in mIoU is not significant.' in capsys.readouterr().out
    StrictReader((tmp_path / 'compared' / 'comparison.html').read_text())


def test_unwritable_folder_is_an_error_before_evaluation(tiny_dataset, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert run('evaluate', '--data', tiny_dataset.root, '--out', tmp_path / 'file') == 2
    output = capsys.readouterr()
    assert 'cannot be written to' in output.err and 'give a writable folder' in output.err
    assert output.err.count('\n') == 1
    assert output.out == ''


def test_commit_is_of_the_surrounding_checkout(tmp_path):
    tmp_path = tmp_path / 'a checkout'

    def git(*arguments):
        who = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
        subprocess.run(['git', '-C', tmp_path, *who, *arguments], check=True, capture_output=True)

    package = tmp_path / 'package'
    package.mkdir(parents=True)
    assert commit(package) is None
    git('init')
    assert commit(package) is None
    (package / 'a.py').write_text('1')
    git('add', '.')
    git('commit', '-m', 'a')
    head = commit(package)
    assert len(head) == 40 and set(head) <= set('0123456789abcdef')
    (package / 'a.py').write_text('2')
    assert commit(package) == f'{head}, changed since'
    # A package installed below another project has no commit.
    installed = tmp_path / '.venv' / 'lib' / 'package'
    installed.mkdir(parents=True)
    assert commit(installed) is None
