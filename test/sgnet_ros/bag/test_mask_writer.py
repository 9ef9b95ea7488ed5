# SPDX-License-Identifier: Apache-2.0
"""A bag with masks has all messages of the source."""

import numpy as np
from bag_files import rewrite

from sgnet_core.labels import NYU40
from sgnet_core.types import SegmentationResult
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.mask_writer import LABELS, MASK, OVERLAY, MaskWriter
from sgnet_ros.bag.reader import Bag, with_header_stamp
from sgnet_ros.bag.writer import BagWriter
from sgnet_ros.conversions.images import rgb_from_msg
from sgnet_ros.conversions.masks import label_names_from_msg, mask_from_msg

RGB = FrameTopics().rgb


def result(sample):
    labels = sample.labels[::-1].copy()
    return SegmentationResult(labels, np.ones(labels.shape, np.float32), NYU40.class_names)


def write_masks(source, out):
    with Bag(source) as bag, BagWriter(out) as new_bag:
        masks = MaskWriter(new_bag, bag, RGB, NYU40.class_names)
        for sample in BagFrames(bag):
            masks.write(sample, result(sample))
    return out


def messages(path, *topics):
    with Bag(path) as bag:
        return list(bag.messages(topics or [t for t in bag.topics if 'segmentation' not in t]))


def test_masks_have_the_time_of_their_images(bag_path, tiny_samples, tmp_path):
    def stamped_by_the_sensor(topic, index, cdr, time_ns):
        return (cdr if 'names' in topic else with_header_stamp(cdr, time_ns - 10**17)), time_ns

    source = rewrite(bag_path, tmp_path / 'source', stamped_by_the_sensor)
    out = write_masks(source, tmp_path / 'out')
    assert messages(out) == messages(source)
    with Bag(out) as bag:
        (names,) = bag.messages([LABELS])
        assert label_names_from_msg(bag.deserialize(names)) == NYU40.class_names
        assert bag.topics[LABELS].latched
        images = list(bag.messages([RGB]))
        for topic in (MASK, OVERLAY):
            made = list(bag.messages([topic]))
            assert [m.time_ns for m in made] == [m.time_ns for m in images]
            for message, image in zip(made, images, strict=True):
                assert bag.deserialize(message).header == bag.deserialize(image).header
        for message, sample in zip(bag.messages([MASK]), tiny_samples, strict=True):
            expected = result(sample).labels
            np.testing.assert_array_equal(mask_from_msg(bag.deserialize(message)), expected)
        for message, sample in zip(bag.messages([OVERLAY]), tiny_samples, strict=True):
            assert rgb_from_msg(bag.deserialize(message)).shape == sample.frame.rgb.shape


def test_earlier_masks_are_replaced(bag_path, tmp_path):
    once = write_masks(bag_path, tmp_path / 'once')
    twice = write_masks(once, tmp_path / 'twice')
    assert messages(twice) == messages(bag_path)
    assert messages(twice, MASK, OVERLAY, LABELS) == messages(once, MASK, OVERLAY, LABELS)
