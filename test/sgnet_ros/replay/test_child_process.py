# SPDX-License-Identifier: Apache-2.0
"""The end of child processes."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import sys, time
from pathlib import Path
from sgnet_ros.replay.child_process import ChildProcess
child = ChildProcess('server', ['--bind', '127.0.0.1', '0'], Path(sys.argv[1]), 'http.server')
print(child.pid, flush=True)
time.sleep(60)
"""


def wait_for(condition):
    """Wait until `condition()` is true."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not shutil.which('setpriv'), reason='needs setpriv of util-linux')
def test_child_ends_with_a_killed_parent(tmp_path):
    command = [sys.executable, '-c', PARENT, str(tmp_path / 'log')]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        process = Path(f'/proc/{int(parent.stdout.readline())}')
        wait_for(lambda: b'setpriv' not in (process / 'cmdline').read_bytes())
        parent.kill()
        parent.wait()

        def has_ended():
            try:
                return ') Z ' in (process / 'stat').read_text()
            except (FileNotFoundError, ProcessLookupError):
                return True

        wait_for(has_ended)
