# SPDX-License-Identifier: Apache-2.0
"""Settings of a training run, read from one YAML file."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sgnet_core.errors import ConfigError, check_type, reject_unknown_keys, renamed_keys
from sgnet_core.io.text_files import read_yaml
from sgnet_core.model import SGNetConfig
from sgnet_core.preprocessing import DEPTH_FILLS, MAX_SIZE, SIZE_MULTIPLE

RENAMED = {'holes': 'depth_fill', 'teacher_zoom': 'teacher_scale'}
"""Old name of a setting -> new name. The old one is accepted with a warning for one version."""

OPTIMIZERS = ('adamw', 'sgd')

_RULES = (
    ('optimizer', OPTIMIZERS.__contains__, f'one of {", ".join(OPTIMIZERS)}'),
    ('depth_fill', DEPTH_FILLS.__contains__, f'one of {", ".join(DEPTH_FILLS)}'),
    (
        'epochs batch_size evaluate_every learning_rate',
        lambda value: 0 < value <= 1_000_000,
        'above 0, up to 1000000',
    ),
    (
        'frozen_blocks auxiliary_weight backbone_rate_factor warmup_epochs weight_decay',
        lambda value: value >= 0,
        'at least 0',
    ),
    ('seed', lambda value: 0 <= value < 2**63, 'at least 0 and below 2^63'),
    ('loss_stride', lambda value: 1 <= value <= SIZE_MULTIPLE, f'from 1 to {SIZE_MULTIPLE}'),
    ('class_weight_exponent', lambda value: 0 <= value <= 4, 'from 0 to 4'),
    ('teacher_scale', lambda value: 0.1 <= value <= 10, 'from 0.1 to 10'),
    ('paste_probability teacher_weight', lambda value: 0 <= value <= 1, 'from 0 to 1'),
    ('ema_decay', lambda value: 0 <= value < 1, 'at least 0 and below 1'),
    (
        'input_size crop_size',
        lambda size: all(0 < n <= MAX_SIZE and n % SIZE_MULTIPLE == 0 for n in size),
        f'multiples of {SIZE_MULTIPLE} up to {MAX_SIZE}',
    ),
    (
        'scale',
        lambda value: 0.1 <= value[0] <= value[1] <= 10,
        '[low, high] with 0.1 <= low <= high <= 10',
    ),
)
"""Names of settings, the check of a value, and the rule in words."""


@dataclass(frozen=True)
class TrainConfig:
    """All settings that decide the result of a run, except the data."""

    # Architecture, see `SGNetConfig`.
    variant: str = 'sgnet_lite0'
    spatial: str = 'depth'
    joint_bilateral: bool = False
    pretrained: bool = True  # start from a pretrained backbone (not for ResNets)
    # (height, width) of the network input and of the crops; multiples of 32. In a YAML file the
    # default of `crop_size` is `input_size`.
    input_size: tuple[int, int] = (480, 640)
    depth_fill: str = 'smooth'  # input where depth is missing, see `InputSpec`
    crop_size: tuple[int, int] = (480, 640)
    scale: tuple[float, float] = (0.75, 1.75)  # range of the random zoom, relative to `input_size`
    train_split: str = 'fit'
    val_split: str = 'val'  # selects the best epoch
    degrade_depth: bool = True  # add depth noise to the crops, see `depth_noise.degrade_depth`
    # Share of the crops that receive classes of another one, see `class_mix`.
    paste_probability: float = 0.0
    epochs: int = 100
    batch_size: int = 8  # shared by all processes
    optimizer: str = 'adamw'  # or `sgd` with momentum 0.9
    learning_rate: float = 1e-3  # peak of the poly schedule (power 0.9)
    backbone_rate_factor: float = 0.3  # rate of a pretrained backbone, relative to the head
    warmup_epochs: float = 1.0  # linear, from zero
    weight_decay: float = 0.01  # of matrices and kernels, not of biases and norms
    class_weight_exponent: float = 0.0  # class weights are frequency ** -exponent; 0 = none
    auxiliary_weight: float = 0.0  # loss weight of the auxiliary head; 0 trains without it
    # Share of the distillation loss if there are teachers; the cross-entropy has the rest.
    teacher_weight: float = 0.5
    # Teachers also see each crop resized by this factor; both predictions are averaged.
    teacher_scale: float = 1.0
    ema_decay: float = 0.998  # of the averaged weights, which are evaluated and saved; 0 = none
    frozen_blocks: int = 0  # first blocks of a lite backbone, with its stem
    # Keep the BatchNorm statistics of the backbone: cheaper, and better with small batches.
    frozen_norms: bool = False
    loss_stride: int = 1  # compute the loss at every n-th pixel along each axis
    evaluate_every: int = 1  # epochs between evaluations on `val_split`
    seed: int = 0

    def __post_init__(self) -> None:
        try:
            self.architecture(num_classes=1)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        for name, hint in typing.get_type_hints(TrainConfig).items():
            check_type(name, getattr(self, name), hint)
        for names, is_valid, rule in _RULES:
            for name in names.split():
                value = getattr(self, name)
                if not is_valid(value):
                    raise ConfigError(f'{name} must be {rule}, got {value!r}')

    def architecture(self, num_classes: int) -> SGNetConfig:
        """The configuration of the trained network."""
        return SGNetConfig(self.variant, num_classes, self.spatial, self.joint_bilateral)


def load_train_config(
    path: str | Path, inherited: Mapping[str, object] | None = None, **overrides: object
) -> TrainConfig:
    """Read a YAML file of `TrainConfig` fields.

    Args:
        path: the YAML file.
        inherited: values for settings that the file leaves out.
        overrides: values that replace those of the file, unless they are None.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value has the wrong
            type.
    """
    path = Path(path)
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise ConfigError(f'{path} must be a mapping of settings, got a {type(values).__name__}')
    if 'room_frames' in values:
        raise ConfigError(f'{path}: room_frames was removed from training; delete the line')
    values = renamed_keys(values, RENAMED, str(path))
    hints = typing.get_type_hints(TrainConfig)
    reject_unknown_keys(values, hints, str(path))
    values = {**(inherited or {}), **values}
    values |= {name: value for name, value in overrides.items() if value is not None}
    if 'input_size' in values:
        values.setdefault('crop_size', values['input_size'])
    try:
        return TrainConfig(**{n: check_type(n, value, hints[n]) for n, value in values.items()})
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def as_plain(config: TrainConfig) -> dict[str, object]:
    """The settings as JSON and YAML values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(config).items()
    }
