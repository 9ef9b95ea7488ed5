# SPDX-License-Identifier: Apache-2.0
"""Other classes made of given ones, by name: 40 classes as 13, or those of two sources as one set.

    furniture: [cabinet, desk, dresser]     # a new class: what it is made of
    floor: [floor, floor mat]

Class ids are those of the order of the lines. A class that no line names is not counted where it
is the truth, and is wrong where it is predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from sgnet_core.errors import ConfigError, InputError, first_line, reject_unknown_keys
from sgnet_core.labels import label_set_of
from sgnet_core.labels import remap as remap_ids
from sgnet_core.types import UNLABELLED, RgbdFrame, Sample, SegmentationResult

if TYPE_CHECKING:
    from sgnet_core.inference.segmenter import Segmenter


@dataclass(frozen=True)
class ClassMapping:
    """New classes, and what they are made of.

    Attributes:
        class_names: of the new classes.
        new_id: name of an old class -> id of the new one.
    """

    class_names: tuple[str, ...]
    new_id: dict[str, int]

    def lookup(self, class_names: Sequence[str]) -> np.ndarray:
        """(C,) uint8: the new id of each class, 255 where it has none."""
        return np.array([self.new_id.get(name, UNLABELLED) for name in class_names], np.uint8)

    def reject_unknown(self, *known: Iterable[str]) -> None:
        """Raise ConfigError where an old class is in none of the `known` names."""
        names = [name for class_names in known for name in class_names]
        reject_unknown_keys(self.new_id, names, 'the classes to remap')


def read_class_mapping(path: Path) -> ClassMapping:
    """Read such a YAML file.

    Raises:
        ConfigError: it is missing, no map of lists, or names a class twice.
    """
    try:
        text = path.read_text(encoding='utf-8')
        _reject_duplicates(yaml.compose(text, yaml.SafeLoader))
        return _parse_class_mapping(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML: {first_line(error)}') from error
    except InputError as error:
        raise ConfigError(f'{path}: {error}') from error


def _reject_duplicates(root: yaml.Node | None) -> None:
    """Raise ConfigError where two lines have one key: YAML would keep the last."""
    keys = [key.value for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f'{key!r} has {keys.count(key)} lines; put its classes into one')


def _parse_class_mapping(values: object) -> ClassMapping:
    if not isinstance(values, dict) or not values:
        raise ConfigError('it must hold lines `new class: [old class, old class]`')
    new_id: dict[str, int] = {}
    for index, (new, olds) in enumerate(values.items()):
        if not isinstance(olds, list) or not olds:
            raise ConfigError(f'{new}: {olds!r} must be a list of classes, like [floor, floor mat]')
        for old in map(str, olds):
            if old in new_id:
                raise ConfigError(f'{old!r} is listed twice; it can only become one class')
            new_id[old] = index
    return ClassMapping(label_set_of([str(name) for name in values]).class_names, new_id)


class ScoredClasses:
    """The classes that are scored, and how labels and masks become ones of these.

    Args:
        truth: names of the classes of the labels.
        predicted: names of those of the masks.
        remap: None = both are compared as they are.

    Attributes:
        class_names: of what is scored.

    Raises:
        ConfigError: `remap` names a class that neither has.
    """

    def __init__(
        self, truth: Sequence[str], predicted: Sequence[str], remap: ClassMapping | None
    ) -> None:
        self.class_names = tuple(predicted)
        self._of_truth = self._of_masks = None
        if remap is not None:
            remap.reject_unknown(truth, predicted)
            self.class_names = remap.class_names
            self._of_truth, self._of_masks = remap.lookup(truth), remap.lookup(predicted)

    def sample(self, sample: Sample) -> Sample:
        """The same frame with labels of these classes."""
        if self._of_truth is None:
            return sample
        return replace(sample, labels=remap_ids(sample.labels, self._of_truth))

    def mask(self, labels: np.ndarray) -> np.ndarray:
        """(H, W) uint8 ids of these classes, of predicted ones."""
        return labels if self._of_masks is None else remap_ids(labels, self._of_masks)

    def segmenter(self, segmenter: Segmenter) -> Segmenter | MappedSegmenter:
        """The same with masks of these classes."""
        return segmenter if self._of_masks is None else MappedSegmenter(segmenter, self)


class MappedSegmenter:
    """A segmenter whose masks are of other classes.

    Its confidence stays that of the class it chose: a lower bound, where several became one.
    """

    def __init__(self, segmenter: Segmenter, classes: ScoredClasses) -> None:
        self.class_names = classes.class_names
        self._segmenter = segmenter
        self._classes = classes

    def segment(self, frame: RgbdFrame) -> SegmentationResult:
        """As `Segmenter.segment`."""
        result = self._segmenter.segment(frame)
        labels = self._classes.mask(result.labels)
        return SegmentationResult(labels, result.confidence, self.class_names)
