# SPDX-License-Identifier: Apache-2.0
"""The demo: three processes over DDS, consistent metrics, no process left behind."""

import contextlib
import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import cv2
import pytest

from sgnet_core.cli.runner import run_command

TIMEOUT_S = 240.0


@pytest.fixture
def demo(start_command, tmp_path):
    """Starts the demo in tmp_path/out; checks that all its processes end."""
    processes = []

    def start(*argv):
        processes.append(start_command('demo', '--out', tmp_path / 'out', *argv))
        return processes[-1]

    yield start
    for process in processes:
        process.terminate()
        process.wait(TIMEOUT_S)
    assert commands_that_name(tmp_path) == []


def commands_that_name(folder):
    """Command lines of running processes with the path of `folder`."""
    commands = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):  # the process has ended
            commands.append(file.read_bytes().replace(b'\0', b' ').decode(errors='replace'))
    return [command for command in commands if str(folder) in command]


def finish(process):
    """Wait for the end; returns the output."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert 'Traceback' not in output, output
    return output


def check_metrics(out, frames):
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['frames_sent'] == frames
    assert metrics['masks'] + sum(metrics['dropped'].values()) == metrics['pairs']
    assert 1 <= metrics['masks'] <= metrics['pairs'] <= frames
    assert 0 < metrics['latency_ms']['p50'] <= metrics['latency_ms']['p95']
    assert metrics['fps'] is None or metrics['fps'] > 0
    overlays = sorted((out / 'overlays').glob('*.png'))
    assert len(overlays) == metrics['masks']
    assert all(file.stem.startswith('frame_') for file in overlays)
    assert cv2.imread(str(out / 'contact_sheet.png')).size > 0
    video = cv2.VideoCapture(str(out / 'masks.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == metrics['masks']
    assert not (out / 'bag').exists()
    return metrics


def test_demo_shows_generated_rooms(demo, checkpoint, tmp_path):
    process = demo('--count', 4, '--rate', 4, '--checkpoint', checkpoint)
    output = finish(process)
    assert process.returncode == 0, output
    metrics = check_metrics(tmp_path / 'out', 4)
    assert 0 <= metrics['miou'] <= 1
    assert metrics['source'] == 'generated rooms'
    assert 'mIoU' in output
    image = cv2.imread(str(next((tmp_path / 'out' / 'overlays').iterdir())))
    assert image.shape == (480, 640, 3)


def test_demo_with_viewer_waits_for_ctrl_c(demo, checkpoint, tiny_dataset):
    pytest.importorskip('rerun')
    process = demo('--view', '--frames', tiny_dataset.root, '--checkpoint', checkpoint)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if address := re.search(r'watch: (\S+)', line):
            page = address[1]
        if 'Ctrl-C ends the viewer' in line:
            break
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(page, timeout=60).status == 200, lines
    process.send_signal(signal.SIGINT)
    finish(process)
    assert process.returncode == 0


def test_demo_replaces_the_files_of_an_earlier_demo(demo, checkpoint, tiny_dataset, tmp_path):
    old = tmp_path / 'out' / 'overlays' / 'frame_000099.png'
    old.parent.mkdir(parents=True)
    old.touch()
    (tmp_path / 'out' / '.lock').touch()
    process = demo(
        *('--frames', tiny_dataset.root, '--split', 'fit', '--rate', 5, '--checkpoint', checkpoint)
    )
    output = finish(process)
    assert process.returncode == 0, output
    metrics = check_metrics(tmp_path / 'out', 3)
    assert metrics['source'] == 'tiny'
    assert 'miou' in metrics


def test_error_has_the_log_of_the_node(demo, tiny_dataset, tmp_path):
    broken = tmp_path / 'broken.safetensors'
    broken.write_bytes(b'no tensors here')
    process = demo('--frames', tiny_dataset.root, '--checkpoint', broken)
    output = finish(process)
    assert process.returncode == 1
    assert 'segmentation_node has ended: exit status 2; the end of its log:' in output
    assert 'broken.safetensors' in output
    assert not (tmp_path / 'out' / 'bag').exists()


def test_ctrl_c_ends_all_processes_and_keeps_overlays(demo, checkpoint, tiny_dataset, tmp_path):
    process = demo('--frames', tiny_dataset.root, '--rate', 0.5, '--checkpoint', checkpoint)
    overlays = tmp_path / 'out' / 'overlays'
    while not any(overlays.glob('*.png')):
        try:
            output = process.communicate(timeout=0.1)[0]
            pytest.fail(f'ended before the first mask:\n{output}')
        except subprocess.TimeoutExpired:
            pass
    process.send_signal(signal.SIGINT)
    output = finish(process)
    assert process.returncode == 130, output
    assert 'interrupted' in output
    assert any(overlays.glob('*.png'))
    assert not (tmp_path / 'out' / 'bag').exists()


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--count', '0'], '--count must be at least 1'),
        (['--rate', '0'], '--rate must be above 0'),
        (['--frames', '/nothing/here'], '/nothing/here'),
        (['--checkpoint', '/nothing/here'], 'no checkpoint at /nothing/here'),
    ],
)
def test_demo_rejects_invalid_options(argv, message, tmp_path, capsys):
    assert run_command('sgnet_ros', 'demo', [*argv, '--out', str(tmp_path / 'out')]) == 2
    assert message in capsys.readouterr().err
