# SPDX-License-Identifier: Apache-2.0
"""Files and folders appear whole or not at all, and never elsewhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgnet_core.errors import InputError, WriteError
from sgnet_core.io.files import (
    atomic_write,
    check_json_destination,
    check_new_folder,
    write_file,
    write_json,
)

WRITER = """
import sys, time
from pathlib import Path
from sgnet_core.io.files import atomic_write
with atomic_write(Path(sys.argv[1])) as partial:
    partial.write_text('half')
    print('writing', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def start_writer():
    """Start processes that hold a half-written file; they end with the test."""
    processes = []

    def start(path):
        command = [sys.executable, '-c', WRITER, str(path)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert processes[-1].stdout.readline() == b'writing\n'
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_error_or_kill_leaves_the_old_file_and_leftovers_are_removed(tmp_path, start_writer):
    file = tmp_path / 'a.json'
    write_file(file, 'old')
    with pytest.raises(ValueError), atomic_write(file) as partial:
        partial.write_text('half')
        raise ValueError
    assert list(tmp_path.iterdir()) == [file]
    dead, _ = start_writer(file), start_writer(file)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    assert file.read_text() == 'old'
    assert len(list(tmp_path.iterdir())) == 3
    for leftover in tmp_path.glob('.sgnet-*'):
        os.utime(leftover, (time.time() - 60,) * 2)
    # Once for each process, so that a folder of many images is not listed for each of them.
    subprocess.run(
        [sys.executable, '-c', WRITER.replace('60', '0'), str(tmp_path / 'b')], check=True
    )
    (living,) = tmp_path.glob('.sgnet-*')
    assert [path.name for path in living.iterdir()] == ['a.json']


def test_links_are_replaced_and_planted_files_not_touched(tmp_path, monkeypatch):
    victim = tmp_path / 'victim'
    victim.write_text('precious')
    folder = tmp_path / 'shared'
    folder.mkdir()
    # As earlier versions named the temporary file.
    (folder / f'a.json.{os.getpid()}.partial').symlink_to(victim)
    (folder / 'a.json').symlink_to(victim)
    check_json_destination(folder / 'a.json')
    write_json(folder / 'a.json', {'a': 1})
    write_file(folder / ('long' * 63), b'name of 252 bytes')
    assert victim.read_text() == 'precious'
    assert not (folder / 'a.json').is_symlink()
    with atomic_write(folder / 'b') as partial:
        assert partial.parent.stat().st_mode & 0o777 == 0o700
        partial.touch()
    assert (folder / 'b').stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value


@pytest.mark.parametrize('is_folder', [False, True])
def test_durable_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch, is_folder):
    path, calls = tmp_path / 'new', []
    monkeypatch.setattr(
        os, 'fsync', lambda fd: calls.append(Path(f'/proc/self/fd/{fd}').readlink())
    )
    move = Path.replace
    monkeypatch.setattr(Path, 'replace', lambda *paths: calls.append('move') or move(*paths))
    with atomic_write(path, durable=True) as partial:
        if is_folder:
            partial.mkdir()
        for file in (partial / 'a', partial / 'b') if is_folder else (partial,):
            file.touch()
    names = [Path(call).name for call in calls]
    assert sorted(names[:-2]) == (['a', 'b', 'new'] if is_folder else ['new'])
    assert names[-2:] == ['move', tmp_path.name]


def test_folder_replaces_an_empty_one_only(tmp_path):
    folder = tmp_path / 'out'
    folder.mkdir()
    check_new_folder(folder)
    with atomic_write(folder) as partial:
        write_file(partial / 'deep' / 'a', 'content')
        assert list(folder.iterdir()) == []
    assert (folder / 'deep' / 'a').read_text() == 'content'
    with pytest.raises(InputError, match='out: not an empty folder; delete it or choose'):
        check_new_folder(folder)
    with (
        pytest.raises(WriteError, match=r'out: cannot be written: Directory not empty; choose'),
        atomic_write(folder) as partial,
    ):
        partial.mkdir()
    assert [path.name for path in folder.iterdir()] == ['deep']
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize('kind', ['mount', 'current', 'link'])
def test_folder_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch, kind):
    folder = given = tmp_path / 'out'
    folder.mkdir()
    if kind == 'mount':
        monkeypatch.setattr(Path, 'is_mount', lambda path: path == folder)
    elif kind == 'current':
        monkeypatch.chdir(folder)
        given = Path()
    else:
        given = tmp_path / 'link'
        given.symlink_to(folder)
    identity = folder.stat().st_ino
    with atomic_write(given) as path:
        write_file(path / 'a', '')
    assert (folder / 'a').exists()
    assert folder.stat().st_ino == identity


def test_error_names_the_final_file_and_the_remedy(tmp_path, file_size_limit):
    message = r'/out/deep/a: cannot be written: File too large; raise .* \(ulimit -f\)$'
    with (
        file_size_limit(10),
        pytest.raises(WriteError, match=message) as error,
        atomic_write(tmp_path / 'out') as folder,
    ):
        write_file(folder / 'deep' / 'a', b'x' * 100)
    assert '.sgnet-' not in str(error.value)
    assert list(tmp_path.iterdir()) == []
