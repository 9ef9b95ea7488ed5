# SPDX-License-Identifier: Apache-2.0
"""Training state for `--resume`: written atomically, and loaded only with the same settings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sgnet_core.checkpoint.torch_files import load_tensors
from sgnet_core.errors import ConfigError, SgnetError, WriteError, first_line, renamed_keys
from sgnet_core.io.files import write_file
from sgnet_core.training.config import RENAMED, TrainConfig, as_plain

_REMEDY = 'start a new run, from best.safetensors with --init'


def save_training_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state atomically.

    Raises:
        SgnetError: the file cannot be written, for example on a full disk; the old one stays.
    """
    data = io.BytesIO()
    torch.save(state, data)
    with resume_hint(path):
        write_file(path, data.getbuffer(), durable=True)


@contextmanager
def resume_hint(path: Path) -> Iterator[None]:
    """Add to a WriteError of the block how the run of the training state `path` goes on."""
    try:
        yield
    except WriteError as error:
        hint = 'start again: there is no state to resume'
        if path.is_file():
            hint = 'continue with --resume from the last complete epoch'
        raise SgnetError(f'{error}, then {hint}') from error


def load_training_state(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read the file of `save_training_state`; only the number of epochs may have changed.

    Raises:
        ConfigError: the file is missing, damaged or from other settings, or all epochs are done.
    """
    if not path.is_file():
        raise ConfigError(f'cannot resume: {path} does not exist; run without --resume')
    state = load_tensors(path, ConfigError, _REMEDY)
    with restoring(path):
        # A setting that is newer than the state had its default value.
        before = as_plain(TrainConfig()) | renamed_keys(state['settings'], RENAMED, str(path))
        for name, value in settings.items():
            if name != 'epochs' and before.get(name) != value:
                raise ConfigError(
                    f'{path} was trained with {name}: {before.get(name)}, now it is {value}; '
                    'resume with the same settings or choose another --out'
                )
        done, epochs = state['epoch'], settings['epochs']
        if done >= epochs:
            raise ConfigError(f'{path} has completed {done} of {epochs} epochs; raise --epochs')
    return state


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Raise ConfigError where an entry of the state `path` is missing or of another type."""
    try:
        yield
    except SgnetError:
        raise
    except Exception as error:
        raise ConfigError(
            f'{path} is not a state of this run ({type(error).__name__}: {first_line(error)}); '
            f'{_REMEDY}'
        ) from error
