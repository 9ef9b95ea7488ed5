# SPDX-License-Identifier: Apache-2.0
"""What label images say about `label_offset`, void, and the classes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from sgnet_core.data.dataset_yaml import DATASET_FILE
from sgnet_core.data.validation.finding import Finding, error, few, share, warning
from sgnet_core.data.validation.label_values import LabelNumbers

VOID_NAMES = ('void', 'unlabelled', 'unlabeled', 'unannotated', 'ignore', 'ignored', 'undefined')
HEIGHTS = {'floor': (0.5, 1.0), 'ceiling': (0.0, 0.5)}
"""Where in a picture, from the top, the middle of a class is: 0.84 and 0.12 in NYUv2."""
_VALUES = 1 << 16
_FEW_FRAMES = 3
_NAMES_SHOWN = 8


class LabelCheck:
    """Counts label values frame by frame, as they are in the files, and judges them at the end.

    Attributes:
        class_names: without void.
        counts: (65536,) int64, pixels of every value in the files.
        frames: (65536,) int64, in how many frames every value is.
    """

    def __init__(self, class_names: tuple[str, ...], offset: int) -> None:
        self.class_names, self._offset = class_names, offset
        self.counts = np.zeros(_VALUES, np.int64)
        self.frames = np.zeros(_VALUES, np.int64)
        self._ids: dict[int, list[str]] = defaultdict(list)
        self._empty: list[str] = []
        self._read = 0
        self._height_sums: dict[str, float] = defaultdict(float)
        self._seen: dict[str, np.ndarray] = {}

    def add(self, sample_id: str, labels: np.ndarray, split: str | None = None) -> None:
        """Count one image, (H, W) uint8 or uint16."""
        counts = np.bincount(labels.ravel(), minlength=_VALUES)
        self.counts += counts
        self.frames += counts > 0
        self._read += 1
        present = self.of_classes(counts) > 0
        if not present.any():
            self._empty.append(sample_id)
        for value in LabelNumbers(counts, self.class_names, self._offset).foreign:
            self._ids[value].append(sample_id)
        rows = (np.arange(labels.shape[0]) + 0.5) / labels.shape[0]
        for name in HEIGHTS:
            if name in self.class_names:
                here = labels == self.class_names.index(name) + self._offset
                self._height_sums[name] += float(rows @ np.count_nonzero(here, axis=1))
        if split is not None:
            self._seen[split] = self._seen.get(split, False) | present

    def of_classes(self, of_values: np.ndarray) -> np.ndarray:
        """(C,): what there is of each class in what there is of each value."""
        return of_values[self._offset : self._offset + len(self.class_names)]

    def findings(self, are_all: bool) -> list[Finding]:
        """What is wrong with the labels counted so far, which are those of all frames or not."""
        if not self._read:
            return []
        numbers = LabelNumbers(self.counts, self.class_names, self._offset)
        misread = numbers.misread()
        if misread:
            # The rest would only repeat in other words that the numbers mean something else.
            ids = dict.fromkeys(i for value in numbers.foreign for i in self._ids[value])
            return [replace(misread, ids=tuple(ids))]
        shifted = numbers.perhaps_shifted()
        return [
            *self._void_as_class(),
            *([shifted] if shifted else []),
            *self._odd_places(),
            *self._unlabelled(),
            *self._missing_classes(),
            *(self._classes_in_one_split() if are_all else ()),
        ]

    def _void_as_class(self) -> list[Finding]:
        found = [name for name in self.class_names if name.lower() in VOID_NAMES]
        if not found:
            return []
        seen = f'{found[0]!r} is a class: the network would learn to answer it'
        if self.class_names[0] == found[0]:
            remedy = f'set label_offset: 1 in {DATASET_FILE} and call this line `void`'
            return [error('void_as_class', seen, remedy)]
        value = self.class_names.index(found[0]) + self._offset
        void = 0 if self._offset else 255
        remedy = f'unless you want that, write {void} for {value} in the images'
        return [warning('void_as_class', seen, remedy)]

    def _odd_places(self) -> list[Finding]:
        found = []
        for name, (low, high) in HEIGHTS.items():
            if name not in self.class_names:
                continue
            value = self.class_names.index(name) + self._offset
            height = self._height_sums[name] / max(self.counts[value], 1)
            if self.frames[value] > _FEW_FRAMES and not low <= height <= high:
                found.append(
                    warning(
                        'label_places',
                        f'{name!r} lies on average at {share(height, 1)} of the height of the '
                        'pictures, counted from the top',
                        'look at the contact sheet: are the classes shifted by one (label_offset), '
                        'listed in another order, or the pictures upside down?',
                    )
                )
        return found

    def _unlabelled(self) -> list[Finding]:
        if self._empty:
            remedy = 'label these frames, or take them out of the splits'
            raised = error if len(self._empty) == self._read else warning
            return [raised('labels_empty', 'no pixel has a class', remedy, self._empty)]
        total = self.counts.sum()
        void = total - self.of_classes(self.counts).sum()
        if void <= 0.6 * total:
            return []
        return [
            warning(
                'labels_sparse',
                f'{share(void, total)} of the pixels are unlabelled',
                'training ignores them; if they are background, give it a class of its own',
            )
        ]

    def _missing_classes(self) -> list[Finding]:
        present = self.of_classes(self.counts) > 0
        if present.all() or not present.any():
            return []
        return [
            warning(
                'classes_missing',
                f'{np.count_nonzero(~present)} of {len(present)} classes have no pixel in '
                f'{self._read} frames: {self._names(~present)}',
                'add frames that show them, or list only the classes you have: they cannot be '
                'learnt, and count in no score',
            )
        ]

    def _classes_in_one_split(self) -> list[Finding]:
        present = self.of_classes(self.counts) > 0
        return [
            warning(
                'classes_in_one_split',
                f'split {split!r} has no pixel of {self._names(present & ~seen)}, which other '
                'frames have',
                'move frames between the splits, so that each class is learnt and measured',
            )
            for split, seen in self._seen.items()
            if (present & ~seen).any() and len(self._seen) > 1
        ]

    def _names(self, chosen: np.ndarray) -> str:
        named = [
            name for name, is_chosen in zip(self.class_names, chosen, strict=True) if is_chosen
        ]
        return few(named, _NAMES_SHOWN)
