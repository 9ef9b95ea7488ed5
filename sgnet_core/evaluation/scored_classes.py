# SPDX-License-Identifier: Apache-2.0
"""Labels and masks in the classes that are scored (`--remap`).

Classes that a mapping does not list are ignored in the truth and wrong in a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sgnet_core.inference.class_mapping import ClassMapping
from sgnet_core.labels import label_set_of, remap
from sgnet_core.types import Sample

if TYPE_CHECKING:
    from sgnet_core.inference.segmenter import Segmenter


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
        self.label_set = label_set_of(predicted) if mapping is None else mapping.label_set
        self._mapping, self._truth_ids, self._mask_ids = mapping, None, None
        if mapping is not None:
            self._truth_ids = mapping.lookup(truth)
            if tuple(predicted) != self.class_names:  # equal: a node with classes.groups
                mapping.check([*truth, *predicted])
                self._mask_ids = mapping.lookup(predicted)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of scored class i at index i."""
        return self.label_set.class_names

    def sample(self, sample: Sample) -> Sample:
        """The sample with labels of the scored classes."""
        if self._truth_ids is None or sample.labels is None:
            return sample
        return replace(sample, labels=remap(sample.labels, self._truth_ids))

    def mask(self, labels: np.ndarray) -> np.ndarray:
        """(H, W) uint8 ids of the scored classes, from predicted ones."""
        return labels if self._mask_ids is None else remap(labels, self._mask_ids)

    def segmenter(self, segmenter: Segmenter) -> Segmenter:
        """The segmenter with the scored classes, which sums probabilities."""
        return segmenter if self._mapping is None else segmenter.mapped(self._mapping)
