# SPDX-License-Identifier: Apache-2.0
"""The state of a run between two epochs: written whole, and taken up only where it belongs."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from sgnet_core.errors import ConfigError
from sgnet_core.training.config import TrainConfig, as_plain
from sgnet_core.whole_file import whole_file

logger = logging.getLogger(__name__)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write atomically, with the states of the random generators."""
    generators = {'cpu': torch.get_rng_state(), 'cuda': torch.cuda.get_rng_state_all()}
    with whole_file(path) as partial:
        torch.save({**state, 'generators': generators}, partial)


def load_state(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read what `save_state` wrote and put the random generators back.

    Of `settings` only the number of epochs may have changed: the schedule then bends here.

    Raises:
        ConfigError: there is no such file, it is damaged, it belongs to other settings, or no
            epoch is left to do.
    """
    if not path.is_file():
        raise ConfigError(f'nothing to resume: {path} does not exist; leave --resume out')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        before, done, generators = state['settings'], state['epoch'], state['generators']
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
    torch.set_rng_state(generators['cpu'])
    if len(generators['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(generators['cuda'])
    return state
