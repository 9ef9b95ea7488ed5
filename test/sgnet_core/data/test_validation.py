# SPDX-License-Identifier: Apache-2.0
"""check_dataset: a valid data set has no finding, and every fault is found and named.

A fault is a list of steps that damage a valid data set, and the expected finding.

over 400 lines: the table of faults is long.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.data.validation.alignment import EdgeAgreement, depth_edges, label_edges
from sgnet_core.data.validation.validator import evenly_spaced, validate_dataset
from sgnet_core.errors import DataError
from sgnet_core.io.images import read_rgb
from sgnet_core.labels import NYU40, remap

NAMES = ('wall', 'floor', 'things', 'openings')
# NYU40 ids to `NAMES`: few enough for a handful of frames to show them all.
OPENINGS = ('door', 'window', 'picture', 'blinds', 'curtain', 'ceiling')
COARSE = np.array([2 + (name in OPENINGS) for name in NYU40.class_names], np.uint8)
COARSE[:2] = 0, 1
IDS = [f'00000{index}' for index in range(8)]


def write_rooms(root: Path, frames: int, size: tuple[int, int], seed: int) -> Path:
    """A valid data set: rooms of four frames each, the last one in `val`."""
    rooms = RoomDataset(frames, size, seed, frames_per_room=4, sensor_noise=True, rate_hz=1.0)
    with FolderWriter(root, 'good', rooms.intrinsics, NAMES, 1.0, with_pose=True) as writer:
        for sample in rooms:
            writer.write(replace(sample, labels=remap(sample.labels, COARSE)))
        writer.write_split('fit', rooms.ids[:-4])
        writer.write_split('val', rooms.ids[-4:])
    return root


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> Path:
    """Enough frames to judge edges. Read-only."""
    return write_rooms(tmp_path_factory.mktemp('good') / 'rooms', 16, (90, 122), seed=1)


@pytest.fixture(scope='module')
def small_good(tmp_path_factory) -> Path:
    return write_rooms(tmp_path_factory.mktemp('small') / 'rooms', 8, (60, 82), seed=1)


@pytest.fixture
def small(small_good, tmp_path) -> Path:
    """A small data set to damage."""
    return Path(shutil.copytree(small_good, tmp_path / 'rooms'))


def found(root: Path, **options) -> dict[str, str]:
    """Check -> line, of all findings."""
    return {finding.check: str(finding) for finding in validate_dataset(root, **options).findings}


# --- steps of a fault: functions of the root


Step = Callable[[Path], object]


def edit_yaml(**changes) -> Step:
    """Change keys of dataset.yaml; None removes a key, a dictionary updates the one there."""

    def step(root: Path) -> None:
        values = yaml.safe_load((root / 'dataset.yaml').read_text())
        for key, value in changes.items():
            values[key] = {**values[key], **value} if isinstance(value, dict) else value
        values = {key: value for key, value in values.items() if value is not None}
        (root / 'dataset.yaml').write_text(yaml.safe_dump(values))

    return step


def change(kind: str, function, *ids: str, suffix: str = '') -> Step:
    """Replace images of a kind, all or those of `ids`, by `function(image)`, as OpenCV has it."""

    def step(root: Path) -> None:
        for path in sorted((root / kind).iterdir()):
            if not ids or path.stem in ids:
                stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                changed = np.ascontiguousarray(function(stored))
                if changed.dtype in (np.int64, np.float64):
                    changed = np.rint(changed).astype(stored.dtype)
                assert cv2.imwrite(str(path.with_suffix(suffix or path.suffix)), changed)

    return step


image, depth, label = (partial(change, kind) for kind in ('image', 'depth', 'label'))


def text(name: str, *lines: str) -> Step:
    return lambda root: (root / name).write_text('\n'.join(lines))


def classes(*names: str) -> Step:
    return text('classes.txt', *names)


def intrinsics(**values) -> Step:
    return edit_yaml(intrinsics=values)


def camera(name: str, matrix: str = '80 0 40.5 0 80 29.5 0 0 1') -> Step:
    return text(f'intrinsics/{name}.txt', matrix)


def copy(source: str, *targets: str) -> Step:
    return lambda root: [shutil.copy(root / source, root / target) for target in targets]


def delete(*names: str) -> Step:
    return lambda root: [(root / name).unlink() for name in names]


def write_cameras(root: Path) -> None:
    """A camera per frame; the last four frames have another size."""
    (root / 'intrinsics').mkdir()
    crop = [change(kind, lambda x: x[:50, :70], *IDS[4:]) for kind in ('image', 'depth', 'label')]
    for step in (edit_yaml(intrinsics='intrinsics/{id}.txt'), *map(camera, IDS), *crop):
        step(root)


# --- what becomes of an image


def diagonal(value: int):
    """Images with `value` on their diagonal, 1.2 % of the pixels."""
    return lambda x: np.where(np.eye(*x.shape) > 0, value, x)


def shifted(labels):
    return np.where(labels == 0, 255, labels.astype(int) - 1)


def corner_labels(labels):
    labels[:2, :7] = 41
    labels[5] = 7
    return labels


def one_of_four(x):
    return x * (np.arange(x.size).reshape(x.shape) % 4 == 0)


FROM_0 = edit_yaml(label_offset=0)
BINARY = label(lambda x: np.where(x == 2, 255, 0))
NO_FLOOR_IN_VAL = label(lambda x: np.where(x == 2, 1, x), *IDS[4:])
SENTINEL = depth(lambda x: np.where(x == 0, 65535, x))
DECLARED = edit_yaml(depth_invalid=[65535])
OF_DOUBLE_SIZE = intrinsics(width=164, height=120, cx=81.0, cy=59.0)

# `CHECK FINDING` -> steps; * stands for any text.
FAULTS: dict[str, list[Step]] = {
    # labels
    'label_0_255 error: label value 255 in 1.2 % of the pixels, but with label_offset 1 *'
    '(in 8 frames: 000000, 000001, 000002, ...); store 0 for 255': [label(diagonal(255))],
    'label_offset error: label value 255*set label_offset: 0 in dataset.yaml and delete the line'
    ' `void`': [label(lambda x: shifted(diagonal(0)(x)))],
    "label_offset warning: the last class, 'openings', never occurs*value 0": [label(shifted)],
    'label_offset error: label values 4 (*4 classes with label_offset 0 are 0 to 3: the values '
    'start at 1*set label_offset: 1 in dataset.yaml and add a line `void`': [
        *(FROM_0, classes(*NAMES), label(diagonal(0)))
    ],
    "label_offset warning: value 0, 'sky', never occurs": [FROM_0, classes('sky', *NAMES)],
    "void_as_class error: 'void' is a class*set label_offset: 1": [FROM_0],
    "void_as_class warning: 'ignore' is a class": [FROM_0, classes('back', *NAMES[:-1], 'ignore')],
    'label_values error: label values 7 (0.2 %), 41 (below 0.1 %) are not classes: 4 classes with '
    'label_offset 1 are 1 to 4 (in 1 frame: 000003);': [label(corner_labels, '000003')],
    "label_0_255 error: label images hold only 0 and 255*0 is 'other', 1 is 'floor'; for example "
    'labels[labels == 255] = 1': [FROM_0, classes('other', 'floor'), BINARY],
    'label_values error: label values 60 (*store class numbers': [label(lambda x: x * 60)],
    'label_kind error: labels are 8-bit, 3 channels*instead of colours': [
        label(lambda x: NYU40.palette[x])
    ],
    'label_kind error: labels are a JPEG': [
        *(edit_yaml(label='label/{id}.jpg'), label(lambda x: x, suffix='.jpg'))
    ],
    'classes_missing warning: 1 of 4 classes have no pixel in 8 frames: openings': [
        label(lambda x: np.where(x == 4, 3, x))
    ],
    "classes_in_one_split warning: split 'val' has no pixel of floor": [NO_FLOOR_IN_VAL],
    'labels_empty warning: no pixel has a class (in 1 frame: 000005)': [
        label(np.zeros_like, '000005')
    ],
    'labels_empty error: no pixel has a class (in 8 frames: ': [label(np.zeros_like)],
    'labels_sparse warning: 75 % of the pixels are unlabelled': [label(one_of_four)],
    "label_places warning: the mean height of 'floor' is at * of the image from the top": [
        *(image(np.flipud), depth(np.flipud), label(np.flipud))
    ],
    "classes_file error: classes.txt: the first line is 'wall'*; add that": [classes('wall', 'a')],
    # depth
    'depth_unit error: median depth is *finer than a metre': [depth(lambda x: x * 0.001)],
    'depth_unit warning: 5 % of the depth is beyond *unless this is outdoors: set depth_scale': [
        depth(lambda x: x * np.where(np.arange(60) < 12, 9, 1)[:, None])
    ],
    'depth_kind error: depth is 8-bit, 1 channel*multiply metres by 1000*has lost the metres': [
        depth(lambda x: (x / 40).astype(np.uint8))
    ],
    'depth_stretched error: the largest raw depth is 10000 in 100 % of the frames': [
        depth(lambda x: x * (10000 / x.max()))
    ],
    'depth_stretched error: each frame has at most *depth values, but not the same': [
        depth(lambda x: np.floor(np.rint(x * (255 / x.max())) * (x.max() / 255)))
    ],
    'depth_coarse warning: depth has *40 mm apart': [depth(lambda x: x // 40 * 40)],
    'depth_invalid error: raw depth 65535, in *add 65535 to depth_invalid': [SENTINEL],
    'depth_invalid error: raw depth 0, in *add 0 to depth_invalid': [DECLARED],
    'depth_sparse warning: *% of the pixels have no depth': [depth(one_of_four)],
    'depth_empty warning: depth has no measurement (in 1 frame: 000001)': [
        depth(np.zeros_like, '000001')
    ],
    'depth_empty error: depth has no measurement (in 8 frames: ': [depth(np.zeros_like)],
    'depth_constant error: all measured depths are equal (in 1 frame: 000002)': [
        depth(lambda x: np.full_like(x, 1500), '000002')
    ],
    # intrinsics
    'principal_point error: *(cx, cy) = (82, 60) is outside the images of 82x60; give fx, fy, cx, '
    'cy for this image size': [intrinsics(cx=82.0, cy=60.0)],
    'principal_point warning: *is far from the centre': [intrinsics(cx=20.0, cy=14.6)],
    'pixel_shape warning: *differ, but pixels are square': [intrinsics(fy=140.0)],
    'field_of_view error: *is a field of view of 158 degrees': [intrinsics(fx=8.0, fy=8.0)],
    'intrinsics_size error: images are 82x60, but the intrinsics in dataset.yaml are for 164x120 '
    '(in 8 *set width: 82, height: 60;*multiply fx and cx by 0.5, fy and cy by 0.5': [
        OF_DOUBLE_SIZE
    ],
    'principal_point error: *(in 2 frames: 000002, 000005)': [
        *(write_cameras, camera('000002', '80 0 99 0 80 29.5 0 0 1')),
        camera('000005', '80 0 70 0 80 49 0 0 1'),
    ],
    'unreadable_files error: 1 file cannot be read: intrinsics/000006.txt: not a 3x3 matrix': [
        *(write_cameras, camera('000006', '80 0 70'))
    ],
    # files and splits
    'missing_files error: no label file for 1 of 6 frames, e.g. label/000006.png (in 1 frame': [
        *(text('split_val.txt', '000005', '000006'), delete('label/000006.png', 'label/000007.png'))
    ],
    'missing_files error: no label file for 8 of 8 frames*correct `label` in dataset.yaml': [
        lambda root: shutil.rmtree(root / 'label')
    ],
    'missing_files error: no depth file for 1 of 8 frames, e.g. depth/000002.png*restore': [
        delete('depth/000002.png')
    ],
    'files_without_image warning: 1 pose file without an image': [
        *(text('split_val.txt', '000004'), delete('image/000007.jpg'))
    ],
    "split_missing_files error: split 'fit': 2 of 5 frames have no file, e.g. image/lost.jpg": [
        text('split_fit.txt', *IDS[:3], 'lost', 'gone')
    ],
    "splits_overlap error: splits 'fit' and 'val' share 1 frame (in 1 frame: 000004)": [
        text('split_fit.txt', '000000', '000001', '000004')
    ],
    "splits_overlap error: splits 'train' and 'val' share 2 frames": [
        *(text('train.txt', *IDS[:6]), edit_yaml(splits={'train': 'train.txt'}))
    ],
    "split_file error: split 'val': *the split is empty": [text('split_val.txt', '', '')],
    'splits_interleaved warning: a video of 30 Hz changes 7 times between the splits fit, val': [
        edit_yaml(rate_hz=30),
        *(text('split_fit.txt', *IDS[::2]), text('split_val.txt', *IDS[1::2])),
    ],
    'sizes_differ error: *colour 82x60, depth 41x30, labels 82x60 (in 1 frame: 000003)': [
        depth(lambda x: x[::2, ::2], '000003')
    ],
    'colour_repeated warning: *(in 4 frames: 000000, 000001, 000002, ...); keep one': [
        copy('image/000001.jpg', 'image/000000.jpg', 'image/000002.jpg', 'image/000003.jpg')
    ],
    'depth_repeated error: the depth images of some frames in different splits are identical*'
    '(in 2 frames: 000001, 000006)': [copy('depth/000001.png', 'depth/000006.png')],
    'image_blank warning: *(in 1 frame: 000005)': [image(lambda x: np.full_like(x, 90), '000005')],
}


@pytest.mark.parametrize('fault', FAULTS)
def test_fault_is_reported(small, fault):
    for step in FAULTS[fault]:
        step(small)
    lines = [f'{check} {line}' for check, line in found(small).items()]
    pattern = '.*'.join(map(re.escape, fault.split('*')))
    # A match of the whole line: no message has a line break.
    assert [line for line in lines if re.fullmatch(pattern + '.*', line)], lines


# --- valid data sets have no finding


def test_valid_dataset_has_no_finding(good, small_good):
    assert found(good) == found(small_good) == {}
    assert all(edges.fits()[0].agreement > 0.5 for edges in validate_dataset(good).edges)


VALID = {
    '65535 for no measurement, declared': [SENTINEL, DECLARED],
    'a camera and size per frame': [write_cameras],
    'splits cut from another': [text('train.txt', *IDS), edit_yaml(splits={'train': 'train.txt'})],
    'frames outside the splits that wait for their labels': [
        *(text('split_val.txt', '000005', '000006'), delete('label/000007.png'))
    ],
    'one class and unlabelled pixels': [BINARY, FROM_0, classes('other')],
    'a video cut into blocks': [edit_yaml(rate_hz=30)],
    'a video that repeats a frame': [copy('image/000001.jpg', 'image/000002.jpg')],
}


@pytest.mark.parametrize('steps', VALID.values(), ids=VALID)
def test_valid_variant_has_no_finding(small, steps):
    for step in steps:
        step(small)
    assert found(small) == {}


def test_nyuv2_has_no_error_but_coarse_depth(research_data):
    result = validate_dataset(research_data / 'nyuv2', max_frames=40)
    assert result.errors == 0
    # The README of these data says 39 mm.
    assert {f.check for f in result.findings} <= {'depth_coarse', 'classes_missing'}
    assert '39 mm' in str(next(f for f in result.findings if f.check == 'depth_coarse'))
    assert all(edges.fits()[0].agreement > 0.6 for edges in result.edges)


def test_kinect_sequence_has_no_error_but_displaced_depth(research_data):
    # Depth has the focal length 585, colour about 525: edges are off by 30 pixels at the border.
    result = validate_dataset(research_data / 'kinect_sequence', max_frames=40)
    assert [finding.check for finding in result.findings] == ['depth_displaced']
    assert result.errors == 0
    stored, best = result.edges[0].fits()
    assert best.change == pytest.approx(525 / 585, abs=0.04)
    assert best.agreement > 1.5 * stored.agreement


# --- faults that need more than a row


def test_subset_of_frames_does_not_check_the_classes_of_splits(small):
    NO_FLOOR_IN_VAL(small)
    assert 'classes_in_one_split' not in found(small, max_frames=7)


@pytest.mark.parametrize(('factor', 'scale'), [(10, 0.0001), (0.1, 0.01)])
def test_wrong_unit_is_named(small, factor, scale):
    depth(lambda x: x * float(factor))(small)
    assert f'{scale:g} for ' in found(small)['depth_unit']
    edit_yaml(depth_scale=scale)(small)
    assert 'depth_unit' not in found(small)


def test_unreadable_files_are_all_named(small):
    for path in map(small.joinpath, ('image/000001.jpg', 'depth/000002.png', 'label/000003.png')):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    text('image/000004.jpg')(small)
    text('pose/000005.txt', '1 0 0')(small)
    (finding,) = (f for f in validate_dataset(small).findings if f.check == 'unreadable_files')
    assert '5 files cannot be read: image/000001.jpg: cut off after ' in finding.seen
    assert finding.ids == ('000001', '000002', '000003', '000004', '000005')
    assert all(name in finding.seen for name in ('depth/000002.png', 'label/000003.png'))


# --- alignment


ENLARGED = np.array([[1.14, 0, -0.07 * 121], [0, 1.14, -0.07 * 89]])
MISALIGNED = {
    'mirrored': (lambda x: x[:, ::-1], 'mirrored', 'mirrored left to right'),
    'upside down': (lambda x: x[::-1], 'mirrored', 'mirrored top to bottom'),
    'half a turn': (lambda x: x[::-1, ::-1], 'mirrored', 'rotated by 180 degrees'),
    'moved': (lambda x: np.roll(x, 6, 1), 'displaced', 'moved left by 4.9 % of the width'),
    # A depth camera with a longer focal length: its picture is larger than that of colour.
    'larger': (
        lambda x: cv2.warpAffine(x, ENLARGED, x.shape[::-1], flags=cv2.INTER_NEAREST),
        *('displaced', 'scaled by 0.8'),
    ),
}


@pytest.mark.parametrize('kind', ['depth', 'label'])
@pytest.mark.parametrize('how', MISALIGNED)
def test_misalignment_with_colour_is_named(good, tmp_path, kind, how):
    function, check, words = MISALIGNED[how]
    root = Path(shutil.copytree(good, tmp_path / 'rooms'))
    change(kind, function)(root)
    what, other = ('depth', 'labels') if kind == 'depth' else ('labels', 'depth')
    lines = found(root)
    assert words in lines[f'{what}_{check}']
    assert not {f'{other}_mirrored', f'{other}_displaced', f'{other}_unrelated'} & set(lines)


def test_depth_of_other_frames_is_unrelated(good, tmp_path):
    root = Path(shutil.copytree(good, tmp_path / 'rooms'))
    for number in range(16):
        shutil.copy(good / f'depth/{number:06d}.png', root / f'depth/{(number + 6) % 16:06d}.png')
    assert 'coincide with edges of colour only by chance' in found(root)['depth_unrelated']


def test_few_frames_or_edges_are_not_judged():
    rng = np.random.default_rng(5)
    agreement = EdgeAgreement('labels')
    rgb = rng.integers(0, 256, (60, 83, 3)).astype(np.uint8)
    for _ in range(5):
        agreement.add(rgb, label_edges(rng.integers(0, 2, (60, 83))))
    assert agreement.fits() is None and list(agreement.findings()) == []
    for _ in range(9):
        agreement.add(rgb, depth_edges(np.ones((60, 83), np.float32)))
    assert agreement.frames == 5


def test_depth_edges_ignore_missing_depth():
    depth_m = np.full((6, 9), 2.0, np.float32)
    depth_m[:, 5:] = 2.5
    depth_m[2, 1:8] = np.nan
    depth_m[4, :4] = 2.1
    expected = [[row != 2 and column == 5 for column in range(9)] for row in range(6)]
    np.testing.assert_array_equal(depth_edges(depth_m), expected)


# --- the command


def run_check(*arguments) -> int:
    return run_command('sgnet_core', 'check_dataset', [str(argument) for argument in arguments])


def test_command_reports_a_valid_dataset(small_good, tmp_path, capsys):
    figures = tmp_path / 'figures.json'
    assert run_check(small_good, '--out', tmp_path / 'new', '--json', figures) == 0
    printed = capsys.readouterr().out
    assert 'good: 8 frames; splits: fit 4, val 4' in printed
    assert 'no errors, no warnings' in printed
    values = json.loads(figures.read_text())
    assert (values['frames'], values['frames_read'], values['errors']) == (8, 8, 0)
    # Every pixel of every frame is in one class or in none, and at one depth or at none.
    pixels = sum(entry['pixels'] for entry in values['classes'].values())
    assert pixels + values['unlabelled_pixels'] == 8 * 60 * 82
    measured = sum(values['depth']['histogram_pixels'])
    assert measured == pytest.approx(values['depth']['measured_share'] * 8 * 60 * 82)
    sheet = read_rgb(tmp_path / 'new' / 'check_dataset.png')
    assert sheet.shape[0] > 500 and (sheet < 200).mean() > 0.3


def test_command_rejects_a_faulty_dataset(small, tmp_path, capsys):
    depth(lambda x: x * 10)(small)
    (small / 'depth' / '000002.png').write_bytes(b'no image')
    delete('label/000003.png')(small)
    figures = tmp_path / 'figures.json'
    assert run_check(small, '--out', tmp_path, '--json', figures) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith('error: ') for line in lines) == 3
    assert '3 errors, no warnings' in lines
    assert (tmp_path / 'check_dataset.png').is_file()
    findings = json.loads(figures.read_text())['findings']
    assert all(set(f) == {'severity', 'check', 'seen', 'remedy', 'frames'} for f in findings)
    assert [f['frames'] for f in findings if f['check'] == 'missing_files'] == [['000003']]


def test_command_reads_one_split_or_some_frames(small_good, tmp_path, capsys):
    assert run_check(small_good, '--split', 'val', '--out', tmp_path, '--json', '-') == 0
    assert json.loads(capsys.readouterr().out)['frames'] == 4
    assert run_check(small_good, '--frames', '3', '--out', tmp_path) == 0
    assert 'read: 3 of them, evenly spaced' in capsys.readouterr().out


def test_dataset_without_labels_is_valid(small, tmp_path, capsys):
    edit_yaml(label=None, classes=None, label_offset=None)(small)
    assert run_check(small, '--out', tmp_path) == 0
    assert 'labels: none' in capsys.readouterr().out


def test_wrong_usage_is_rejected(small, tmp_path, capsys, monkeypatch):
    for arguments, message in (
        ((tmp_path / 'nowhere', '--out', tmp_path), 'no such folder'),
        ((small, '--split', 'test', '--out', tmp_path), 'choose one of: fit, val'),
        ((small, '--frames', '0', '--out', tmp_path), 'must be at least 1, got 0'),
    ):
        assert run_check(*arguments) == 2
        assert message in capsys.readouterr().err
    monkeypatch.chdir(small)
    assert run_check('.') == 2
    assert 'choose another folder with --out' in capsys.readouterr().err
    assert not (small / 'check_dataset.png').exists()
    edit_yaml(image='rgb/{id}.jpg', splits=None)(small)
    with pytest.raises(DataError, match='no file matches'):
        validate_dataset(small)


def test_unreadable_split_writes_no_contact_sheet(small, tmp_path):
    delete('split_val.txt')(small)
    assert run_check(small, '--split', 'val', '--out', tmp_path) == 1
    assert not (tmp_path / 'check_dataset.png').exists()


def test_frames_are_evenly_spaced():
    ids = tuple('abcdefghijk')
    assert evenly_spaced(ids, None) == evenly_spaced(ids, 11) == ids
    assert evenly_spaced(ids, 4) == ('a', 'c', 'f', 'i')
    assert evenly_spaced((), 3) == ()
