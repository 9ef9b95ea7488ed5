# SPDX-License-Identifier: Apache-2.0
"""Checks whether the installed cv_bridge works.

A cv_bridge that is compiled for NumPy 1 and runs with NumPy 2 (installed by pip beside a ROS
distribution) prints an error on import and ends the process with SIGSEGV in its first conversion.
So only another process can try it: this module as a program.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from types import ModuleType, SimpleNamespace

TIMEOUT_S = 60.0


def probe(module: ModuleType) -> None:
    """Convert one pixel; raises if that fails.

    This also reveals the changed type constants of opencv-python 5.
    """
    pixel = SimpleNamespace(
        height=1, width=1, encoding='bgr8', is_bigendian=0, step=3, data=bytes([1, 2, 3])
    )
    converted = module.CvBridge().imgmsg_to_cv2(pixel, 'rgb8')
    if converted.ravel().tolist() != [3, 2, 1]:
        raise ImportError(f'its conversion of one pixel is wrong: {converted.ravel().tolist()}')


def probe_in_subprocess() -> None:
    """Import cv_bridge and convert a pixel in another process.

    Raises:
        ImportError: it failed or crashed.
        subprocess.TimeoutExpired: it did not end.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'sgnet_ros.compat.cv_bridge_probe'],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ImportError(f'converting one pixel ends the process with {name}')
    if done.returncode:
        raise ImportError((done.stderr.strip().splitlines() or ['no error message'])[-1])


if __name__ == '__main__':
    probe(importlib.import_module('cv_bridge'))
