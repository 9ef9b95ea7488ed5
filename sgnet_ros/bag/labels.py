# SPDX-License-Identifier: Apache-2.0
"""Labels of the frames of a bag: a topic of the bag or a folder of images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.data.dataset_config import DATASET_FILE, read_class_names, read_dataset_config
from sgnet_core.data.folder_dataset import ids_on_disk
from sgnet_core.errors import DataError, InputError
from sgnet_core.io.images import LabelFiles
from sgnet_core.labels import MAX_CLASSES
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.reader import IMAGE, Bag, header_stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg

STAMP_TOLERANCE_NS = 500_000
"""File names often have fewer digits than stamps. No camera is that fast."""


class TopicLabels:
    """Mono8 images with the stamps of the colour images.

    They are read apart from the frames, which do not wait in memory for labels later in the bag.
    """

    def __init__(self, bag: Bag, topics: FrameTopics) -> None:
        self._bag = bag
        self.source = topics.labels
        self._bag.topic(self.source, IMAGE)
        self.class_names = self._read_class_names(topics.label_names)
        self._messages = self._bag.messages([self.source])
        count = self._bag.topics[self.source].count
        every = tqdm(self._messages, 'labels', count, unit='image', disable=None, leave=False)
        self._stamps = {header_stamp_ns(message.cdr) for message in every}

    def __len__(self) -> int:
        return self._bag.topics[self.source].count

    def has_frame(self, stamp_ns: int, index: int) -> bool:
        """Whether the pair with this colour stamp has labels; `index` is its number in the bag."""
        return stamp_ns in self._stamps

    def load(self, stamp_ns: int, index: int) -> np.ndarray:
        """The (H, W) uint8 class ids of a pair; 255 = unlabelled."""
        for _ in range(2):
            for message in self._messages:
                if header_stamp_ns(message.cdr) == stamp_ns:
                    return mask_from_msg(self._bag.deserialize(message))
            # The labels are before those read last: start again.
            self._messages = self._bag.messages([self.source])
        raise DataError(f'{self._bag.path}: labels of stamp {stamp_ns} ns cannot be read again')

    def _read_class_names(self, name: str) -> tuple[str, ...] | None:
        if name in self._bag.topics:
            self._bag.topic(name, 'std_msgs/msg/String')
        first = next(self._bag.messages([name]), None)
        if first is None:
            return None
        try:
            return label_names_from_msg(self._bag.deserialize(first))
        except InputError as error:
            raise DataError(f'{self._bag.path}: {name}: {error}') from error


class FolderLabels:
    """Label images of a folder, named by the stamp of the colour image or the index of the pair.

    The folder has a dataset.yaml (from bag_to_frames), or PNG files of class ids, 255 = unlabelled.
    Names are stamps in seconds (`1700000000.066666667`) or nanoseconds, or indices from 0 (`12`).

    Raises:
        DataError: there are no labels, or a name is not valid, or names are of both kinds.
    """

    def __init__(self, folder: Path) -> None:
        self.source = str(folder)
        self._folder, self._files = folder, LabelFiles()
        self._pattern, self._offset, self.class_names = '{id}.png', 0, None
        if (folder / DATASET_FILE).is_file():
            described = read_dataset_config(folder)
            if described.label is None:
                raise DataError(f'{folder / DATASET_FILE}: no key `label`; add it')
            self._pattern, self._offset = described.label, described.label_offset
            self.class_names = read_class_names(folder / described.classes, self._offset)
        ids = ids_on_disk(folder, self._pattern)
        if not ids:
            raise DataError(f'{folder / self._pattern}: no file matches; {_NAMES}')
        self._by_stamp = {s: name for name in ids if (s := _stamp_ns(name)) is not None}
        others = [name for name in ids if _stamp_ns(name) is None]
        self._by_index = {int(name): name for name in others if name.isdecimal()}
        self._stamps = np.array(sorted(self._by_stamp), np.int64)
        invalid = [name for name in others if self._by_stamp or not name.isdecimal()]
        if invalid:
            raise DataError(f'{folder}: {invalid[0]!r} is not a valid name; {_NAMES}')

    def __len__(self) -> int:
        return len(self._by_stamp) + len(self._by_index)

    def has_frame(self, stamp_ns: int, index: int) -> bool:
        """Whether the pair has labels, as in `TopicLabels`."""
        return self._name(stamp_ns, index) is not None

    def load(self, stamp_ns: int, index: int) -> np.ndarray:
        """The (H, W) uint8 class ids of a pair; 255 = unlabelled."""
        path = self._folder / self._pattern.replace('{id}', self._name(stamp_ns, index))
        count = MAX_CLASSES if self.class_names is None else len(self.class_names)
        return self._files.read(path, self._offset, count)

    def _name(self, stamp_ns: int, index: int) -> str | None:
        if not self._by_stamp:
            return self._by_index.get(index)
        near = self._stamps[np.searchsorted(self._stamps, stamp_ns - STAMP_TOLERANCE_NS) :][:1]
        if not near.size or near[0] > stamp_ns + STAMP_TOLERANCE_NS:
            return None
        return self._by_stamp[int(near[0])]


Labels = TopicLabels | FolderLabels

_NAMES = (
    'name all images by the stamp of the colour image, as in 1700000000.066666667.png, or all by '
    'the index of the pair in the bag, from 0'
)


def _stamp_ns(name: str) -> int | None:
    """The stamp of a name in seconds or nanoseconds; None for other names."""
    if re.fullmatch(r'\d{13,}', name):
        return int(name)
    if not re.fullmatch(r'\d+\.\d{1,9}', name):
        return None
    seconds, _, fraction = name.partition('.')
    return int(seconds) * 10**9 + int(fraction.ljust(9, '0'))
