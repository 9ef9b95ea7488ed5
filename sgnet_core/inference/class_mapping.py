# SPDX-License-Identifier: Apache-2.0
"""Maps classes by name to new classes: `classes.groups` of the node, `--remap` of the evaluators.

    free: [floor, floor mat]                # new class: its old classes
    dynamic: {classes: [person], color: [255, 0, 0]}

Class ids follow the order of the lines. Classes without a line become unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import numpy as np
from torch import Tensor

from sgnet_core.errors import ConfigError, InputError, reject_unknown_keys
from sgnet_core.io.text_files import read_yaml
from sgnet_core.labels import LabelSet, label_set_of
from sgnet_core.types import UNLABELLED


@dataclass(frozen=True)
class ClassMapping:
    """The new classes, and old name -> new id."""

    label_set: LabelSet
    new_id: dict[str, int]

    def check(self, class_names: Iterable[str]) -> None:
        """Raise ConfigError for an old class that is not one of these."""
        reject_unknown_keys(self.new_id, class_names, 'the classes to group', noun='class')

    def lookup(self, class_names: Sequence[str]) -> np.ndarray:
        """(C,) uint8: the new id of each class, 255 if it has none."""
        return np.array([self.new_id.get(name, UNLABELLED) for name in class_names], np.uint8)


def merged_scores(scores: Tensor, lookup: np.ndarray) -> Tensor:
    """Log-probabilities of the new classes: the probabilities of their old classes are summed.

    Args:
        scores: (N, C, h, w), before softmax.
        lookup: (C,) uint8, new id of each class; 255 has its own channel after the new classes, so
            that a new class must be more probable than each class that has none.

    Returns:
        (N, M, h, w) float32.
    """
    channel, single = lookup.astype(np.int64), lookup == UNLABELLED
    count = int(channel[~single].max(initial=-1)) + 1
    channel[single] = count + np.arange(single.sum())
    members = torch.zeros(int(channel.max()) + 1, len(channel), device=scores.device)
    members[torch.from_numpy(channel), torch.arange(len(channel))] = 1
    merged = members @ scores.float().softmax(1).flatten(2)
    smallest = torch.finfo(merged.dtype).tiny
    return merged.clamp_min_(smallest).log_().unflatten(2, scores.shape[2:])


def read_class_mapping(path: Path) -> ClassMapping:
    """Read the YAML file.

    Raises:
        ConfigError: the file is missing, is not a map of classes, names a class twice, or a new
            class is empty or has an invalid colour.
    """
    values = read_yaml(path)
    try:
        return _class_mapping(values)
    except InputError as error:
        raise ConfigError(f'{path}: {error}') from error


def _class_mapping(values: object) -> ClassMapping:
    if not isinstance(values, dict) or not values:
        raise ConfigError('it must hold lines `new class: [old class, old class]`')
    names = [str(name) for name in values]
    label_set = label_set_of(names)
    palette, new_id = label_set.palette.copy(), {}
    for index, (new, value) in enumerate(zip(names, values.values(), strict=True)):
        olds = value
        if isinstance(value, dict):
            reject_unknown_keys(value, ('classes', 'color'), new)
            olds = value.get('classes')
            if 'color' in value:
                palette[index] = _color(new, value['color'])
        if not isinstance(olds, list):
            raise ConfigError(f'{new}: {olds!r} must be a list of classes, like [floor, floor mat]')
        if not olds:
            raise ConfigError(f'{new} is empty; list at least one class, or remove the line')
        for old in map(str, olds):
            if old in new_id:
                raise ConfigError(
                    f'{old!r} is in {names[new_id[old]]!r} and again in {new!r}; it can only '
                    'become one class'
                )
            new_id[old] = index
    for index, color in enumerate(palette.tolist()):
        if color in palette[:index].tolist():
            other = names[palette.tolist().index(color)]
            raise ConfigError(f'{other!r} and {names[index]!r} have the same color {color}')
    return ClassMapping(LabelSet(label_set.name, label_set.class_names, palette), new_id)


def _color(name: str, color: object) -> list[int]:
    valid = isinstance(color, list) and [type(value) for value in color] == [int] * 3
    if not valid or not all(0 <= value <= 255 for value in color) or not any(color):
        raise ConfigError(
            f'{name}: color must be [red, green, blue], 0 to 255, not black (unlabelled), got '
            f'{color!r}'
        )
    return color
