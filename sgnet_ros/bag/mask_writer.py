# SPDX-License-Identifier: Apache-2.0
"""A copy of a bag with the masks of its frames, to look at in RViz or Foxglove."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from sgnet_core.labels import label_set_of
from sgnet_core.types import Sample, SegmentationResult
from sgnet_core.visualization.drawing import overlay
from sgnet_ros.bag.frames import stamp_of
from sgnet_ros.bag.reader import IMAGE, Bag, standard_types
from sgnet_ros.bag.writer import BagWriter, header_of
from sgnet_ros.conversions.images import rgb_to_msg, stamp_ns
from sgnet_ros.conversions.masks import label_names_to_msg, mask_to_msg

_logger = logging.getLogger(__name__)

MASK, OVERLAY, LABELS = '/segmentation/mask', '/segmentation/overlay', '/segmentation/labels'


class MaskWriter:
    """A new bag: all messages of another one, and what the node would publish of its frames.

    Masks and overlays have header and recording time of their colour image. Topics of these names
    are not copied, nor are those whose type is not one of ROS.

    As a context manager it closes itself; an error that ends the block removes the bag.

    Args:
        path: of the new bag folder; must not exist.
        bag: the other one.
        rgb_topic: of its colour images.
        class_names: of the masks.

    Raises:
        InputError: the path exists.
        SgnetError: the bag cannot be written.
    """

    def __init__(self, path: Path, bag: Bag, rgb_topic: str, class_names: tuple[str, ...]) -> None:
        self._palette = label_set_of(class_names).palette
        self._source = bag
        self._rgb_topic = rgb_topic
        # Stamp of a colour image -> when it was recorded, and in which optical frame.
        self._images: dict[int, tuple[int, str]] = {}
        self._class_names = class_names
        self._bag = BagWriter(path)

    def __enter__(self) -> MaskWriter:
        """Copy the other bag."""
        with ExitStack() as failed:
            failed.push(self._bag)
            self._copy()
            self._announce()
            failed.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bag.__exit__(*exc_info)

    def write(self, sample: Sample, result: SegmentationResult) -> None:
        """Add mask and overlay of one frame of the bag."""
        stamp = stamp_of(sample)
        time_ns, frame_id = self._images[stamp]
        header = header_of(stamp, frame_id)
        picture = overlay(sample.frame.rgb, result.labels, self._palette)
        self._bag.write(MASK, time_ns, mask_to_msg(result.labels, header))
        self._bag.write(OVERLAY, time_ns, rgb_to_msg(picture, header))

    def _announce(self) -> None:
        self._bag.add_topic(MASK, IMAGE)
        self._bag.add_topic(OVERLAY, IMAGE)
        self._bag.add_topic(LABELS, 'std_msgs/msg/String', latched=True)
        first_ns = min((time_ns for time_ns, _ in self._images.values()), default=0)
        self._bag.write(LABELS, first_ns, label_names_to_msg(self._class_names, self._palette))

    def _copy(self) -> None:
        copied: dict[str, int] = {}
        for name, topic in self._source.topics.items():
            if name in (MASK, OVERLAY, LABELS):
                continue
            if topic.msgtype in standard_types().fielddefs:
                self._bag.add_topic(name, topic.msgtype, topic.latched)
                copied[name] = topic.count
            else:
                _logger.warning('%s is not copied: no definition of %s', name, topic.msgtype)
        messages = self._source.messages(copied)
        for message in tqdm(messages, 'copy', sum(copied.values()), unit='message', disable=None):
            self._bag.write_cdr(message.topic, message.time_ns, message.cdr)
            if message.topic == self._rgb_topic:
                header = self._source.deserialize(message).header
                self._images[stamp_ns(header)] = message.time_ns, header.frame_id
