# SPDX-License-Identifier: Apache-2.0
"""The labels of the frames of a bag: on a topic of it, or in a folder of images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.data.dataset_config import DATASET_FILE, read_class_names, read_dataset_config
from sgnet_core.data.folder_dataset import ids_on_disk
from sgnet_core.errors import DataError, InputError
from sgnet_core.io.images import read_labels
from sgnet_core.labels import MAX_CLASSES
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.reader import IMAGE, Bag, header_stamp_ns
from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg

STAMP_TOLERANCE_NS = 500_000
"""Names of files often have fewer digits than stamps; no camera makes two frames in that time."""


class TopicLabels:
    """Mono8 images with the very stamps of the colour images.

    Read by a second reader, wherever in the bag they are: frames never wait for labels in memory.

    Attributes:
        class_names: what the ids mean; None where nothing says it.
        where: for people.

    Raises:
        DataError: there is no such topic, or its class names cannot be read.
    """

    def __init__(self, path: Path, topics: FrameTopics) -> None:
        self._bag = Bag(path)
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
        """Whether the pair with this colour stamp, the index-th of the bag from 0, has some."""
        return stamp_ns in self._stamps

    def load(self, stamp_ns: int, index: int) -> np.ndarray:
        """(H, W) uint8 class ids, 255 = unlabelled, of a pair that has some.

        Raises:
            InputError: the message is no mask.
        """
        for _ in range(2):
            for message in self._messages:
                if header_stamp_ns(message.cdr) == stamp_ns:
                    return mask_from_msg(self._bag.deserialize(message))
            # Not after those that were read last: once more, from the beginning.
            self._messages = self._bag.messages([self.source])
        raise DataError(f'{self._bag.path}: labels of stamp {stamp_ns} ns cannot be read again')

    def _read_class_names(self, name: str) -> tuple[str, ...] | None:
        if name not in self._bag.topics:
            return None
        self._bag.topic(name, 'std_msgs/msg/String')
        first = next(self._bag.messages([name]), None)
        if first is None:
            return None
        try:
            return label_names_from_msg(self._bag.deserialize(first))
        except InputError as error:
            raise DataError(f'{self._bag.path}: {name}: {error}') from error


class FolderLabels:
    """Label images of a folder, each called by the stamp of its colour image or by its number.

    With a dataset.yaml, as bag_to_frames makes it, that says what the images are called, what
    their values mean, and the classes. Without, they are PNG files of class ids, 255 = unlabelled.
    `1700000000.066666667` is a stamp in seconds, `1700000000066666667` one in nanoseconds, `12`
    the thirteenth pair of colour and depth of the bag.

    Attributes:
        class_names: what the ids mean; None where nothing says it.
        where: for people.

    Raises:
        DataError: there are no labels, or names are neither, or some are this and some are that.
    """

    def __init__(self, folder: Path) -> None:
        self.source = str(folder)
        self._folder = folder
        self._pattern, self._offset, self.class_names = '{id}.png', 0, None
        if (folder / DATASET_FILE).is_file():
            described = read_dataset_config(folder)
            if described.label is None:
                raise DataError(f'{folder / DATASET_FILE}: no `label`: its frames have none')
            self._pattern, self._offset = described.label, described.label_offset
            self.class_names = read_class_names(folder / described.classes, self._offset)
        ids = ids_on_disk(folder, self._pattern)
        if not ids:
            raise DataError(f'{folder / self._pattern}: no file matches; {_NAMES}')
        self._by_stamp = {s: name for name in ids if (s := _stamp_ns(name)) is not None}
        others = [name for name in ids if _stamp_ns(name) is None]
        self._by_index = {int(name): name for name in others if name.isdecimal()}
        self._stamps = np.array(sorted(self._by_stamp), np.int64)
        odd = others if self._by_stamp else [name for name in others if not name.isdecimal()]
        if odd:
            raise DataError(f'{folder}: what is {odd[0]!r} the label of? {_NAMES}')

    def __len__(self) -> int:
        return len(self._by_stamp) + len(self._by_index)

    def has_frame(self, stamp_ns: int, index: int) -> bool:
        """Whether the pair with this colour stamp, the index-th of the bag from 0, has some."""
        return self._name(stamp_ns, index) is not None

    def load(self, stamp_ns: int, index: int) -> np.ndarray:
        """(H, W) uint8 class ids, 255 = unlabelled, of a pair that has some.

        Raises:
            DataError: the image cannot be read.
        """
        path = self._folder / self._pattern.replace('{id}', self._name(stamp_ns, index))
        count = MAX_CLASSES if self.class_names is None else len(self.class_names)
        return read_labels(path, self._offset, count)

    def _name(self, stamp_ns: int, index: int) -> str | None:
        if not self._by_stamp:
            return self._by_index.get(index)
        near = self._stamps[np.searchsorted(self._stamps, stamp_ns - STAMP_TOLERANCE_NS) :][:1]
        if not near.size or near[0] > stamp_ns + STAMP_TOLERANCE_NS:
            return None
        return self._by_stamp[int(near[0])]


Labels = TopicLabels | FolderLabels

_NAMES = (
    'call each image by the stamp of its colour image, as in 1700000000.066666667.png, or all of '
    'them by the number of the pair in the bag, from 0'
)


def _stamp_ns(name: str) -> int | None:
    """Of a name in seconds or nanoseconds; None where it is neither."""
    if re.fullmatch(r'\d{13,}', name):
        return int(name)
    if not re.fullmatch(r'\d+\.\d{1,9}', name):
        return None
    seconds, _, fraction = name.partition('.')
    return int(seconds) * 10**9 + int(fraction.ljust(9, '0'))
