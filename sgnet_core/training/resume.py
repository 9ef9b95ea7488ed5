# SPDX-License-Identifier: Apache-2.0
"""Training state for `--resume`: written atomically, and loaded only with the same settings."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sgnet_core.errors import ConfigError, SgnetError, WriteError, renamed_keys
from sgnet_core.io.files import write_file
from sgnet_core.training.config import RENAMED, TrainConfig, as_plain


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
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        before, done = state['settings'], state['epoch']
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f'{path} cannot be read ({type(error).__name__}); start a new run, from '
            'best.safetensors with --init'
        ) from error
    # A setting that is newer than the state had its default value.
    before = as_plain(TrainConfig()) | renamed_keys(before, RENAMED, str(path))
    for name, value in settings.items():
        if name != 'epochs' and before.get(name) != value:
            raise ConfigError(
                f'{path} was trained with {name}: {before.get(name)}, now it is {value}; '
                'resume with the same settings or choose another --out'
            )
    epochs = settings['epochs']
    if done >= epochs:
        raise ConfigError(f'{path} has completed {done} of {epochs} epochs; raise --epochs')
    return state
