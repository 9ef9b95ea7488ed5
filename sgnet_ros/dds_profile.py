# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for large images, set before rclpy starts.

With its default shared-memory segment of 512 KiB, Fast DDS overwrites what a reader has not taken
yet. Of a bag of 640x480 frames at 5 Hz, reliable, on an idle machine, colour came a frame late one
time in five, and 26 of 60 camera_info came at all, in bursts every three seconds; with the profile
all came, within 10 ms. The segment is the sender's: the profile helps whoever listens.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sgnet_ros.distributions import PROFILE_VARIABLES, profile_variables

PROFILE = 'fastdds_large_images.xml'
USERS_CHOICES = (*PROFILE_VARIABLES, 'FASTDDS_BUILTIN_TRANSPORTS')
"""Whoever sets one of these has chosen the transports; the profile would override the last."""
SHARED_MEMORY = Path('/dev/shm')
ROOM = 128 * 2**20
"""Bytes of it for a camera, the node and two listeners. Docker gives 64 MiB unless asked."""

_logger = logging.getLogger(__name__)


def large_image_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set before rclpy starts; none where the user has chosen, or without room.

    Middlewares other than Fast DDS do not read them.
    """
    if any(name in environ for name in USERS_CHOICES):
        return {}
    if not _has_room():
        _logger.warning(
            'less than %d MiB free in %s: Fast DDS may lose large images; start the container '
            'with --shm-size 512m or --ipc host',
            ROOM // 2**20,
            SHARED_MEMORY,
        )
        return {}
    for folder in _config_folders():
        if (folder / PROFILE).is_file():
            return dict.fromkeys(profile_variables(environ), str(folder / PROFILE))
    _logger.warning('%s not found: Fast DDS may lose large images', PROFILE)
    return {}


def profile_text(environ: Mapping[str, str], middleware: str) -> str:
    """What was chosen for `middleware`, as rclpy names it; for the log."""
    if 'fastrtps' not in middleware:
        return f'middleware: {middleware}, its settings as you have them'
    chosen = [f'{name}={environ[name]}' for name in USERS_CHOICES if name in environ]
    return f'middleware: {middleware}, {", ".join(chosen) or "defaults, which lose large images"}'


def _has_room() -> bool:
    return SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free >= ROOM


def _config_folders() -> Iterator[Path]:
    """Where `config/` may be: in a checkout, or where colcon or pip have installed it."""
    yield Path(__file__).resolve().parents[1] / 'config'
    with contextlib.suppress(ImportError, LookupError, OSError):
        # No ament index here, none that is set up, or we are not in it.
        from ament_index_python.packages import get_package_share_directory

        yield Path(get_package_share_directory('sgnet_ros')) / 'config'
    yield Path(sys.prefix) / 'share' / 'sgnet_ros' / 'config'
