# SPDX-License-Identifier: Apache-2.0
"""Writes a copy of a bag with masks, for RViz or Foxglove."""

from __future__ import annotations

import logging

from tqdm import tqdm

from sgnet_core.labels import LabelSet
from sgnet_core.types import Sample, SegmentationResult
from sgnet_core.visualization.overlay import overlay_image
from sgnet_ros.bag.frames import stamp_of
from sgnet_ros.bag.reader import IMAGE, Bag, standard_types
from sgnet_ros.bag.writer import BagWriter, header_of
from sgnet_ros.conversions.images import rgb_to_msg, stamp_ns
from sgnet_ros.conversions.masks import label_names_to_msg, mask_to_msg

_logger = logging.getLogger(__name__)

MASK, OVERLAY, LABELS = '/segmentation/mask', '/segmentation/overlay', '/segmentation/labels'


class MaskWriter:
    """Copies `source` to `target` and adds masks and overlays with the header of the colour image.

    Earlier masks and topics of unknown types are not copied.
    """

    def __init__(self, target: BagWriter, source: Bag, rgb_topic: str, label_set: LabelSet) -> None:
        self._palette = label_set.palette
        self._target = target
        # Stamp of a colour image -> recording time and optical frame.
        self._images: dict[int, tuple[int, str]] = {}
        self._copy(source, rgb_topic)
        target.add_topic(MASK, IMAGE)
        target.add_topic(OVERLAY, IMAGE)
        target.add_topic(LABELS, 'std_msgs/msg/String', latched=True)
        first_ns = min((time_ns for time_ns, _ in self._images.values()), default=0)
        target.write(LABELS, first_ns, label_names_to_msg(label_set.class_names, self._palette))

    def write(self, sample: Sample, result: SegmentationResult) -> None:
        """Add mask and overlay of a frame of the bag."""
        stamp = stamp_of(sample)
        time_ns, frame_id = self._images[stamp]
        header = header_of(stamp, frame_id)
        image = overlay_image(sample.frame.rgb, result.labels, self._palette)
        self._target.write(MASK, time_ns, mask_to_msg(result.labels, header))
        self._target.write(OVERLAY, time_ns, rgb_to_msg(image, header))

    def _copy(self, source: Bag, rgb_topic: str) -> None:
        copied: dict[str, int] = {}
        for name, topic in source.topics.items():
            if name in (MASK, OVERLAY, LABELS):
                continue
            if topic.msgtype in standard_types().fielddefs:
                self._target.add_topic(name, topic.msgtype, topic.latched)
                copied[name] = topic.count
            else:
                _logger.warning('%s is not copied: no definition of %s', name, topic.msgtype)
        messages = source.messages(copied)
        for message in tqdm(messages, 'copy', sum(copied.values()), unit='message', disable=None):
            self._target.write_cdr(message.topic, message.time_ns, message.cdr)
            if message.topic == rgb_topic:
                header = source.deserialize(message).header
                self._images[stamp_ns(header)] = message.time_ns, header.frame_id
