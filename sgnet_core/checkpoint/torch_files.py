# SPDX-License-Identifier: Apache-2.0
"""Reads files of `torch.save` without running their code."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from sgnet_core.errors import CheckpointError, InputError


def load_tensors(
    path: Path, error: type[InputError] = CheckpointError, remedy: str = 'download it again'
) -> Any:
    """The tensors and plain values of a file, old or new format, on the CPU.

    Raises:
        error: the file is damaged, or asks for code; the message ends with `remedy`.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as problem:  # a damaged pickle can raise any exception
        text = str(problem) or type(problem).__name__
        if asked_for := re.search(r'GLOBAL (\S+)', text):
            raise error(
                f'{path} asks for {asked_for.group(1)}, which a file of tensors does not need; it '
                'was refused and none of its code was run; use a file with tensors and numbers only'
            ) from problem
        # PyTorch adds advice to the reason, for example to load the file unsafely.
        reason = re.split(r'\.\s|\n', text.rpartition('WeightsUnpickler error:')[2].strip())[0]
        raise error(f'{path} cannot be read as a PyTorch file ({reason}); {remedy}') from problem


def _check_archive(path: Path) -> None:
    """Check what PyTorch does not: checksums, and that the entries are not compressed."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError('its entries are compressed')
        if damaged := archive.testzip():
            raise ValueError(f'the checksum of {damaged} differs')
