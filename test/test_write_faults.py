# SPDX-License-Identifier: Apache-2.0
"""Kills and full disks leave nothing under a final name that cannot be read, and no leftovers."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMANDS = (
    'frames_to_bag',
    'frames_to_bag sqlite3',
    'bag_to_frames --classes',
    'prepare_dataset',
    'average',
)


def test_faults_while_writing_leave_nothing_unreadable(tmp_path):
    program = Path(__file__).with_name('write_faults.py')
    folders = os.pathsep.join(sys.path)
    environment = {**os.environ, 'PYTHONPATH': folders, 'OMP_NUM_THREADS': '1'}
    run = subprocess.run(
        [sys.executable, program, tmp_path, *COMMANDS],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == dict.fromkeys(COMMANDS, [])
