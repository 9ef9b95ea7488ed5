# SPDX-License-Identifier: Apache-2.0
"""`bag_to_frames` writes the valid frames of a bag as a dataset."""

import json
import os
import signal

import numpy as np
import pytest
from bag_files import assert_all_same, edited, rewrite, truncate, unknown_encoding, without

from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import DataError
from sgnet_core.io.images import write_mask
from sgnet_core.labels import NYU40
from sgnet_ros.bag.frame_topics import FrameTopics
from sgnet_ros.bag.reader import Bag, with_header_stamp
from sgnet_ros.bag.writer import write_bag

TOPICS = FrameTopics()
IDS = ['1000000000.000000000', '1000000000.033333333', '1000000000.066666667']


@pytest.fixture
def convert(tmp_path, capsys):
    """`convert(bag, *options)` returns exit status, dataset (or None), and output."""
    out = tmp_path / 'frames'

    def run(bag, *options, labels=True):
        status = run_command('sgnet_ros', 'bag_to_frames', [str(bag), str(out), *options])
        made = (out / 'dataset.yaml').exists()
        said = capsys.readouterr()
        return status, FolderDataset(out, labels=labels) if made else None, said.out + said.err

    return run


def test_frames_and_bag_convert_exactly(bag_path, convert, tiny_samples, tmp_path):
    status, frames, said = convert(bag_path, '--png')
    assert (status, said) == (
        0,
        f'bag_to_frames: 5 frames of 5 pairs at 30 Hz, 40 classes: {tmp_path / "frames"}\n',
    )
    assert list(frames.ids[:3]) == IDS
    assert (frames.class_names, frames.rate_hz) == (NYU40.class_names, 30.0)
    assert_all_same(frames, tiny_samples)
    again = tmp_path / 'again'
    arguments = [str(frames.root), str(again)]
    assert run_command('sgnet_ros', 'frames_to_bag', arguments) == 0
    with Bag(bag_path) as one, Bag(again) as other:
        # Folders keep no transforms of a bag.
        expected = [message for message in one.messages() if message.topic != '/tf']
        assert expected == list(other.messages())


def test_depth_scale_is_that_of_the_input(tiny_dataset, tiny_samples, convert, tmp_path):
    arguments = [str(tiny_dataset.root), str(tmp_path / 'bag'), '--depth-scale']
    assert run_command('sgnet_ros', 'frames_to_bag', [*arguments, '0']) == 2
    assert run_command('sgnet_ros', 'frames_to_bag', [*arguments, '0.002']) == 0
    status, frames, _ = convert(tmp_path / 'bag', '--depth-scale', '0.0005', '--png')
    assert status == 0
    assert_all_same(frames, tiny_samples)


@pytest.mark.parametrize(
    ('options', 'chosen'),
    [
        (('--every', '2'), [0, 2, 4, 6, 8, 10]),
        (('--rate', '10'), [0, 3, 6, 9]),
        (('--rate', '30'), range(12)),
        (('--rate', '1000', '--limit', '5'), range(5)),
    ],
)
def test_every_and_rate_select_frames(tiny_samples, convert, tmp_path, options, chosen):
    """30 Hz with a jitter of 3 ms."""
    rng = np.random.default_rng(3)
    jitter_ns = rng.integers(-3_000_000, 3_000_001, 12)
    write_bag((tiny_samples * 3)[:12], tmp_path / 'even', 30.0)

    def jittered(topic, index, cdr, time_ns):
        return with_header_stamp(cdr, time_ns + int(jitter_ns[index])), time_ns

    path = rewrite(tmp_path / 'even', tmp_path / 'uneven', jittered)
    status, frames, said = convert(path, '--ids', 'index', '--png', *options)
    assert status == 0
    assert list(frames.ids) == [f'{i:06d}' for i in range(len(chosen))]
    for sample, index in zip(frames, chosen, strict=True):
        np.testing.assert_array_equal(sample.frame.rgb, tiny_samples[index % 5].frame.rgb)
    assert not frames.has_labels
    assert 'no labels' in said


@pytest.mark.parametrize('first_line', ['void\n', ''])
def test_classes_prepare_the_folder_for_annotation(bag_path, convert, tmp_path, first_line):
    (tmp_path / 'mine.txt').write_text(f'{first_line}pallet\nforklift\n')
    status, frames, _ = convert(bag_path, '--classes', str(tmp_path / 'mine.txt'), labels=False)
    root = frames.root
    assert (status, len(frames)) == (0, 5)
    assert (root / 'classes.txt').read_text() == 'void\npallet\nforklift\n'
    assert list((root / 'label').iterdir()) == []
    with pytest.raises(DataError, match=r'fit\.txt: the split is empty; write one id a line'):
        FolderDataset(root, 'fit')
    # One frame is annotated.
    values = np.random.default_rng(0).integers(0, 3, frames.intrinsics.size).astype(np.uint8)
    write_mask(root / 'label' / f'{IDS[1]}.png', values)
    (root / 'fit.txt').write_text(f'{IDS[1]}\n')
    painted = FolderDataset(root, 'fit')
    assert painted.class_names == ('pallet', 'forklift')
    np.testing.assert_array_equal(painted[0].labels, values - np.uint8(1))
    assert painted.rate_hz == 30.0


def test_invalid_frames_are_skipped_and_counted(bag_path, convert, tmp_path, tiny_samples):
    """One frame has an unknown encoding, another one no depth."""

    def remove(topic, index, cdr, time_ns):
        return None if topic == TOPICS.depth and index == 3 else (cdr, time_ns)

    path = rewrite(bag_path, tmp_path / 'without depth', remove)
    path = edited(path, tmp_path / 'new', TOPICS.rgb, unknown_encoding, (1,))
    metrics = tmp_path / 'metrics.json'
    status, frames, said = convert(path, '--png', '--json', str(metrics))
    assert status == 0
    assert_all_same(frames, tiny_samples[::2])
    assert 'bag_to_frames: 3 frames of 4 pairs' in said
    assert 'messages without a pair: rgb_unmatched 1' in said
    assert (
        f'1 frames skipped; the first: {path}: frame {IDS[1]}, {TOPICS.rgb}: unknown colour enc'
        in said
    )
    summary = json.loads(metrics.read_text())
    assert (summary['frames'], summary['pairs'], len(summary['skipped'])) == (3, 4, 1)


def zoom(message):
    message.k = message.k * (2, 1, 1, 1, 1, 1, 1, 1, 1)


def label_with_77(message):
    message.data = np.full_like(message.data, 77)


@pytest.mark.parametrize(
    ('topic', 'edit', 'text'),
    [
        (TOPICS.camera_info, zoom, 'the dataset CameraIntrinsics'),
        (TOPICS.labels, label_with_77, 'class id 77 in labels of 40 classes'),
    ],
)
def test_frames_that_do_not_fit_the_dataset_are_skipped(
    bag_path, convert, tmp_path, topic, edit, text
):
    path = edited(bag_path, tmp_path / 'new', topic, edit, (3, 4))
    status, frames, said = convert(path)
    assert (status, len(frames)) == (0, 3)
    assert '2 frames skipped' in said
    assert text in said


def test_truncated_bag_is_converted_and_fails(tiny_samples, convert, tmp_path):
    write_bag(tiny_samples * 8, tmp_path / 'bag', 30.0, NYU40.class_names)
    truncate(tmp_path / 'bag')
    status, frames, said = convert(tmp_path / 'bag', '--png')
    assert status == 1
    assert 15 <= len(frames) <= 25
    assert f'wrote the {len(frames)} frames that can be read' in said
    assert_all_same(frames, (tiny_samples * 8)[: len(frames)])


def test_bag_that_differs_from_its_metadata_is_converted_and_fails(bag_path, convert, tiny_samples):
    metadata = bag_path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 5', 'message_count: 6'))
    status, frames, said = convert(bag_path, '--png')
    assert status == 1
    assert_all_same(frames, tiny_samples)
    assert 'metadata.yaml counts 6 messages on' in said
    assert 'the storage files have 5, and 4 other topics differ' in said


def test_ctrl_c_leaves_a_valid_dataset(bag_path, convert, tmp_path, monkeypatch):
    write = FolderWriter.write

    def write_and_interrupt(self, sample):
        write(self, sample)
        if sample.id == IDS[1]:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FolderWriter, 'write', write_and_interrupt)
    (tmp_path / 'mine.txt').write_text('box\n')
    options = ('--classes', str(tmp_path / 'mine.txt'))
    status, frames, _ = convert(bag_path, *options, labels=False)
    assert status == 130
    assert list(frames.ids) == IDS[:2]
    assert (frames.root / 'label').is_dir()


def test_labels_without_class_names_are_rejected(bag_path, convert, tmp_path):
    path = rewrite(bag_path, tmp_path / 'new', without(TOPICS.label_names))
    status, frames, said = convert(path)
    assert (status, frames) == (2, None)
    assert f'no class names on {TOPICS.label_names}' in said
    (tmp_path / 'mine.txt').write_text('box\n')
    assert convert(path, '--classes', str(tmp_path / 'mine.txt'), labels=False)[0] == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--every', '0'), '--every must be at least 1'),
        (('--rate', '0'), '--rate must be above 0'),
        (('--camera', '1,2'), '--camera must be four numbers'),
        (('--depth-topic', '/depth'), f'nearest: {TOPICS.depth}'),
        (('--classes', '/nowhere.txt'), '/nowhere.txt: no such file'),
    ],
)
def test_invalid_options_are_rejected(bag_path, convert, options, message):
    status, frames, said = convert(bag_path, *options)
    assert (status, frames) == (2, None)
    assert message in said


@pytest.mark.parametrize(('options', 'count'), [('--split val', 2), ('--limit 3', 3)])
def test_frames_to_bag_applies_split_and_limit(tiny_dataset, tmp_path, options, count):
    argv = [str(tiny_dataset.root), str(tmp_path / 'bag'), *options.split()]
    assert run_command('sgnet_ros', 'frames_to_bag', argv) == 0
    with Bag(tmp_path / 'bag') as bag:
        assert bag.topics[TOPICS.rgb].count == count
