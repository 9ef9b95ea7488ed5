# SPDX-License-Identifier: Apache-2.0
"""Kills commands while they write, or fills their disk, and reads what they leave.

`python test/write_faults.py FOLDER [COMMAND ...]` prints a JSON object: command -> problems.
Everything runs in forks of one process, because imports take longer than the commands.
"""

import importlib
import json
import os
import resource
import signal
import sys
import traceback
from itertools import count
from pathlib import Path

import torch  # before cv2
import yaml

from sgnet_core.checkpoint.checkpoint import load_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.io.images import read_stored
from sgnet_ros.bag.reader import Bag

FRAMES = 3
TRAINING = {
    'pretrained': False, 'input_size': [32, 64], 'epochs': 2, 'batch_size': 2,
}  # fmt: skip
ROOMS = '--size 48x64 --frames-per-room 1'
NETWORK = ['--checkpoint', 'in/a.safetensors', '--backend', 'torch', '--device', 'cpu']
INPUTS = {
    'in/data': f'prepare_dataset rooms in/data --frames 3 {ROOMS} --val-rooms 1',
    'in/bag': 'frames_to_bag in/data in/bag',
    'in/run': 'evaluate --data in/data --out in/run',
}  # fmt: skip
COMMANDS = {
    'frames_to_bag': 'frames_to_bag in/data out/bag --json out/a.json',
    'frames_to_bag sqlite3': 'frames_to_bag in/data out/bag --storage sqlite3',
    'bag_to_frames': 'bag_to_frames in/bag out/data --json out/a.json',
    'bag_to_frames --classes': 'bag_to_frames in/bag out/data --classes in/classes.txt',
    'evaluate_bag': 'evaluate_bag in/bag --write-bag out/bag --out out/run --json out/a.json',
    'prepare_dataset': f'prepare_dataset rooms out/data --frames 2 {ROOMS}',
    'predict': 'predict --data in/data --out out/masks',
    'evaluate': 'evaluate --data in/data --out out/run --json out/a.json',
    'train': 'train --config in/train.yaml --data in/data --out out/run --workers 0 --device cpu',
    'report': 'report in/run in/run --out out/report --json out/a.json --resamples 1000',
    'average': 'average in/a.safetensors in/a.safetensors --out out/mean.safetensors',
    'encode_depth': 'encode_depth xyz in/data --out out/xyz',
    'check_dataset': 'check_dataset in/data --out out/check --json out/a.json',
}
IMPORTED = (
    'sgnet_core.data.synthetic',
    'sgnet_core.report.writer',
    'sgnet_core.training.trainer',
    'sgnet_ros.bag.frames',
    'sgnet_ros.bag.writer',
    'torch.utils.tensorboard',
)
"""Imported once, and not in every fork."""
CHANGES = ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'sqlite3.connect')
"""Audit events of changes to files, beside that of `open` for writing."""


def fork(function):
    """The exit status of a child that calls `function`; -9 = SIGKILL."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = function() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(line, before=lambda: None):
    """The exit status and the error output of a command of `COMMANDS`."""
    errors, output = os.pipe()  # not a file: its size may be limited

    def command():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(output, 2)
        name, *argv = line.split()
        before()
        ros = name.startswith(('frames_', 'bag_', 'evaluate_bag'))
        if name in ('predict', 'evaluate', 'evaluate_bag'):
            argv += NETWORK
        return run_command('sgnet_ros' if ros else 'sgnet_core', name, argv)

    status = fork(command)
    os.close(output)
    with os.fdopen(errors) as stream:
        return status, stream.read()


def on_change(function):
    """Call `function` before every change to a file or folder."""

    def hook(event, arguments):
        opened = event == 'open' and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or opened:
            function()

    sys.addaudithook(hook)


def kill_at_change(number):
    """SIGKILL before change `number` to a file, from 1."""
    changes = count(1)
    on_change(lambda: next(changes) == number and os.kill(os.getpid(), signal.SIGKILL))


def count_changes():
    """Write the number of changes to a file, so far."""
    changes, file = count(1), os.open('changes', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    on_change(lambda: os.pwrite(file, b'%9d' % next(changes), 0))


def limit_files(size, kill):
    """The write beyond `size` bytes fails as on a full disk, or kills."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def clear():
    """Empty the folder `out`."""
    fork(lambda: __import__('shutil').rmtree('out', ignore_errors=True))
    Path('out').mkdir()


def unreadable(folder=Path('out')):
    """Files and folders under a final name that cannot be read, with the error."""
    problems = []
    for path in sorted(folder.rglob('*')):
        if any(part.startswith('.sgnet-') for part in path.parts):
            continue
        try:
            read(path)
        except Exception as error:
            problems.append(f'{path}: {type(error).__name__} {error}')
    return problems


def read(path):
    """Read a file, or a folder with the name of a bag or dataset."""
    if path.name == 'bag':
        with Bag(path) as bag:
            counts = {topic.count for topic in bag.topics.values() if not topic.latched}
            found = len(list(bag.messages(list(bag.topics))))
        assert counts == {FRAMES} and not bag.damage, (counts, bag.damage)
        assert found == sum(topic.count for topic in bag.topics.values())
    elif path.name == 'data':
        assert len(list(FolderDataset(path, labels=False))) > 1
    elif path.suffix == '.json':
        json.loads(path.read_text())
    elif path.suffix == '.jsonl':
        [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix == '.yaml':
        assert isinstance(yaml.safe_load(path.read_text()), dict)
    elif path.suffix in ('.png', '.jpg'):
        read_stored(path)
    elif path.suffix == '.safetensors':
        load_checkpoint(path).build()
    elif path.suffix == '.pt':
        torch.load(path, weights_only=True)['epoch']
    elif path.suffix == '.html':
        assert path.read_text().rstrip().endswith('</html>')
    elif path.suffix == '.mp4':
        cv2 = __import__('cv2')
        assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    elif path.suffix == '.npy':
        __import__('numpy').load(path)


def check(problems, name):
    """Note in `problems` what cannot be read now."""

    def look():
        Path('found').write_text(json.dumps(unreadable()))

    Path('found').write_text('["the check failed"]')
    fork(look)
    problems += [f'{name}: {problem}' for problem in json.loads(Path('found').read_text())]


def prepare():
    """Write the inputs of `COMMANDS` to the folder `in`."""
    from random_network import save_random_checkpoint

    Path('in').mkdir()
    Path('in/train.yaml').write_text(yaml.safe_dump(TRAINING))
    Path('in/classes.txt').write_text('cup\nplate\n')
    fork(lambda: save_random_checkpoint('in/a.safetensors') and None)
    for line in INPUTS.values():
        status, error = run(line)
        assert status == 0, error


def faults(line, kills=3, sizes=(700,)):
    """Problems that kills and full disks leave."""
    problems = []
    clear()
    status, error = run(line, count_changes)
    if status != 0:
        return [f'fails without a fault: {error}']
    changes = int(Path('changes').read_text())
    check(problems, 'without a fault')
    for number in sorted({1 + (changes - 1) * k // (kills - 1) for k in range(kills)}):
        clear()
        status, error = run(line, lambda number=number: kill_at_change(number))
        if status != -signal.SIGKILL:
            problems.append(f'not killed at change {number} of {changes}: {status}')
        check(problems, f'killed at change {number} of {changes}')
    for size in sizes:
        clear()
        status, _ = run(line, lambda size=size: limit_files(size, kill=True))
        check(problems, f'killed at byte {size}, {status}')
        clear()
        status, error = run(line, lambda size=size: limit_files(size, kill=False))
        check(problems, f'full disk at byte {size}')
        expected = 'cannot be written: ' in error and 'Traceback' not in error
        if status != 1 or not expected or list(Path('out').rglob('.sgnet-*')):
            problems.append(f'full disk at byte {size}, {status}: {error}')
    return problems


if __name__ == '__main__':
    os.chdir(sys.argv[1])
    os.environ['XDG_CACHE_HOME'] = str(Path('cache').resolve())
    for module in IMPORTED:
        importlib.import_module(module)
    prepare()
    chosen = sys.argv[2:] or COMMANDS
    print(json.dumps({name: faults(COMMANDS[name]) for name in chosen}, indent=1))
