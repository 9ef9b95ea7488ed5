# SPDX-License-Identifier: Apache-2.0
"""The state of a run between two epochs: written whole, and taken up only where it belongs."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from sgnet_core.errors import ConfigError, SgnetError
from sgnet_core.io.files import atomic_write
from sgnet_core.training.config import TrainConfig, as_plain

logger = logging.getLogger(__name__)


def save_training_state(path: Path, state: dict[str, Any]) -> None:
    """Write atomically.

    Raises:
        SgnetError: it cannot be written, for example on a full disk; what was there stays.
    """
    data = io.BytesIO()
    torch.save(state, data)
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(data.getbuffer())
    except OSError as error:
        raise SgnetError(
            f'{path} cannot be written ({error.strerror}); the state before this epoch is kept: '
            'make room and --resume'
        ) from error


def load_training_state(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read what `save_training_state` wrote.

    Of `settings` only the number of epochs may have changed: the schedule then bends here.

    Raises:
        ConfigError: there is no such file, it is damaged, it belongs to other settings, or no
            epoch is left to do.
    """
    if not path.is_file():
        raise ConfigError(f'nothing to resume: {path} does not exist; leave --resume out')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        before, done = state['settings'], state['epoch']
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f'{path} cannot be read ({type(error).__name__}); start a new run, from '
            'best.safetensors with --init'
        ) from error
    # What a state does not know of yet was as it is by default.
    before = as_plain(TrainConfig()) | before
    for name, value in settings.items():
        if name != 'epochs' and before.get(name) != value:
            raise ConfigError(
                f'{path} was trained with {name}: {before.get(name)}, now it is {value}; '
                'resume with the same settings or choose another --out'
            )
    if done >= settings['epochs']:
        raise ConfigError(
            f'{path} has {done} epochs already, {settings["epochs"]} are wanted: nothing is left '
            'to do; raise --epochs to train longer'
        )
    if before['epochs'] != settings['epochs']:
        logger.warning(
            'planned for %d epochs, now %d: the first %d keep the old schedule',
            before['epochs'], settings['epochs'], done,
        )  # fmt: skip
    return state
