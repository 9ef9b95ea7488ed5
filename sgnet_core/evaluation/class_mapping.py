# SPDX-License-Identifier: Apache-2.0
"""Maps classes by name to new classes, for example 40 classes to 13 (`--remap`).

    furniture: [cabinet, desk, dresser]     # new class: its old classes
    floor: [floor, floor mat]

Class ids follow the order of the lines. Classes without a line are ignored in the truth and wrong
in a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sgnet_core.errors import ConfigError, InputError, reject_unknown_keys
from sgnet_core.io.text_files import read_yaml
from sgnet_core.labels import label_set_of, remap
from sgnet_core.types import UNLABELLED, RgbdFrame, Sample, SegmentationResult

if TYPE_CHECKING:
    from sgnet_core.inference.segmenter import Segmenter


@dataclass(frozen=True)
class ClassMapping:
    """Names of the new classes, and old name -> new id."""

    class_names: tuple[str, ...]
    new_id: dict[str, int]

    def lookup(self, class_names: Sequence[str]) -> np.ndarray:
        """(C,) uint8: the new id of each class, 255 if it has none."""
        return np.array([self.new_id.get(name, UNLABELLED) for name in class_names], np.uint8)


def read_class_mapping(path: Path) -> ClassMapping:
    """Read the YAML file.

    Raises:
        ConfigError: the file is missing, is not a map of lists, or names a class twice.
    """
    values = read_yaml(path)
    try:
        return _class_mapping(values)
    except InputError as error:
        raise ConfigError(f'{path}: {error}') from error


def _class_mapping(values: object) -> ClassMapping:
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
    """The classes that are scored; converts labels and masks to them.

    Args:
        truth, predicted: class names of the labels and of the masks.
        mapping: None compares both unchanged.

    Raises:
        ConfigError: `mapping` names a class that neither has.
    """

    def __init__(
        self, truth: Sequence[str], predicted: Sequence[str], mapping: ClassMapping | None
    ) -> None:
        self.class_names = tuple(predicted)
        self._truth_ids = self._mask_ids = None
        if mapping is not None:
            reject_unknown_keys(mapping.new_id, [*truth, *predicted], 'the classes to remap')
            self.class_names = mapping.class_names
            self._truth_ids, self._mask_ids = mapping.lookup(truth), mapping.lookup(predicted)

    def sample(self, sample: Sample) -> Sample:
        """The sample with labels of the scored classes."""
        if self._truth_ids is None:
            return sample
        return replace(sample, labels=remap(sample.labels, self._truth_ids))

    def mask(self, labels: np.ndarray) -> np.ndarray:
        """(H, W) uint8 ids of the scored classes, from predicted ones."""
        return labels if self._mask_ids is None else remap(labels, self._mask_ids)

    def segmenter(self, segmenter: Segmenter) -> Segmenter | MappedSegmenter:
        """The segmenter with masks of the scored classes."""
        return segmenter if self._mask_ids is None else MappedSegmenter(segmenter, self)


class MappedSegmenter:
    """A segmenter whose masks are mapped. Confidence stays that of the class before mapping."""

    def __init__(self, segmenter: Segmenter, classes: ScoredClasses) -> None:
        self.class_names = classes.class_names
        self._segmenter, self._classes = segmenter, classes

    def segment(self, frame: RgbdFrame) -> SegmentationResult:
        """As `Segmenter.segment`."""
        result = self._segmenter.segment(frame)
        labels = self._classes.mask(result.labels)
        return SegmentationResult(labels, lambda: result.confidence, self.class_names)
