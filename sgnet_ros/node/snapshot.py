# SPDX-License-Identifier: Apache-2.0
"""Writes one frame for a bug report to a folder that appears only when complete."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import cv2
import numpy as np

from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.io.files import atomic_write, write_file
from sgnet_core.io.images import write_mask
from sgnet_core.types import RgbdFrame, Sample, SegmentationResult
from sgnet_ros.compat.ros_api import CHOICES


def snapshot_folder(parent: str, node_name: str) -> Path:
    """A new folder in `parent` ('' = `$ROS_HOME/sgnet_snapshots`), named by node and time."""
    default = Path(os.environ.get('ROS_HOME') or '~/.ros') / 'sgnet_snapshots'
    name = f'{node_name}_{datetime.now():%Y-%m-%d_%H-%M-%S.%f}'
    return (Path(parent) if parent else default).expanduser() / name


def write_snapshot(
    folder: Path,
    frame_id: str,
    frame: RgbdFrame,
    result: SegmentationResult,
    about: Mapping[str, Any],
) -> None:
    """Write a data set of one frame without labels, its mask and `about.json`.

    Args:
        folder: must be new or empty; its parents are created.
        frame_id: names the files.
        about: the state of the node, ready for JSON.

    Raises:
        WriteError: the folder exists or cannot be written, or the disk is full.
    """
    with atomic_write(folder) as partial:
        with FolderWriter(partial, folder.name, frame.intrinsics, image_suffix='.png') as writer:
            writer.write(Sample(frame_id, frame))
        write_mask(partial / 'mask' / f'{frame_id}.png', result.labels)
        versions = {module.__name__: module.__version__ for module in (torch, np, cv2)}
        versions['python'] = platform.python_version()
        packages = {'ros_packages': CHOICES, 'versions': versions}
        text = json.dumps({'class_names': result.class_names, **about, **packages}, indent=2)
        write_file(partial / 'about.json', text)
