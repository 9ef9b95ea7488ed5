# SPDX-License-Identifier: Apache-2.0
"""Checks label values, `label_offset`, void and classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sgnet_core.data.dataset_config import DATASET_FILE
from sgnet_core.data.validation.finding import Finding, error, few, share, warning
from sgnet_core.types import UNLABELLED

VOID_NAMES = ('void', 'unlabelled', 'unlabeled', 'unannotated', 'ignore', 'ignored', 'undefined')
HEIGHTS = {'floor': (0.5, 1.0), 'ceiling': (0.0, 0.5)}
"""Plausible mean height of a class in the image, from the top: 0.84 and 0.12 in NYUv2."""
_VALUES = 1 << 16
_MIN_FRAMES = 4
_VALUES_SHOWN, _NAMES_SHOWN = 5, 8
_COUNT_FROM_0 = f'set label_offset: 0 in {DATASET_FILE} and delete the line `void` of the classes'
_COUNT_FROM_1 = f'set label_offset: 1 in {DATASET_FILE} and add a line `void` before the classes'
_LOOK = 'look at the contact sheet; if classes are shifted, '


class LabelCheck:
    """Counts label values frame by frame, as stored, and checks them at the end.

    `counts` and `frames` are the numbers of pixels and of frames that hold each value.
    """

    def __init__(self, class_names: tuple[str, ...], offset: int) -> None:
        self.class_names, self._offset = class_names, offset
        self._last = offset + len(class_names) - 1
        self.counts, self.frames = np.zeros((2, _VALUES), np.int64)
        self._ids_of_unknown: dict[int, list[str]] = defaultdict(list)
        self._empty: list[str] = []
        self._read = 0
        self._height_sums: dict[str, float] = defaultdict(float)
        self._in_split: dict[str, np.ndarray] = {}

    def add(self, sample_id: str, labels: np.ndarray, split: str | None = None) -> None:
        """Count one image, (H, W) uint8 or uint16."""
        counts = np.bincount(labels.ravel(), minlength=_VALUES)
        self.counts += counts
        self.frames += counts > 0
        self._read += 1
        present = self.of_classes(counts) > 0
        if not present.any():
            self._empty.append(sample_id)
        values = np.flatnonzero(counts)
        for value in values[(values > self._last) & (values - self._offset != UNLABELLED)].tolist():
            self._ids_of_unknown[value].append(sample_id)
        rows = (np.arange(labels.shape[0]) + 0.5) / labels.shape[0]
        for name in filter(self.class_names.__contains__, HEIGHTS):
            here = labels == self._value(name)
            self._height_sums[name] += float(rows @ np.count_nonzero(here, axis=1))
        if split is not None:
            self._in_split[split] = self._in_split.get(split, False) | present

    def of_classes(self, of_values: np.ndarray) -> np.ndarray:
        """The entries of the classes, (C,), in an array with an entry per value."""
        return of_values[self._offset : self._last + 1]

    def findings(self, all_read: bool) -> list[Finding]:
        """Problems of the labels counted so far; `all_read`: these are all frames."""
        if not self._read:
            return []
        if invalid := self._invalid():
            # The other checks would repeat that the values have another meaning.
            ids = dict.fromkeys(i for _, some in sorted(self._ids_of_unknown.items()) for i in some)
            return [replace(invalid, ids=tuple(ids))]
        found = [*self._void_as_class(), *self._shifted(), *self._implausible_heights()]
        return [*found, *self._unlabelled(), *self._missing_classes(all_read)]

    def _value(self, name: str) -> int:
        return self.class_names.index(name) + self._offset

    def _share(self, value: int) -> str:
        return share(self.counts[value], self.counts.sum())

    def _invalid(self) -> Finding | None:
        """The error that prevents a training or makes it useless, without frame ids."""
        names, offset = self.class_names, self._offset
        values, unknown = np.flatnonzero(self.counts).tolist(), sorted(self._ids_of_unknown)
        if values == [0, UNLABELLED] and self._last > 0:
            wanted = ', '.join(f'{offset + i} is {name!r}' for i, name in enumerate(names[:2]))
            return error(
                'label_0_255',
                'label images hold only 0 and 255, like binary masks, but 255 is '
                f'{"not a class" if offset else "unlabelled"}',
                f'store class numbers: {wanted}; for example labels[labels == 255] = '
                f'{min(offset + 1, self._last)}',
            )
        if not unknown:
            return None
        if unknown == [UNLABELLED] and offset:
            return self._void_is_255()
        listed = few([f'{value} ({self._share(value)})' for value in unknown], _VALUES_SHOWN)
        seen = (
            f'label values {listed} are not classes: {len(names)} classes with label_offset '
            f'{offset} are {offset} to {self._last}'
        )
        if unknown == [len(names)] and offset == 0:
            seen += f': the values start at 1, and 0 ({self._share(0)}) is void'
            return error('label_offset', seen, _COUNT_FROM_1)
        remedy = 'store class numbers in the images, or correct the classes file or label_offset'
        return error('label_values', seen, remedy)

    def _void_is_255(self) -> Finding:
        seen = (
            f'label value 255 in {self._share(UNLABELLED)} of the pixels, but with label_offset '
            f'{self._offset} void is 0'
        )
        if not self.counts[0] or self.counts[self._last]:
            remedy = 'store 0 for 255 in the images: labels[labels == 255] = 0'
            return error('label_0_255', seen, remedy)
        seen += (
            f'; 0 fills {self._share(0)} and the last class, {self._last}, never occurs: the '
            'values start at 0, and 255 is void'
        )
        return error('label_offset', seen, _COUNT_FROM_0)

    def _shifted(self) -> Iterator[Finding]:
        """Valid values that suggest that every class is read as its neighbour."""
        names, classes = self.class_names, self.of_classes(self.counts)
        if self._offset == 1 and self.counts[0] > 0.01 * self.counts.sum() and not classes[-1]:
            yield warning(
                'label_offset',
                f'the last class, {names[-1]!r}, never occurs and value 0, void, fills '
                f'{self._share(0)}: if values start at 0, each class is read as the previous one',
                _LOOK + _COUNT_FROM_0,
            )
        if self._offset == 0 and len(names) > 1 and not (classes[0] or self.counts[UNLABELLED]):
            yield warning(
                'label_offset',
                f'value 0, {names[0]!r}, never occurs and no pixel is unlabelled: if values start '
                'at 1, each class is read as the next one',
                _LOOK + _COUNT_FROM_1,
            )

    def _void_as_class(self) -> Iterator[Finding]:
        name = next((name for name in self.class_names if name.lower() in VOID_NAMES), None)
        if name is None:
            return
        raised, remedy = error, f'set label_offset: 1 in {DATASET_FILE} and call this line `void`'
        if name != self.class_names[0]:
            void = 0 if self._offset else UNLABELLED
            raised = warning
            remedy = f'unless you want this, store {void} for {self._value(name)} in the images'
        seen = f'{name!r} is a class: the network would learn to predict it'
        yield raised('void_as_class', seen, remedy)

    def _implausible_heights(self) -> Iterator[Finding]:
        for name, total in self._height_sums.items():
            (low, high), value = HEIGHTS[name], self._value(name)
            height = total / max(self.counts[value], 1)
            if self.frames[value] >= _MIN_FRAMES and not low <= height <= high:
                yield warning(
                    'label_places',
                    f'the mean height of {name!r} is at {share(height, 1)} of the image from the '
                    f'top, expected {100 * low:.0f} to {100 * high:.0f} %',
                    'look at the contact sheet: the classes may be shifted by one (label_offset), '
                    'the class list reordered, or the images upside down',
                )

    def _unlabelled(self) -> Iterator[Finding]:
        total = self.counts.sum()
        void = total - self.of_classes(self.counts).sum()
        if self._empty:
            remedy = 'label these frames, or delete their ids from the splits'
            raised = error if len(self._empty) == self._read else warning
            yield raised('labels_empty', 'no pixel has a class', remedy, self._empty)
        elif void > 0.6 * total:
            yield warning(
                'labels_sparse',
                f'{share(void, total)} of the pixels are unlabelled',
                'training ignores them; if they are background, give it its own class',
            )

    def _missing_classes(self, all_read: bool) -> Iterator[Finding]:
        present = self.of_classes(self.counts) > 0
        if present.any() and not present.all():
            yield warning(
                'classes_missing',
                f'{np.count_nonzero(~present)} of {len(present)} classes have no pixel in '
                f'{self._read} frames: {self._names(~present)}',
                'add frames that show them, or delete them from the classes file: they cannot be '
                'learnt or scored',
            )
        for split, in_split in self._in_split.items():
            if all_read and len(self._in_split) > 1 and (present & ~in_split).any():
                yield warning(
                    'classes_in_one_split',
                    f'split {split!r} has no pixel of {self._names(present & ~in_split)}',
                    'move frames between the splits, so that each class is learnt and scored',
                )

    def _names(self, chosen: np.ndarray) -> str:
        return few([self.class_names[i] for i in np.flatnonzero(chosen)], _NAMES_SHOWN)
