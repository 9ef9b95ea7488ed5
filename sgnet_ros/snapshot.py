# SPDX-License-Identifier: Apache-2.0
"""One frame for a bug report: files of one folder, there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.image_files import write_file, write_mask
from sgnet_core.data.sample import Sample
from sgnet_core.errors import SgnetError
from sgnet_core.types import RgbdFrame, SegmentationResult


def default_folder() -> Path:
    """Where snapshots go unless told otherwise: `$ROS_HOME/sgnet_snapshots`."""
    return Path(os.environ.get('ROS_HOME') or '~/.ros').expanduser() / 'sgnet_snapshots'


def write_snapshot(
    folder: Path,
    frame_id: str,
    frame: RgbdFrame,
    result: SegmentationResult,
    about: Mapping[str, Any],
) -> None:
    """Write `folder`, a data set of one frame without labels, and beside it what came of the frame.

    `image/ID.png`, `depth/ID.png` (millimetres) and `dataset.yaml` with the intrinsics are what
    `predict` and the other commands read; `mask/ID.png` has the class ids as they were published,
    255 = unlabelled, and `about.json` the class names and `about`.

    Args:
        folder: new; folders above it are made.
        frame_id: ID.
        about: circumstances, as JSON has them.

    Raises:
        SgnetError: the folder exists or cannot be written, or the disk is full.
    """
    partial = folder.with_name(f'.{folder.name}.{os.getpid()}.partial')
    try:
        with FolderWriter(partial, folder.name, frame.intrinsics, image_suffix='.png') as writer:
            writer.write(Sample(frame_id, frame))
        write_mask(partial / 'mask' / f'{frame_id}.png', result.labels)
        text = json.dumps({'class_names': result.class_names, **about}, indent=2)
        write_file(partial / 'about.json', text.encode())
        partial.rename(folder)
    except OSError as error:
        raise SgnetError(f'{folder}: cannot be written: {error.strerror}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
