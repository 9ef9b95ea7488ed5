# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for large images, set before rclpy starts.

The default shared-memory segment of Fast DDS has 512 KiB. Fast DDS overwrites data in it that a
reader has not taken yet. Measured with a bag of 640x480 frames at 5 Hz, reliable, on an idle
machine: one colour image in five came a frame late, and only 26 of 60 camera_info arrived. With
the profile all arrived within 10 ms. The segment belongs to the sender and serves all its readers.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sgnet_ros.compat.distributions import PROFILE_VARIABLES, profile_variables

PROFILE = 'fastdds_large_images.xml'
USER_SETTINGS = (*PROFILE_VARIABLES, 'FASTDDS_BUILTIN_TRANSPORTS')
"""Variables that choose the transports; the profile would override them."""
SHARED_MEMORY = Path('/dev/shm')
REQUIRED_BYTES = 128 * 2**20
"""Enough for a camera, the node and two subscribers. The default of Docker is 64 MiB."""

_logger = logging.getLogger(__name__)


def large_image_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set before rclpy starts; only Fast DDS reads them.

    {} if the user has set one of `USER_SETTINGS`, or without enough shared memory.
    """
    if any(name in environ for name in USER_SETTINGS):
        return {}
    if not (SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free >= REQUIRED_BYTES):
        _logger.warning(
            'less than %d MiB free in %s: Fast DDS may lose large images; start the container '
            'with --shm-size 512m or --ipc host',
            REQUIRED_BYTES // 2**20,
            SHARED_MEMORY,
        )
        return {}
    for folder in _config_folders():
        if (folder / PROFILE).is_file():
            return dict.fromkeys(profile_variables(environ), str(folder / PROFILE))
    _logger.warning('%s not found: Fast DDS may lose large images', PROFILE)
    return {}


def profile_text(environ: Mapping[str, str], middleware: str) -> str:
    """A log line about the settings of `middleware`, as rclpy names it."""
    if 'fastrtps' not in middleware:
        return f'middleware: {middleware}, settings of the user'
    chosen = [f'{name}={environ[name]}' for name in USER_SETTINGS if name in environ]
    return f'middleware: {middleware}, {", ".join(chosen) or "defaults, which lose large images"}'


def _config_folders() -> Iterator[Path]:
    """Candidates for `config/`: a checkout, or the installation of colcon or pip."""
    yield Path(__file__).resolve().parents[2] / 'config'
    with contextlib.suppress(ImportError, LookupError, OSError):
        # There is no ament index, it is not set up, or it lacks this package.
        from ament_index_python.packages import get_package_share_directory

        yield Path(get_package_share_directory('sgnet_ros')) / 'config'
    yield Path(sys.prefix) / 'share' / 'sgnet_ros' / 'config'
