# SPDX-License-Identifier: Apache-2.0
"""Label values that stand for nothing, and what they are most likely meant to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.dataset_yaml import DATASET_FILE
from sgnet_core.data.validation.finding import Finding, error, share, warning
from sgnet_core.types import UNLABELLED

_COUNT_FROM_0 = (
    f'set label_offset: 0 in {DATASET_FILE} and delete the line `void` of the classes file'
)
_COUNT_FROM_1 = (
    f'set label_offset: 1 in {DATASET_FILE} and put a line `void` before the first class name'
)
_SHOWN = 5


@dataclass(frozen=True)
class LabelNumbers:
    """The values of all label images together, and how `dataset.yaml` wants them read.

    Attributes:
        counts: (65536,) int64, pixels of every value in the files.
        class_names: without void.
        offset: class = value - offset.
    """

    counts: np.ndarray
    class_names: tuple[str, ...]
    offset: int

    @property
    def foreign(self) -> list[int]:
        """The values that are neither a class nor void."""
        values = np.flatnonzero(self.counts)
        beyond = values >= self.offset + len(self.class_names)
        return values[beyond & (values - self.offset != UNLABELLED)].tolist()

    def misread(self) -> Finding | None:
        """Why no training can start, or what it would learn nothing from; without frames."""
        values = np.flatnonzero(self.counts).tolist()
        if values == [0, UNLABELLED] and len(self.class_names) + self.offset > 1:
            return self._two_greys()
        foreign = self.foreign
        if not foreign:
            return None
        if foreign == [UNLABELLED] and self.offset:
            return self._void_is_255()
        if foreign == [len(self.class_names)] and self.offset == 0:
            void = self._share(0)
            return error(
                'label_offset',
                f'{self._beyond()}: they count from 1, and 0 ({void}) is void',
                _COUNT_FROM_1,
            )
        step = int(np.gcd.reduce(values))
        if step > 1:
            return error(
                'label_scaled',
                f'{self._beyond()}; all are multiples of {step}, as in pictures made to look at',
                f'divide the label images by {step}',
            )
        if foreign[-1] > UNLABELLED:
            remedy = 'write class numbers only; are instances or depth in these images?'
        else:
            remedy = 'correct the images, the classes file or label_offset'
        return error('label_values', self._beyond(), remedy)

    def perhaps_shifted(self) -> Finding | None:
        """Values that are all allowed, but look as if every class were taken for its neighbour."""
        classes = self.counts[self.offset : self.offset + len(self.class_names)]
        if self.offset == 1 and self.counts[0] > 0.01 * self.counts.sum() and not classes[-1]:
            return warning(
                'label_offset',
                f'the last class, {self.class_names[-1]!r}, never appears, and value 0, void, '
                f'fills {self._share(0)}: perhaps the labels count from 0, and every class is '
                'taken for the one before it',
                f'look at the contact sheet; if so, {_COUNT_FROM_0}',
            )
        if self.offset == 0 and len(classes) > 1 and not classes[0] and not self.counts[UNLABELLED]:
            return warning(
                'label_offset',
                f'value 0, {self.class_names[0]!r}, never appears and no pixel is unlabelled: '
                'perhaps the labels count from 1, and every class is taken for the next one',
                f'look at the contact sheet; if so, {_COUNT_FROM_1}',
            )
        return None

    def _two_greys(self) -> Finding:
        names, first = self.class_names, self.offset
        wanted = ', '.join(f'{first + i} is {name!r}' for i, name in enumerate(names[:2]))
        return error(
            'label_0_255',
            'label images hold 0 and 255 only, as masks made to look at do, but 255 is '
            f'{"unlabelled" if first == 0 else "no class"}',
            f'write class numbers: {wanted}; for example labels[labels == 255] = '
            f'{first + min(1, len(names) - 1)}',
        )

    def _void_is_255(self) -> Finding:
        seen = (
            f'label value 255 in {self._share(UNLABELLED)} of the pixels, but with label_offset '
            f'{self.offset} void is 0'
        )
        last = len(self.class_names) - 1 + self.offset
        if self.counts[0] and not self.counts[last]:
            return error(
                'label_offset',
                f'{seen}; 0 fills {self._share(0)} and {last}, the last class, never appears: the '
                'labels count from 0, with 255 for void',
                _COUNT_FROM_0,
            )
        return error(
            'label_0_255', seen, 'write 0 for 255 in the images: labels[labels == 255] = 0'
        )

    def _beyond(self) -> str:
        foreign = self.foreign
        listed = ', '.join(f'{value} ({self._share(value)})' for value in foreign[:_SHOWN])
        more = f' and {len(foreign) - _SHOWN} more' if len(foreign) > _SHOWN else ''
        last = len(self.class_names) - 1 + self.offset
        return (
            f'label values {listed}{more} are no class: {len(self.class_names)} classes with '
            f'label_offset {self.offset} are {self.offset} to {last}'
        )

    def _share(self, value: int) -> str:
        return share(self.counts[value], self.counts.sum())
