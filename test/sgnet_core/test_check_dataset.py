# SPDX-License-Identifier: Apache-2.0
"""check_dataset: a good data set has no finding, and every way to ruin one is found and named.

over 400 lines: each ruin is a short function of its own.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from sgnet_core.cli import run_command
from sgnet_core.data.folder import FolderWriter
from sgnet_core.data.image_files import read_rgb
from sgnet_core.data.rooms import RoomDataset
from sgnet_core.data.validation import report
from sgnet_core.data.validation.alignment import EdgeAgreement, depth_edges, label_edges
from sgnet_core.data.validation.validator import check_dataset, evenly_spread
from sgnet_core.errors import DataError, InputError
from sgnet_core.labels import NYU40, remap

NAMES = ('wall', 'floor', 'things', 'openings')
OPENINGS = ('door', 'window', 'picture', 'blinds', 'curtain', 'ceiling')


def coarse_labels() -> np.ndarray:
    """(40,) NYU40 ids to `NAMES`: few enough for a handful of frames to show them all."""
    lookup = np.full(40, NAMES.index('things'), np.uint8)
    for name in OPENINGS:
        lookup[NYU40.class_names.index(name)] = NAMES.index('openings')
    lookup[:2] = 0, 1
    return lookup


def write_rooms(root: Path, frames: int, size: tuple[int, int], seed: int) -> None:
    """A data set without fault: rooms of four frames each, the last one in `val`."""
    rooms = RoomDataset(frames, size, seed, frames_per_room=4, sensor_noise=True, rate_hz=1.0)
    lookup = coarse_labels()
    with FolderWriter(root, 'good', rooms.intrinsics, NAMES, 1.0, with_pose=True) as writer:
        for sample in rooms:
            writer.write(replace(sample, labels=remap(sample.labels, lookup)))
        writer.write_split('fit', rooms.ids[:-4])
        writer.write_split('val', rooms.ids[-4:])


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> Path:
    """Enough frames to judge how edges meet. Not to be written to."""
    root = tmp_path_factory.mktemp('good') / 'rooms'
    write_rooms(root, 16, (90, 122), seed=3)
    return root


@pytest.fixture(scope='module')
def small_good(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('small') / 'rooms'
    write_rooms(root, 8, (60, 82), seed=8)
    return root


@pytest.fixture
def small(small_good, tmp_path) -> Path:
    """A small data set to ruin."""
    return Path(shutil.copytree(small_good, tmp_path / 'rooms'))


def edit_yaml(root: Path, **changes) -> None:
    """Change keys of dataset.yaml; a value of None removes the key."""
    values = yaml.safe_load((root / 'dataset.yaml').read_text())
    values.update(changes)
    values = {key: value for key, value in values.items() if value is not None}
    (root / 'dataset.yaml').write_text(yaml.safe_dump(values))


def change(root: Path, kind: str, function) -> None:
    """Replace every image of a kind by `function(image)`, as OpenCV has it."""
    for path in sorted((root / kind).iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(str(path), np.ascontiguousarray(function(image)))


def found(root: Path, **options) -> dict[str, str]:
    """Check -> line, of all findings."""
    return {finding.check: str(finding) for finding in check_dataset(root, **options).findings}


# --- what is good has no finding


def test_a_good_data_set_has_no_finding(good, small_good):
    assert found(good) == {}
    assert found(small_good) == {}
    for what, fits in zip(('depth', 'labels'), check_dataset(good).edges, strict=True):
        assert fits.what == what
        assert fits.fits()[0].agreement > 0.5


def test_nyuv2_has_no_error_and_its_steps_are_noticed(research_data):
    checked = check_dataset(research_data / 'nyuv2', max_frames=40)
    assert checked.errors == 0
    # The README of these data says 39 mm.
    assert {f.check for f in checked.findings} <= {'depth_coarse', 'classes_missing'}
    assert '39 mm' in str(next(f for f in checked.findings if f.check == 'depth_coarse'))
    assert all(edges.fits()[0].agreement > 0.6 for edges in checked.edges)


def test_kinect_sequence_has_no_error_and_its_registration_is_measured(research_data):
    # Depth has the focal length 585, colour about 525: edges are off by 30 pixels at the border.
    checked = check_dataset(research_data / 'kinect_sequence', max_frames=40)
    assert [finding.check for finding in checked.findings] == ['depth_displaced']
    assert checked.errors == 0
    stored, best = checked.edges[0].fits()
    assert best.change == pytest.approx(525 / 585, abs=0.04)
    assert best.agreement > 1.5 * stored.agreement


# --- labels


def shifted(labels):
    return np.where(labels == 0, 255, labels - 1).astype(np.uint8)


def test_void_as_255_with_label_offset_1(small):
    change(small, 'label', lambda x: np.where(np.eye(*x.shape) > 0, 255, x).astype(np.uint8))
    line = found(small)['label_0_255']
    assert line.startswith('error: label value 255 in 1.2 % of the pixels, but with label_offset 1')
    assert '(in 8 frames: 000000, 000001, 000002, ...); write 0 for 255' in line


def test_labels_that_count_from_0_with_255_for_void(small):
    change(small, 'label', lambda x: shifted(np.where(np.eye(*x.shape) > 0, 0, x)))
    line = found(small)['label_offset']
    assert line.startswith('error: label value 255')
    assert 'set label_offset: 0 in dataset.yaml and delete the line `void`' in line


def test_labels_that_count_from_0_without_void(small):
    """Every value is allowed, and every class is taken for the one before it."""
    change(small, 'label', shifted)
    line = found(small)['label_offset']
    assert line.startswith("warning: the last class, 'openings', never appears, and value 0")


def test_forgotten_label_offset(small):
    edit_yaml(small, label_offset=0)
    (small / 'classes.txt').write_text('\n'.join(NAMES))
    change(small, 'label', lambda x: np.where(np.eye(*x.shape) > 0, 0, x).astype(np.uint8))
    line = found(small)['label_offset']
    assert line.startswith('error: label values 4 (')
    assert '4 classes with label_offset 0 are 0 to 3: they count from 1' in line
    assert 'set label_offset: 1 in dataset.yaml and put a line `void`' in line


def test_void_among_the_classes(small):
    edit_yaml(small, label_offset=0)
    line = found(small)['void_as_class']
    assert line.startswith("error: 'void' is a class") and 'set label_offset: 1' in line
    (small / 'classes.txt').write_text('\n'.join(['back', *NAMES[:-1], 'ignore']))
    assert found(small)['void_as_class'].startswith("warning: 'ignore' is a class")


def test_labels_from_1_that_never_reach_the_last_class(small):
    edit_yaml(small, label_offset=0)
    (small / 'classes.txt').write_text('\n'.join(['sky', *NAMES]))
    assert found(small)['label_offset'].startswith("warning: value 0, 'sky', never appears")


def test_ids_beyond_the_class_list(small):
    path = small / 'label' / '000003.png'
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    labels[:2, :7] = 41
    labels[5] = 7
    cv2.imwrite(str(path), labels)
    line = found(small)['label_values']
    assert line.startswith(
        'error: label values 7 (0.2 %), 41 (below 0.1 %) are no class: 4 classes'
    )
    assert 'with label_offset 1 are 1 to 4 (in 1 frame: 000003);' in line


def test_instances_in_sixteen_bits(small):
    change(small, 'label', lambda x: x.astype(np.uint16) * 1000 + 17)
    assert 'instances or depth' in found(small)['label_values']


def test_masks_of_0_and_255(small):
    change(small, 'label', lambda x: np.where(x == 2, 255, 0).astype(np.uint8))
    edit_yaml(small, label_offset=0)
    (small / 'classes.txt').write_text('other\nfloor\n')
    line = found(small)['label_0_255']
    assert line.startswith('error: label images hold 0 and 255 only')
    assert "0 is 'other', 1 is 'floor'; for example labels[labels == 255] = 1" in line
    # One class and the rest unlabelled is what a user may want.
    (small / 'classes.txt').write_text('other\n')
    assert 'label_0_255' not in found(small)


def test_labels_stretched_to_be_looked_at(small):
    change(small, 'label', lambda x: x * 60)
    assert 'multiples of 60' in found(small)['label_scaled']


@pytest.mark.parametrize(
    ('convert', 'words'),
    [
        (lambda x: NYU40.palette[x][..., ::-1], 'labels are 8-bit, 3 channels'),
        (lambda x: np.dstack([NYU40.palette[x], x]), 'labels are 8-bit, 4 channels'),
    ],
)
def test_colours_instead_of_numbers(small, convert, words):
    change(small, 'label', convert)
    line = found(small)['label_kind']
    assert line.startswith('error: ') and words in line and 'instead of colours' in line


def test_jpeg_labels(small):
    edit_yaml(small, label='label/{id}.jpg')
    for path in list((small / 'label').iterdir()):
        cv2.imwrite(str(path.with_suffix('.jpg')), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    assert 'labels are a JPEG' in found(small)['label_kind']


def test_missing_classes_and_classes_of_one_split(small):
    change(small, 'label', lambda x: np.where(x == 4, 3, x).astype(np.uint8))
    lines = found(small)
    assert '1 of 4 classes have no pixel in 8 frames: openings' in lines['classes_missing']
    for sample_id in (small / 'split_val.txt').read_text().split():
        path = small / 'label' / f'{sample_id}.png'
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(labels == 2, 1, labels).astype(np.uint8))
    assert "split 'val' has no pixel of floor" in found(small)['classes_in_one_split']
    # Of a sample of the frames nothing of the kind can be said.
    assert 'classes_in_one_split' not in found(small, max_frames=7)


def test_unlabelled_frames(small):
    cv2.imwrite(str(small / 'label' / '000005.png'), np.zeros((60, 82), np.uint8))
    assert found(small)['labels_empty'].startswith('warning: no pixel has a class (in 1 frame: 000')
    change(small, 'label', np.zeros_like)
    assert found(small)['labels_empty'].startswith('error: no pixel has a class (in 8 frames: ')


def test_floors_on_top(small):
    for kind in ('image', 'depth', 'label'):
        change(small, kind, np.flipud)
    assert "'floor' lies on average at 20 %" in found(small)['label_places']


def test_classes_file_that_cannot_be_read(small):
    (small / 'classes.txt').write_text('wall\nfloor\n')
    line = found(small)['classes_file']
    assert line.startswith("error: classes.txt: the first line is 'wall'")


# --- depth


@pytest.mark.parametrize(('factor', 'scale'), [(10, 0.0001), (0.1, 0.01), (5, 0.0002)])
def test_a_wrong_unit_is_named(small, factor, scale):
    change(small, 'depth', lambda x: np.rint(x * float(factor)).astype(np.uint16))
    line = found(small)['depth_unit']
    assert 'set depth_scale in dataset.yaml to the unit of the files: ' in line
    assert f'{scale:g} for ' in line
    edit_yaml(small, depth_scale=scale)
    assert 'depth_unit' not in found(small)


def test_whole_metres(small):
    change(small, 'depth', lambda x: np.rint(x / 1000).astype(np.uint16))
    assert 'look like whole metres' in found(small)['depth_unit']


def test_eight_bits_and_colours_and_floats_are_no_depth(small):
    change(small, 'depth', lambda x: (x / 40).astype(np.uint8))
    line = found(small)['depth_kind']
    assert 'depth is 8-bit, 1 channel' in line and 'has lost the metres' in line
    change(small, 'depth', lambda x: np.dstack([x] * 3))
    assert 'depth is 8-bit, 3 channels' in found(small)['depth_kind']


def test_metres_as_floats(small):
    edit_yaml(small, depth='depth/{id}.tiff')
    for path in list((small / 'depth').iterdir()):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path.with_suffix('.tiff')), depth.astype(np.float32) / 1000)
    assert 'multiply metres by 1000' in found(small)['depth_kind']


@pytest.mark.parametrize('top', [255, 65535, 10000])
def test_depth_stretched_per_image(small, top):
    change(small, 'depth', lambda x: np.rint(x * (top / x.max())).astype(np.uint16))
    line = found(small)['depth_stretched']
    assert f'the largest raw depth is {top} in 100 % of the frames' in line


def test_depth_of_256_levels_that_differ_from_frame_to_frame(small):
    change(small, 'depth', lambda x: (np.rint(x * (255 / x.max())) * (x.max() / 255)).astype('<u2'))
    line = found(small)['depth_stretched']
    assert 'different depths, but others' in line


def test_depth_of_256_levels_in_all_frames(small):
    change(small, 'depth', lambda x: (x // 40 * 40).astype(np.uint16))
    line = found(small)['depth_coarse']
    assert line.startswith('warning: depth has ') and '40 mm apart' in line


def test_a_sign_for_no_measurement_that_is_not_declared(small):
    change(small, 'depth', lambda x: np.where(x == 0, 65535, x).astype(np.uint16))
    line = found(small)['depth_invalid']
    assert 'raw depth 65535 in ' in line and 'add 65535 to depth_invalid' in line
    edit_yaml(small, depth_invalid=[65535])
    assert found(small) == {}


def test_zero_that_is_taken_for_a_distance(small):
    edit_yaml(small, depth_invalid=[65535])
    assert 'add 0 to depth_invalid' in found(small)['depth_invalid']


def test_depth_without_content(small):
    change(small, 'depth', lambda x: np.where(np.arange(x.size).reshape(x.shape) % 4, 0, x))
    lines = found(small)
    assert '% of the pixels have no depth' in lines['depth_sparse']
    cv2.imwrite(str(small / 'depth' / '000001.png'), np.zeros((60, 82), np.uint16))
    cv2.imwrite(str(small / 'depth' / '000002.png'), np.full((60, 82), 1500, np.uint16))
    lines = found(small)
    assert lines['depth_empty'].startswith('warning: depth has no measurement at all (in 1 frame')
    assert '(in 1 frame: 000002)' in lines['depth_constant']
    change(small, 'depth', np.zeros_like)
    assert found(small)['depth_empty'].startswith('error: ')


# --- alignment


def turned(image, rows, columns):
    return image[::rows, ::columns]


RUINS = {
    'mirrored': (lambda x: turned(x, 1, -1), 'mirrored', 'mirrored left to right'),
    'upside down': (lambda x: turned(x, -1, 1), 'mirrored', 'mirrored top to bottom'),
    'half a turn': (lambda x: turned(x, -1, -1), 'mirrored', 'turned by 180 degrees'),
    'moved': (
        lambda x: np.roll(x, (0, 6), (0, 1)),
        'displaced',
        'moved to the left by 4.9 % of the width',
    ),
}


@pytest.mark.parametrize('kind', ['depth', 'label'])
@pytest.mark.parametrize('ruin', RUINS)
def test_what_does_not_lie_on_colour_is_named(good, tmp_path, kind, ruin):
    function, check, words = RUINS[ruin]
    root = Path(shutil.copytree(good, tmp_path / 'rooms'))
    change(root, kind, function)
    what, other = ('depth', 'labels') if kind == 'depth' else ('labels', 'depth')
    lines = found(root)
    assert words in lines[f'{what}_{check}']
    assert not {f'{other}_mirrored', f'{other}_displaced', f'{other}_unrelated'} & set(lines)


def test_depth_of_other_frames(good, tmp_path):
    root = Path(shutil.copytree(good, tmp_path / 'rooms'))
    paths = sorted((root / 'depth').iterdir())
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[6:] + contents[:6], strict=True):
        path.write_bytes(content)
    assert found(root)['depth_unrelated'].startswith(
        'error: edges of depth meet edges of colour no'
    )


def test_depth_that_was_never_registered(good):
    """A depth camera of a longer focal length: its picture is larger than that of colour."""
    agreement = EdgeAgreement('depth')
    for path in sorted((good / 'image').iterdir()):
        depth = cv2.imread(str(good / 'depth' / f'{path.stem}.png'), cv2.IMREAD_UNCHANGED)
        height, width = depth.shape
        larger = cv2.warpAffine(
            depth,
            np.array([[1.14, 0, -0.07 * (width - 1)], [0, 1.14, -0.07 * (height - 1)]]),
            (width, height),
            flags=cv2.INTER_NEAREST,
        ).astype(np.float32)
        larger[larger == 0] = np.nan
        agreement.add(read_rgb(path), depth_edges(larger))
    assert agreement.fits()[1].change == pytest.approx(1 / 1.14, abs=0.04)
    (finding,) = agreement.findings()
    assert finding.check == 'depth_displaced' and 'register depth to colour' in finding.remedy


def test_a_few_frames_or_edges_are_no_evidence():
    rng = np.random.default_rng(5)
    agreement = EdgeAgreement('labels')
    rgb = rng.integers(0, 256, (60, 83, 3)).astype(np.uint8)
    for _ in range(5):
        agreement.add(rgb, label_edges(rng.integers(0, 2, (60, 83))))
    assert agreement.fits() is None and agreement.findings() == []
    flat = np.ones((60, 83), np.float32)
    for _ in range(9):
        agreement.add(rgb, depth_edges(flat))
    assert agreement.frames == 5


def test_edges_are_where_depth_jumps_and_not_beside_holes():
    depth_m = np.full((6, 9), 2.0, np.float32)
    depth_m[:, 5:] = 2.5
    depth_m[2, 1:8] = np.nan
    depth_m[4, :4] = 2.1
    expected = np.zeros((6, 9), bool)
    expected[:, 5] = True
    expected[2] = False
    np.testing.assert_array_equal(depth_edges(depth_m), expected)


# --- camera


@pytest.mark.parametrize(
    ('changes', 'check', 'words'),
    [
        (
            {'cx': 82.0, 'cy': 60.0},
            'principal_point',
            'is outside; they look like those of images of about 164x120: multiply fx, fy,',
        ),
        (
            {'cx': 20.0, 'cy': 14.6},
            'principal_point',
            'is far from the middle; they look like those of images of',
        ),
        (
            {'cx': 29.5, 'cy': 70.0},
            'principal_point',
            'is outside; write cx, cy of this image size',
        ),
        ({'fy': 140.0}, 'pixel_shape', 'differ, but pixels are square'),
        ({'fx': 8.0, 'fy': 8.0}, 'field_of_view', 'is a field of view of 158 degrees'),
        ({'fx': 520.0, 'fy': 520.0}, 'field_of_view', 'is a field of view of 9 degrees'),
    ],
)
def test_implausible_intrinsics(small, changes, check, words):
    values = yaml.safe_load((small / 'dataset.yaml').read_text())['intrinsics']
    edit_yaml(small, intrinsics={**values, **changes})
    assert words in found(small)[check]


def test_intrinsics_of_another_size(small):
    values = yaml.safe_load((small / 'dataset.yaml').read_text())['intrinsics']
    doubled = {key: 2 * value for key, value in values.items()}
    edit_yaml(small, intrinsics=doubled)
    lines = found(small)
    seen = 'images are 82x60, but the intrinsics in dataset.yaml are for 164x120 (in 8 frames: 0'
    assert seen in lines['intrinsics_size']
    assert 'fx and cx times 0.5, fy and cy times 0.5' in lines['intrinsics_size']
    # One mistake is one finding: what the numbers say beside another size is no news.
    assert list(lines) == ['intrinsics_size']
    edit_yaml(small, intrinsics={**values, 'width': 164, 'height': 120})
    assert 'fx, fy, cx, cy seem to be for that size' in found(small)['intrinsics_size']


def test_cameras_of_single_frames(small):
    """Each frame may have a camera and a size of its own: the faulty ones are named."""
    (small / 'intrinsics').mkdir()
    edit_yaml(small, intrinsics='intrinsics/{id}.txt')
    for index in range(8):
        (small / 'intrinsics' / f'00000{index}.txt').write_text('80 0 40.5 0 80 29.5 0 0 1')
        if index > 3:
            for kind, suffix in (('image', 'jpg'), ('depth', 'png'), ('label', 'png')):
                path = str(small / kind / f'00000{index}.{suffix}')
                image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
                cv2.imwrite(path, image[:50, :70])
    assert found(small) == {}
    (small / 'intrinsics' / '000002.txt').write_text('80 0 99 0 80 29.5 0 0 1')
    (small / 'intrinsics' / '000005.txt').write_text('80 0 70 0 80 49 0 0 1')
    (small / 'intrinsics' / '000006.txt').write_text('80 0 70')
    lines = found(small)
    assert '(in 2 frames: 000002, 000005)' in lines['principal_point']
    assert 'intrinsics/000006.txt: no 3x3 matrix' in lines['unreadable_files']


# --- files and splits


def test_splits_that_are_parts_of_another(small):
    """As `prepare_dataset` writes them: `fit` and `val` are cut from `train`."""
    ids = [f'00000{index}' for index in range(8)]
    (small / 'train.txt').write_text('\n'.join(ids))
    splits = {'train': 'train.txt', 'fit': 'split_fit.txt', 'val': 'split_val.txt'}
    edit_yaml(small, splits=splits)
    assert found(small) == {}
    (small / 'train.txt').write_text('\n'.join(ids[:6]))
    lines = [str(finding) for finding in check_dataset(small).findings]
    assert any("splits 'fit' and 'train' share 4 frames" in line for line in lines)
    assert any("splits 'train' and 'val' share 2 frames" in line for line in lines)


def test_frames_outside_the_splits_may_wait_for_their_labels(small):
    (small / 'split_val.txt').write_text('000005\n000006\n')
    (small / 'label' / '000007.png').unlink()
    assert found(small) == {}
    (small / 'label' / '000006.png').unlink()
    assert 'no label file for 1 of 6 frames' in found(small)['missing_files']


def test_files_that_are_cut_off_or_no_images_are_all_named(small):
    for name in ('image/000001.jpg', 'depth/000002.png', 'label/000003.png'):
        content = (small / name).read_bytes()
        (small / name).write_bytes(content[: len(content) // 2])
    (small / 'image' / '000004.jpg').write_bytes(b'')
    (small / 'pose' / '000005.txt').write_text('1 0 0\n')
    checked = check_dataset(small)
    (finding,) = [f for f in checked.findings if f.check == 'unreadable_files']
    assert '5 files cannot be read: image/000001.jpg: cut off after ' in str(finding)
    assert finding.ids == ('000001', '000002', '000003', '000004', '000005')
    assert all(name in finding.seen for name in ('depth/000002.png', 'label/000003.png'))


def test_missing_files_by_kind(small):
    (small / 'depth' / '000002.png').unlink()
    (small / 'image' / '000006.jpg').unlink()
    shutil.rmtree(small / 'label')
    lines = [str(finding) for finding in check_dataset(small).findings]
    assert any('no depth file for 1 of 8 frames, for example depth/000002.png' in x for x in lines)
    assert any('no image file for 1 of 8 frames' in line for line in lines)
    assert any('no label file for 8 of 8 frames' in x and 'correct `label`' in x for x in lines)


def test_files_without_image(small):
    (small / 'split_val.txt').write_text('000004\n')
    (small / 'image' / '000007.jpg').unlink()
    lines = found(small)
    assert lines['files_without_image'].startswith('warning: 1 pose file without an image')


def test_splits_that_are_wrong(small):
    (small / 'split_fit.txt').write_text('000000\n000001\n000004\nlost\ngone\n')
    lines = found(small)
    assert (
        "split 'fit' names 2 of 5 frames of which there is no file"
        in (lines['split_missing_files'])
    )
    assert "splits 'fit' and 'val' share 1 frame:" in lines['splits_overlap']
    assert '(in 1 frame: 000004)' in lines['splits_overlap']
    (small / 'split_val.txt').write_text('\n')
    line = found(small)['split_file']
    assert line.startswith("error: split 'val': ") and 'the split is empty' in line


def test_a_film_dealt_out_at_random(small):
    edit_yaml(small, rate_hz=30)
    assert found(small) == {}
    (small / 'split_fit.txt').write_text('000000\n000002\n000004\n000006\n')
    (small / 'split_val.txt').write_text('000001\n000003\n000005\n000007\n')
    assert 'of 30 Hz change 7 times between' in found(small)['splits_interleaved']


def test_sizes_that_differ_within_a_frame(small):
    path = str(small / 'depth' / '000003.png')
    depth = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    cv2.imwrite(path, cv2.resize(depth, (41, 30), interpolation=cv2.INTER_NEAREST))
    line = found(small)['sizes_differ']
    assert 'colour 82x60, depth 41x30, labels 82x60 (in 1 frame: 000003)' in line


def test_a_film_repeats_frames_but_does_not_stand_still(small):
    shutil.copy(small / 'image' / '000001.jpg', small / 'image' / '000002.jpg')
    assert found(small) == {}
    for number in (0, 3):
        shutil.copy(small / 'image' / '000001.jpg', small / 'image' / f'00000{number}.jpg')
    line = found(small)['colour_repeated']
    assert '(in 4 frames: 000000, 000001, 000002, ...); keep one frame' in line


def test_frames_that_are_the_same(small):
    edit_yaml(small, rate_hz=None)
    shutil.copy(small / 'image' / '000001.jpg', small / 'image' / '000002.jpg')
    shutil.copy(small / 'depth' / '000001.png', small / 'depth' / '000006.png')
    lines = found(small)
    assert lines['colour_repeated'].startswith('warning: colour of different frames is the same')
    assert lines['depth_repeated'].startswith(
        'error: depth of different frames in different splits'
    )
    assert '(in 2 frames: 000001, 000006)' in lines['depth_repeated']
    cv2.imwrite(str(small / 'image' / '000005.jpg'), np.full((60, 82, 3), 90, np.uint8))
    assert '(in 1 frame: 000005)' in found(small)['image_blank']


# --- the command


def run_check(*arguments) -> int:
    return run_command('sgnet_core', 'check_dataset', [str(argument) for argument in arguments])


def test_command_says_that_all_is_well(small_good, tmp_path, capsys):
    figures = tmp_path / 'figures.json'
    assert run_check(small_good, '--out', tmp_path / 'new', '--json', figures) == 0
    text = capsys.readouterr().out
    assert 'good: 8 frames; splits: fit 4, val 4' in text
    assert 'no errors, no warnings' in text
    values = json.loads(figures.read_text())
    assert (values['frames'], values['frames_read'], values['errors']) == (8, 8, 0)
    # Every pixel of every frame is in one class or in none, and at one depth or at none.
    pixels = sum(entry['pixels'] for entry in values['classes'].values())
    assert pixels + values['unlabelled_pixels'] == 8 * 60 * 82
    measured = sum(values['depth']['histogram_pixels'])
    assert measured == pytest.approx(values['depth']['measured_share'] * 8 * 60 * 82)
    sheet = read_rgb(tmp_path / 'new' / 'check_dataset.png')
    assert sheet.shape[0] > 500 and (sheet < 200).mean() > 0.3


def test_command_fails_a_ruined_data_set(small, tmp_path, capsys):
    change(small, 'depth', lambda x: x * 10)
    (small / 'depth' / '000002.png').write_bytes(b'no image')
    (small / 'label' / '000003.png').unlink()
    assert run_check(small, '--out', tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith('error: ') for line in lines) == 3
    assert '3 errors, no warnings' in lines
    assert (tmp_path / 'check_dataset.png').is_file()


def test_command_reads_one_split_or_some_frames(small_good, tmp_path, capsys):
    assert run_check(small_good, '--split', 'val', '--out', tmp_path, '--json', '-') == 0
    assert json.loads(capsys.readouterr().out)['frames'] == 4
    assert run_check(small_good, '--frames', '3', '--out', tmp_path) == 0
    assert 'read: 3 of them, evenly spread' in capsys.readouterr().out


def test_a_data_set_without_labels_is_no_error(small, tmp_path, capsys):
    edit_yaml(small, label=None, classes=None, label_offset=None)
    assert run_check(small, '--out', tmp_path) == 0
    assert 'labels: none' in capsys.readouterr().out


def test_wrong_usage(small, tmp_path, capsys, monkeypatch):
    assert run_check(tmp_path / 'nowhere', '--out', tmp_path) == 2
    assert run_check(small, '--split', 'test', '--out', tmp_path) == 2
    assert 'choose one of: fit, val' in capsys.readouterr().err
    assert run_check(small, '--frames', '0', '--out', tmp_path) == 2
    monkeypatch.chdir(small)
    assert run_check('.') == 2
    assert 'choose another folder with --out' in capsys.readouterr().err
    assert not (small / 'check_dataset.png').exists()
    with pytest.raises(DataError, match='no file matches'):
        edit_yaml(small, image='rgb/{id}.jpg', splits=None)
        check_dataset(small)
    with pytest.raises(InputError, match='at least 1, got 0'):
        check_dataset(small, max_frames=0)


def test_a_split_that_cannot_be_read_leaves_nothing_to_show(small, tmp_path):
    (small / 'split_val.txt').unlink()
    assert run_check(small, '--split', 'val', '--out', tmp_path) == 1
    assert not (tmp_path / 'check_dataset.png').exists()


def test_frames_are_spread_evenly():
    ids = tuple('abcdefghijk')
    assert evenly_spread(ids, None) == evenly_spread(ids, 11) == ids
    assert evenly_spread(ids, 4) == ('a', 'c', 'f', 'i')
    assert evenly_spread((), 3) == ()


def test_text_has_a_line_for_every_finding(small):
    edit_yaml(small, depth_scale=0.01)
    (small / 'label' / '000003.png').unlink()
    checked = check_dataset(small)
    lines = report.text(checked).splitlines()
    assert [line for line in lines if line.startswith(('error: ', 'warning: '))] == [
        str(finding) for finding in checked.findings
    ]
