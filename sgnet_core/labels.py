# SPDX-License-Identifier: Apache-2.0
"""Class names and palettes: NYU 40, 37 and 13, and custom sets.

Class ids count from 0; "void" is `UNLABELLED` (255) and black.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from sgnet_core.errors import InputError
from sgnet_core.types import UNLABELLED

MAX_CLASSES = UNLABELLED
"""Ids 0..254 are classes; 255 means unlabelled."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a dataset or a network in the order of their ids; compared by names.

    Attributes:
        name: `nyu40`, `nyu37`, `nyu13` or `custom`.
        class_names: C distinct names, 1 <= C <= 255.
        palette: (C, 3) uint8 RGB, distinct colours without black. Read-only.

    Raises:
        InputError: names are empty, repeated or too many, or the palette has another shape.
    """

    name: str
    class_names: tuple[str, ...]
    palette: np.ndarray = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        names = self.class_names
        if not 1 <= len(names) <= MAX_CLASSES:
            raise InputError(
                f'{len(names)} classes given; between 1 and {MAX_CLASSES} fit a uint8 mask '
                f'({UNLABELLED} means unlabelled)'
            )
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                f'class name {repeated[0]!r} is given twice; every class needs its own'
            )
        if '' in names:
            raise InputError(f'class {names.index("")} has an empty name; name every class')
        expected = (len(names), 3)
        if self.palette.shape != expected or self.palette.dtype != np.uint8:
            raise InputError(
                f'the palette of {expected[0]} classes must be {expected} uint8, '
                f'got {self.palette.shape} {self.palette.dtype}'
            )
        palette = self.palette.copy()
        palette.flags.writeable = False
        object.__setattr__(self, 'palette', palette)

    def __len__(self) -> int:
        return len(self.class_names)


# Large surfaces are pale, wood is brown, glass and water are blue, cloth is pink to purple, people
# are red. A search then moved all colours (and black) at least 0.1 apart in OKLab; test_labels.py
# measures it.
_NYU40_COLORS: dict[str, tuple[int, int, int]] = {
    'wall': (178, 174, 190),
    'floor': (182, 155, 84),
    'cabinet': (146, 60, 4),
    'bed': (243, 88, 175),
    'chair': (205, 21, 61),
    'sofa': (142, 35, 105),
    'table': (255, 154, 0),
    'door': (78, 67, 45),
    'window': (100, 187, 255),
    'bookshelf': (196, 98, 9),
    'picture': (154, 120, 237),
    'counter': (251, 198, 162),
    'blinds': (176, 235, 197),
    'desk': (238, 126, 113),
    'shelves': (135, 126, 0),
    'curtain': (148, 47, 199),
    'dresser': (182, 102, 129),
    'pillow': (255, 157, 209),
    'mirror': (5, 154, 211),
    'floor mat': (110, 103, 87),
    'clothes': (209, 67, 231),
    'ceiling': (255, 245, 255),
    'books': (0, 151, 103),
    'refridgerator': (118, 106, 166),  # spelled as in the dataset
    'television': (30, 60, 150),
    'paper': (255, 255, 167),
    'towel': (102, 249, 50),
    'shower curtain': (31, 194, 184),
    'box': (201, 192, 2),
    'whiteboard': (212, 206, 255),
    'person': (255, 51, 0),
    'night stand': (106, 7, 20),
    'toilet': (60, 110, 235),
    'sink': (0, 231, 255),
    'lamp': (224, 237, 0),
    'bathtub': (0, 105, 139),
    'bag': (51, 112, 21),
    'otherstructure': (126, 142, 142),
    'otherfurniture': (117, 173, 4),
    'otherprop': (95, 218, 128),
}

# fmt: off
_NYU13_NAMES = (
    'bed', 'books', 'ceiling', 'chair', 'floor', 'furniture', 'objects', 'picture', 'sofa',
    'table', 'tv', 'wall', 'window',
)
# class13Mapping.mat of the NYUv2 toolbox: the NYU13 class, counted from 1, of each NYU40 class.
_NYU13_OF_NYU40 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
    7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
)
# fmt: on
# NYU13 class -> NYU40 class with its colour, for names that NYU40 lacks.
_NYU13_COLORED_AS = {'furniture': 'cabinet', 'objects': 'otherprop', 'tv': 'television'}

nyu40_to_nyu13 = np.array(_NYU13_OF_NYU40, np.uint8) - np.uint8(1)
"""(40,) uint8: NYU13 id of each NYU40 id, for `remap`."""
nyu40_to_nyu13.flags.writeable = False

NYU40 = LabelSet('nyu40', tuple(_NYU40_COLORS), np.array(list(_NYU40_COLORS.values()), np.uint8))
# The last three are otherstructure, otherfurniture and otherprop.
NYU37 = LabelSet('nyu37', NYU40.class_names[:37], NYU40.palette[:37])
NYU13 = LabelSet(
    'nyu13',
    _NYU13_NAMES,
    np.array([_NYU40_COLORS[_NYU13_COLORED_AS.get(n, n)] for n in _NYU13_NAMES], np.uint8),
)
LABEL_SETS: dict[str, LabelSet] = {labels.name: labels for labels in (NYU40, NYU37, NYU13)}


# fmt: off
COUNTABLE = frozenset({
    'bed', 'chair', 'sofa', 'table', 'door', 'bookshelf', 'picture', 'desk', 'dresser', 'pillow',
    'mirror', 'refridgerator', 'television', 'tv', 'box', 'whiteboard', 'person', 'night stand',
    'toilet', 'sink', 'lamp', 'bathtub', 'bag',
})
# fmt: on
"""Classes of NYU40 and NYU13 whose connected regions are objects, not surfaces or heaps."""


def label_set_of(class_names: Iterable[str]) -> LabelSet:
    """The known label set with exactly these names in this order, or a `custom` one.

    Custom classes with a name of NYU40 or NYU13 keep its colour; the others get colours far from
    all used ones. The palette is deterministic.

    Raises:
        InputError: names are missing, empty, repeated or too many.
    """
    names = tuple(class_names)
    for known in LABEL_SETS.values():
        if known.class_names == names:
            return known
    # The set refuses more names; their colours would take minutes.
    return LabelSet('custom', names, _custom_palette(names[:MAX_CLASSES]))


def _custom_palette(names: tuple[str, ...]) -> np.ndarray:
    """(C, 3) uint8: colours of known names; the others get the farthest unused colours in turn."""
    colors: dict[str, tuple[int, int, int]] = {}
    for known in (NYU40, NYU13):
        for name, color in zip(known.class_names, known.palette.tolist(), strict=True):
            # `tv` and `television` share a colour: the second is treated as unknown.
            if name in names and tuple(color) not in colors.values():
                colors.setdefault(name, tuple(color))
    steps = np.linspace(0, 255, 8)
    candidates = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3).round()
    distance = _color_distance(candidates, np.zeros(3))
    for color in colors.values():
        distance = np.minimum(distance, _color_distance(candidates, np.array(color)))
    for name in names:
        if name not in colors:
            farthest = candidates[distance.argmax()]
            colors[name] = tuple(int(value) for value in farthest)
            distance = np.minimum(distance, _color_distance(candidates, farthest))
    return np.array([colors[name] for name in names], np.uint8)


def _color_distance(colors: np.ndarray, color: np.ndarray) -> np.ndarray:
    """(N,) perceptually weighted distance of (N, 3) RGB colours to one colour."""
    return np.sqrt(((colors - color) ** 2 * (2, 4, 3)).sum(-1))


def remap(labels: np.ndarray, lookup: np.ndarray) -> np.ndarray:
    """(H, W) uint8 class ids -> (H, W) uint8 ids `lookup[id]`; unlabelled (255) stays.

    Raises:
        InputError: an id is neither unlabelled nor below the length of `lookup`.
    """
    check_class_ids(labels, len(lookup))
    table = np.full(256, UNLABELLED, np.uint8)
    table[: len(lookup)] = lookup
    return table.take(labels)


def check_class_ids(labels: np.ndarray, count: int) -> None:
    """Raise InputError unless `labels` are uint8 ids of `count` classes or unlabelled."""
    if labels.dtype != np.uint8:
        raise InputError(f'labels must be uint8, got {labels.dtype}')
    foreign = (labels >= count) & (labels != UNLABELLED)
    if foreign.any():
        raise InputError(
            f'class id {labels[foreign].max()} in labels of {count} classes; '
            f'ids must be 0..{count - 1}, or {UNLABELLED} for unlabelled'
        )
