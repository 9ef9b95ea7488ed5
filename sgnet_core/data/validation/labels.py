# SPDX-License-Identifier: Apache-2.0
"""Checks label values, `label_offset`, void and classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class LabelValues:
    """The values in label images, and their meaning according to `dataset.yaml`.

    Attributes:
        counts: (65536,) int64, pixels of every value in the files.
        class_names: without void.
        offset: class = value - offset.
    """

    counts: np.ndarray
    class_names: tuple[str, ...]
    offset: int

    @property
    def last(self) -> int:
        """The value of the last class."""
        return self.offset + len(self.class_names) - 1

    @property
    def unknown(self) -> list[int]:
        """The values that are neither a class nor void."""
        values = np.flatnonzero(self.counts)
        return values[(values > self.last) & (values - self.offset != UNLABELLED)].tolist()

    def invalid(self) -> Finding | None:
        """The error that prevents a training or makes it useless, without frame ids."""
        values, unknown = np.flatnonzero(self.counts).tolist(), self.unknown
        if values == [0, UNLABELLED] and len(self.class_names) + self.offset > 1:
            return self._binary_mask_labels()
        if not unknown:
            return None
        if unknown == [UNLABELLED] and self.offset:
            return self._void_is_255()
        seen = self._unknown_values()
        if unknown == [len(self.class_names)] and self.offset == 0:
            seen += f': the values start at 1, and 0 ({self._share(0)}) is void'
            return error('label_offset', seen, _COUNT_FROM_1)
        if (step := int(np.gcd.reduce(values))) > 1:
            seen += f'; all values are multiples of {step}, as in visualised labels'
            return error('label_scaled', seen, f'divide the label images by {step}')
        remedy = 'correct the images, the classes file or label_offset'
        if unknown[-1] > UNLABELLED:
            remedy = 'store class numbers; these images may hold instances or depth'
        return error('label_values', seen, remedy)

    def shifted(self) -> Finding | None:
        """Valid values that suggest that every class is read as its neighbour."""
        classes = self.counts[self.offset : self.last + 1]
        if self.offset == 1 and self.counts[0] > 0.01 * self.counts.sum() and not classes[-1]:
            return warning(
                'label_offset',
                f'the last class, {self.class_names[-1]!r}, never occurs and value 0, void, fills '
                f'{self._share(0)}: if the values start at 0, each class is read as the previous '
                'one',
                f'look at the contact sheet; if classes are shifted, {_COUNT_FROM_0}',
            )
        if self.offset == 0 and len(classes) > 1 and not classes[0] and not self.counts[UNLABELLED]:
            return warning(
                'label_offset',
                f'value 0, {self.class_names[0]!r}, never occurs and no pixel is unlabelled: if '
                'the values start at 1, each class is read as the next one',
                f'look at the contact sheet; if classes are shifted, {_COUNT_FROM_1}',
            )
        return None

    def _binary_mask_labels(self) -> Finding:
        names, first = self.class_names, self.offset
        meaning = 'no class' if first else 'unlabelled'
        wanted = ', '.join(f'{first + i} is {name!r}' for i, name in enumerate(names[:2]))
        return error(
            'label_0_255',
            f'label images hold only 0 and 255, like binary masks, but 255 is {meaning}',
            f'store class numbers: {wanted}; for example labels[labels == 255] = '
            f'{first + min(1, len(names) - 1)}',
        )

    def _void_is_255(self) -> Finding:
        seen = (
            f'label value 255 in {self._share(UNLABELLED)} of the pixels, but with label_offset '
            f'{self.offset} void is 0'
        )
        if not self.counts[0] or self.counts[self.last]:
            remedy = 'store 0 for 255 in the images: labels[labels == 255] = 0'
            return error('label_0_255', seen, remedy)
        seen += (
            f'; 0 fills {self._share(0)} and the last class, {self.last}, never occurs: the values '
            'start at 0, and 255 is void'
        )
        return error('label_offset', seen, _COUNT_FROM_0)

    def _unknown_values(self) -> str:
        unknown = self.unknown
        listed = ', '.join(f'{value} ({self._share(value)})' for value in unknown[:_VALUES_SHOWN])
        if len(unknown) > _VALUES_SHOWN:
            listed += f' and {len(unknown) - _VALUES_SHOWN} more'
        return (
            f'label values {listed} are not classes: {len(self.class_names)} classes with '
            f'label_offset {self.offset} are {self.offset} to {self.last}'
        )

    def _share(self, value: int) -> str:
        return share(self.counts[value], self.counts.sum())


class LabelCheck:
    """Counts label values frame by frame, as stored, and checks them at the end.

    Attributes:
        class_names: without void.
        counts: (65536,) int64, pixels of every value in the files.
        frames: (65536,) int64, number of frames that hold the value.
    """

    def __init__(self, class_names: tuple[str, ...], offset: int) -> None:
        self.class_names, self._offset = class_names, offset
        self.counts = np.zeros(_VALUES, np.int64)
        self.frames = np.zeros(_VALUES, np.int64)
        self._ids: dict[int, list[str]] = defaultdict(list)
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
        for value in LabelValues(counts, self.class_names, self._offset).unknown:
            self._ids[value].append(sample_id)
        rows = (np.arange(labels.shape[0]) + 0.5) / labels.shape[0]
        for name in self._with_height():
            here = labels == self._value(name)
            self._height_sums[name] += float(rows @ np.count_nonzero(here, axis=1))
        if split is not None:
            self._in_split[split] = self._in_split.get(split, False) | present

    def of_classes(self, of_values: np.ndarray) -> np.ndarray:
        """The entries of the classes, (C,), in an array with an entry per value."""
        return of_values[self._offset : self._offset + len(self.class_names)]

    def findings(self, all_read: bool) -> list[Finding]:
        """Problems of the labels counted so far; `all_read`: these are all frames."""
        if not self._read:
            return []
        values = LabelValues(self.counts, self.class_names, self._offset)
        if invalid := values.invalid():
            # The other checks would repeat that the values have another meaning.
            ids = dict.fromkeys(i for value in values.unknown for i in self._ids[value])
            return [replace(invalid, ids=tuple(ids))]
        return [
            *self._void_as_class(),
            *filter(None, [values.shifted()]),
            *self._implausible_heights(),
            *self._unlabelled(),
            *self._missing_classes(),
            *(self._classes_missing_in_split() if all_read else ()),
        ]

    def _value(self, name: str) -> int:
        return self.class_names.index(name) + self._offset

    def _with_height(self) -> list[str]:
        return [name for name in HEIGHTS if name in self.class_names]

    def _void_as_class(self) -> Iterator[Finding]:
        name = next((name for name in self.class_names if name.lower() in VOID_NAMES), None)
        if name is None:
            return
        seen = f'{name!r} is a class: the network would learn to predict it'
        if name == self.class_names[0]:
            remedy = f'set label_offset: 1 in {DATASET_FILE} and call this line `void`'
            yield error('void_as_class', seen, remedy)
        else:
            void = 0 if self._offset else UNLABELLED
            remedy = f'unless you want this, store {void} for {self._value(name)} in the images'
            yield warning('void_as_class', seen, remedy)

    def _implausible_heights(self) -> Iterator[Finding]:
        for name in self._with_height():
            low, high = HEIGHTS[name]
            value = self._value(name)
            height = self._height_sums[name] / max(self.counts[value], 1)
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

    def _missing_classes(self) -> Iterator[Finding]:
        missing = self.of_classes(self.counts) == 0
        if missing.any() and not missing.all():
            yield warning(
                'classes_missing',
                f'{np.count_nonzero(missing)} of {len(missing)} classes have no pixel in '
                f'{self._read} frames: {self._names(missing)}',
                'add frames that show them, or delete them from the classes file: they cannot be '
                'learnt or scored',
            )

    def _classes_missing_in_split(self) -> Iterator[Finding]:
        present = self.of_classes(self.counts) > 0
        for split, in_split in self._in_split.items():
            if (present & ~in_split).any() and len(self._in_split) > 1:
                yield warning(
                    'classes_in_one_split',
                    f'split {split!r} has no pixel of {self._names(present & ~in_split)}',
                    'move frames between the splits, so that each class is learnt and scored',
                )

    def _names(self, chosen: np.ndarray) -> str:
        return few([self.class_names[i] for i in np.flatnonzero(chosen)], _NAMES_SHOWN)
