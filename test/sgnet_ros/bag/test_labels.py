# SPDX-License-Identifier: Apache-2.0
"""Labels of a bag come from a topic or a folder."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from bag_files import assert_all_same, rewrite, shifted, without

from sgnet_core.errors import DataError
from sgnet_core.io.images import write_mask
from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.labels import FolderLabels
from sgnet_ros.bag.reader import Bag
from sgnet_ros.bag.writer import write_bag

TOPICS = FrameTopics()
STAMPS = ('1000000000.000000000', '1000000000.033333333', '1000000000.066666667')


def write_labels(folder, named):
    folder.mkdir(exist_ok=True)
    for name, labels in named.items():
        write_mask(folder / f'{name}.png', labels)
    return FolderLabels(folder)


@pytest.mark.parametrize(
    'names',
    [
        STAMPS,
        [stamp.replace('.', '') for stamp in STAMPS],
        [stamp[:-3] for stamp in STAMPS],  # microseconds
        ['000000', '1', '002'],
    ],
    ids=['seconds', 'nanoseconds', 'microseconds', 'numbers'],
)
def test_folder_labels_are_named_by_stamp_or_index(bag_path, tiny_samples, tmp_path, names):
    new = [np.full_like(sample.labels, index) for index, sample in enumerate(tiny_samples[:3])]
    labels = write_labels(tmp_path / 'labels', {names[0]: new[0], names[2]: new[2]})
    with Bag(rewrite(bag_path, tmp_path / 'bag without', without(TOPICS.labels))) as bag:
        frames = BagFrames(bag, labels=labels)
        assert_all_same(frames, [replace(tiny_samples[i], labels=new[i]) for i in (0, 2)])
        assert (frames.pairs, frames.unlabelled, frames.class_names) == (5, 3, None)


def test_labels_of_a_near_stamp_are_not_used(bag_path, tiny_samples, tmp_path):
    labels = write_labels(tmp_path / 'labels', {'1000000000.0344': tiny_samples[0].labels})
    with Bag(bag_path) as bag:
        assert list(BagFrames(bag, labels=labels)) == []


@pytest.mark.parametrize(
    ('names', 'odd'), [(['frame_1'], 'frame_1'), (['1000000000.0', '7'], '7'), (['1', 'x'], 'x')]
)
def test_invalid_names_are_rejected(tiny_samples, tmp_path, names, odd):
    with pytest.raises(DataError, match=f"'{odd}' is not a valid name"):
        write_labels(tmp_path / 'labels', dict.fromkeys(names, tiny_samples[0].labels))


def test_empty_folder_and_other_sizes_are_rejected(bag_path, tmp_path):
    with pytest.raises(DataError, match='no file matches'):
        FolderLabels(tmp_path)
    labels = write_labels(tmp_path / 'labels', {'3': np.zeros((24, 35), np.uint8)})
    with (
        Bag(bag_path) as bag,
        pytest.raises(DataError, match='frame 1000000000.100000000') as error,
    ):
        list(BagFrames(bag, labels=labels))
    assert 'must be (24, 36)' in str(error.value)


def test_labels_can_be_in_any_order(bag_path, tmp_path, tiny_samples):
    def backwards(topic, index, cdr, time_ns):
        return cdr, time_ns + (10**9 * (5 - index) if topic == TOPICS.labels else 0)

    with Bag(rewrite(bag_path, tmp_path / 'new', backwards)) as bag:
        assert_all_same(BagFrames(bag), tiny_samples)


def test_memory_does_not_grow_with_labels_at_the_end(tiny_samples, tmp_path):
    def peak(count):
        write_bag(tiny_samples * (count // 5), tmp_path / f'{count}', 30.0, NYU40.class_names)
        late = tmp_path / f'{count} late'
        path = shifted(tmp_path / f'{count}', late, TOPICS.labels, time_ns=3600 * 10**9)
        with Bag(path) as bag:
            tracemalloc.start()
            assert sum(1 for _ in BagFrames(bag)) == count
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return highest

    frame = tiny_samples[0].frame
    frame_bytes = frame.rgb.nbytes + frame.depth_m.nbytes + tiny_samples[0].labels.nbytes
    peak(5)  # what is loaded once
    assert peak(160) - peak(40) < 120 * frame_bytes / 10
