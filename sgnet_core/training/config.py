# SPDX-License-Identifier: Apache-2.0
"""One training run, as one YAML file describes it. Data, not behaviour."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sgnet_core.errors import ConfigError, reject_unknown_keys, renamed_keys
from sgnet_core.model import SGNetConfig
from sgnet_core.preprocessing import DEPTH_FILLS, SIZE_MULTIPLE

OPTIMIZERS = ('adamw', 'sgd')
RENAMED = {'holes': 'depth_fill', 'teacher_zoom': 'teacher_scale'}
"""Old name of a setting -> new name. The old one is accepted with a warning for one version."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a run, except the data.

    Attributes:
        variant, spatial, joint_bilateral: see `SGNetConfig`.
        pretrained: start from ImageNet weights (lite variants only).
        input_size: (height, width) the network sees when it is used; multiples of 32.
        depth_fill: input where depth is missing, see `InputSpec`.
        crop_size: (height, width) of the training crops; multiples of 32. In a YAML file the
            default is `input_size`.
        scale: range of the random zoom, 1 = as seen at `input_size`.
        train_split, val_split: of the data set; the best epoch is chosen on `val_split`.
        degrade_depth: measure the depth of a view as a worse camera would, see `degrade_depth`.
        paste_probability: of a view that gets things of another one, see `class_mix`.
        room_frames: frames of generated rooms mixed into every epoch (classes must be NYU 40).
        epochs, batch_size: as usual; a batch is of all processes together.
        accumulate: parts a batch is computed in, one after the other, to save memory; each is
            normalised by its own BatchNorm statistics.
        optimizer: `adamw`, or `sgd` with momentum 0.9.
        learning_rate: peak of the poly schedule (power 0.9).
        backbone_rate_factor: the pretrained backbone learns this much slower.
        warmup_epochs: linear warm-up from zero.
        weight_decay: of matrices and kernels, not of biases and norms.
        class_weight_exponent: classes weigh frequency ** -exponent; 0 = all alike.
        auxiliary_weight: loss weight of the auxiliary head; 0 = without it.
        teacher_weight: share of the loss that teachers have, where there are any (`--teacher`);
            the labels have the rest.
        teacher_scale: teachers also see each crop enlarged by this factor, and both predictions are
            averaged; 1 = only the crop itself.
        ema_decay: of the averaged weights that are evaluated and shipped; 0 = without averaging.
        frozen_blocks: first blocks of a lite backbone that stay as they are, with its stem.
        frozen_norms: the backbone's BatchNorms keep the statistics they start with; cheaper, and
            better with small batches.
        loss_stride: the loss looks at every n-th pixel along each axis.
        evaluate_every: epochs between evaluations on `val_split`.
        seed: of everything random.
    """

    variant: str = 'sgnet_lite0'
    spatial: str = 'depth'
    joint_bilateral: bool = False
    pretrained: bool = True
    input_size: tuple[int, int] = (480, 640)
    depth_fill: str = 'smooth'
    crop_size: tuple[int, int] = (480, 640)
    scale: tuple[float, float] = (0.75, 1.75)
    train_split: str = 'fit'
    val_split: str = 'val'
    degrade_depth: bool = True
    paste_probability: float = 0.0
    room_frames: int = 0
    epochs: int = 100
    batch_size: int = 8
    accumulate: int = 1
    optimizer: str = 'adamw'
    learning_rate: float = 1e-3
    backbone_rate_factor: float = 0.3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.01
    class_weight_exponent: float = 0.0
    auxiliary_weight: float = 0.0
    teacher_weight: float = 0.5
    teacher_scale: float = 1.0
    ema_decay: float = 0.998
    frozen_blocks: int = 0
    frozen_norms: bool = False
    loss_stride: int = 1
    evaluate_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        try:
            self.architecture(num_classes=1)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        for name, allowed in (('optimizer', OPTIMIZERS), ('depth_fill', DEPTH_FILLS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f'{name} must be one of {", ".join(allowed)}, got {getattr(self, name)!r}'
                )
        counts = ('epochs', 'batch_size', 'accumulate', 'evaluate_every', 'loss_stride')
        for name in (*counts, 'learning_rate', 'teacher_scale'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} must be above 0, got {getattr(self, name)}')
        for name in ('seed', 'room_frames', 'frozen_blocks', 'auxiliary_weight'):
            if not getattr(self, name) >= 0:
                raise ConfigError(f'{name} must be at least 0, got {getattr(self, name)}')
        for name in ('input_size', 'crop_size'):
            size = getattr(self, name)
            if min(size) < 1 or any(n % SIZE_MULTIPLE for n in size):
                raise ConfigError(f'{name} must be multiples of {SIZE_MULTIPLE}, got {list(size)}')
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f'scale must be [low, high] with 0 < low <= high, got {self.scale}')
        for name in ('paste_probability', 'teacher_weight'):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f'{name} must be from 0 to 1, got {getattr(self, name)}')
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f'ema_decay must be at least 0 and below 1, got {self.ema_decay}')

    def architecture(self, num_classes: int) -> SGNetConfig:
        """Of the network that is trained."""
        return SGNetConfig(self.variant, num_classes, self.spatial, self.joint_bilateral)


def load_train_config(
    path: str | Path, inherited: Mapping[str, object] | None = None, **overrides: object
) -> TrainConfig:
    """Read a YAML file of `TrainConfig` fields.

    Args:
        path: the file.
        inherited: settings for what the file leaves out, before the defaults.
        overrides: settings that win over the file, unless they are None.

    Raises:
        ConfigError: no such file, not YAML, an unknown key (the nearest known one is named), or a
            value of the wrong type.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is not YAML: {" ".join(str(error).split())}') from error
    if not isinstance(values, dict):
        raise ConfigError(f'{path} must be a mapping of settings, got a {type(values).__name__}')
    values = renamed_keys(values, RENAMED, str(path))
    hints = typing.get_type_hints(TrainConfig)
    reject_unknown_keys(values, hints, str(path))
    values = {**(inherited or {}), **values}
    values |= {name: value for name, value in overrides.items() if value is not None}
    if 'input_size' in values:
        values.setdefault('crop_size', values['input_size'])
    return TrainConfig(
        **{name: _typed(path, name, value, hints[name]) for name, value in values.items()}
    )


def as_plain(config: TrainConfig) -> dict[str, object]:
    """The settings as JSON and YAML can hold them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(config).items()
    }


def _typed(path: Path, name: str, value: object, hint: type | types.GenericAlias) -> object:
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise ConfigError(f'{path}: {name} must be a list of {len(kinds)}, got {value!r}')
        return tuple(
            _typed(path, name, item, kind) for item, kind in zip(value, kinds, strict=True)
        )
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        hint_text = 'write 1.0e-3, not 1e-3: YAML takes that for text' if hint is float else ''
        raise ConfigError(
            f'{path}: {name} must be {hint.__name__}, got {value!r}'
            + (f' ({hint_text})' if isinstance(value, str) and hint_text else '')
        )
    return value
