# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for large images, for processes of ours that are not started by hand.

With its default shared-memory segment of 512 KiB, Fast DDS overwrites what a reader has not taken
yet. Of a bag of 640x480 frames at 5 Hz, reliable, on an idle machine, colour came a frame late one
time in five, and 26 of 60 camera_info came at all, in bursts every three seconds; with the profile
all came, within 10 ms. The segment is the sender's: the profile helps whoever listens.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

PROFILE = 'fastdds_large_images.xml'
VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Of Fast DDS 2 (up to Jazzy) and 3 (from Kilted). Other middlewares read neither."""

_logger = logging.getLogger(__name__)


def large_image_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set before rclpy starts; none where the user has a profile already."""
    if any(name in environ for name in VARIABLES):
        return {}
    for folder in _config_folders():
        if (folder / PROFILE).is_file():
            return dict.fromkeys(VARIABLES, str(folder / PROFILE))
    _logger.warning('%s not found: Fast DDS may lose large images', PROFILE)
    return {}


def _config_folders() -> list[Path]:
    """Where `config/` may be: in a checkout, or where colcon or pip have installed it."""
    folders = [Path(__file__).resolve().parents[1] / 'config']
    try:
        from ament_index_python.packages import get_package_share_directory

        folders.append(Path(get_package_share_directory('sgnet_ros')) / 'config')
    except (ImportError, LookupError, OSError):
        pass  # no ament index here, none that is set up, or we are not in it
    return [*folders, Path(sys.prefix) / 'share' / 'sgnet_ros' / 'config']
