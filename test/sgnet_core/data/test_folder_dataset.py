# SPDX-License-Identifier: Apache-2.0
"""Dataset folders: written frames are read back, and bad input has a useful error.

over 400 lines: each bad input is a short test of its own.
"""

import dataclasses
import io
import re
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import yaml

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.validation.validator import validate_dataset
from sgnet_core.errors import DataError, InputError, SgnetError
from sgnet_core.labels import NYU40
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample


def edit_yaml(root: Path, **changes) -> None:
    """Change keys of dataset.yaml; a value of None removes the key."""
    values = yaml.safe_load((root / 'dataset.yaml').read_text())
    values.update(changes)
    values = {key: value for key, value in values.items() if value is not None}
    (root / 'dataset.yaml').write_text(yaml.safe_dump(values))


def test_round_trip_is_exact(tiny_dataset, tiny_samples):
    assert (tiny_dataset.name, tiny_dataset.rate_hz) == ('tiny', 30.0)
    assert (tiny_dataset.ids, tiny_dataset.splits) == (('0', '1', '2', '3', '4'), ('fit', 'val'))
    for written, read in zip(tiny_samples, tiny_dataset, strict=True):
        assert read.id == written.id
        np.testing.assert_array_equal(read.frame.rgb, written.frame.rgb)
        np.testing.assert_array_equal(read.frame.depth_m, written.frame.depth_m)
        np.testing.assert_array_equal(read.labels, written.labels)
        np.testing.assert_array_equal(read.pose, written.pose)
        assert read.frame.intrinsics == written.frame.intrinsics


def test_dataset_selects_splits_and_ids(tiny_dataset):
    assert FolderDataset(tiny_dataset.root, 'val').ids == ('3', '4')
    assert FolderDataset(tiny_dataset.root, ids=['4', '1'])[0].id == '4'
    assert FolderDataset(str(tiny_dataset.root), 'fit')[-1].id == '2'
    with pytest.raises(IndexError):
        tiny_dataset[5]
    with pytest.raises(InputError, match='not both'):
        FolderDataset(tiny_dataset.root, 'val', ids=['3'])


def test_implausible_depth_and_intrinsics_are_logged(tiny_dataset, caplog):
    camera = {'width': 36, 'height': 24, 'fx': 30.5, 'fy': 31.0, 'cx': 40.0, 'cy': 12.0}
    edit_yaml(tiny_dataset.root, depth_scale=1.0, intrinsics=camera)
    assert caplog.records == []
    FolderDataset(tiny_dataset.root)
    camera_text, depth_text = (record.getMessage() for record in caplog.records)
    assert f'{tiny_dataset.root}: the principal point (cx, cy) = (40, 12) is outside' in camera_text
    assert 'set depth_scale in dataset.yaml to the unit of the images: 0.001 for' in depth_text
    caplog.clear()
    edit_yaml(tiny_dataset.root, intrinsics=camera | {'cx': 17.0})
    frame = FolderDataset(tiny_dataset.root, depth_scale=0.001)[0].frame
    np.testing.assert_array_equal(frame.depth_m, tiny_dataset[0].frame.depth_m)
    assert caplog.records == []
    edit_yaml(tiny_dataset.root, intrinsics=camera | {'fx': 1e-6})
    with pytest.raises(DataError, match=r'dataset\.yaml: .*cannot be those of images of 36x24'):
        FolderDataset(tiny_dataset.root)


def write_frame(root: Path, rgb: np.ndarray, depth_m: np.ndarray) -> FolderDataset:
    """A data set of one frame, without classes and poses."""
    height, width = depth_m.shape
    camera = CameraIntrinsics(width, height, 30.0, 30.0, width / 2, height / 2)
    with FolderWriter(root, 'one', camera) as writer:
        writer.write(Sample('a', RgbdFrame(rgb, depth_m, camera)))
    return FolderDataset(root)


def test_jpeg_is_close_and_labels_and_poses_are_optional(tmp_path):
    ramp = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (24, 1))
    rgb = np.stack([ramp, ramp // 2, 255 - ramp], -1)
    dataset = write_frame(tmp_path / 'set', rgb, np.full((24, 40), 2.5, np.float32))
    assert [p.name for p in (tmp_path / 'set').rglob('*.jpg')] == ['a.jpg']
    assert (dataset.class_names, dataset.rate_hz, dataset.has_labels) == (None, None, False)
    assert (dataset[0].labels, dataset[0].pose) == (None, None)
    # Red and blue would be 200 apart if their order were lost.
    assert np.abs(dataset[0].frame.rgb.astype(int) - rgb).mean() < 4


def test_writer_drops_depth_beyond_16_bits(tmp_path):
    depth_m = np.array([[0.001, 65.535, 65.536, 70.0], [np.nan, np.inf, -1.0, 0.0]], np.float32)
    read = write_frame(tmp_path / 'set', np.zeros((2, 4, 3), np.uint8), depth_m)[0].frame.depth_m
    np.testing.assert_allclose(read[0, :2], [0.001, 65.535], rtol=1e-6)
    assert np.isnan(read).sum() == 6


def test_depth_values_survive_writing(tmp_path):
    raw = np.arange(65536, dtype=np.uint16).reshape(128, 512)
    depth_m = raw.astype(np.float32) * np.float32(0.001)
    write_frame(tmp_path / 'set', np.zeros((128, 512, 3), np.uint8), depth_m)
    stored = cv2.imread(str(tmp_path / 'set' / 'depth' / 'a.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, raw)


def test_depth_scale_and_invalid_values_apply(tiny_dataset):
    raw = np.full((24, 36), 10000, np.uint16)
    raw[0, :3] = (0, 65535, 7)
    cv2.imwrite(str(tiny_dataset.root / 'depth' / '0.png'), raw)
    # YAML takes 1e-4 for text.
    edit_yaml(tiny_dataset.root, depth_scale='1e-4', depth_invalid=[0, 65535])
    depth_m = FolderDataset(tiny_dataset.root)[0].frame.depth_m
    assert depth_m.dtype == np.float32
    assert np.isnan(depth_m[0, :2]).all()
    assert np.isnan(depth_m).sum() == 2
    np.testing.assert_allclose(depth_m[0, 2:4], [0.0007, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ('offset', 'values', 'ids'),
    [
        (0, np.array([1, 2, 255, 0], np.uint8), [1, 2, UNLABELLED, 0]),  # no void
        (1, np.array([0, 40, 1, 2], np.uint16), [UNLABELLED, 39, 0, 1]),  # 16 bits
    ],
)
def test_label_offset_applies(tiny_dataset, offset, values, ids):
    for sample_id in tiny_dataset.ids:
        labels = np.tile(values, (24, 9))
        cv2.imwrite(str(tiny_dataset.root / 'label' / f'{sample_id}.png'), labels)
    if offset == 0:
        (tiny_dataset.root / 'three.txt').write_text('floor\nwall\nrobot\n\n')
        edit_yaml(tiny_dataset.root, label_offset=0, classes='three.txt')
    dataset = FolderDataset(tiny_dataset.root)
    assert len(dataset.class_names) == (40 if offset else 3)
    np.testing.assert_array_equal(dataset[0].labels[0, :4], ids)


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_indexed_png_gives_its_indices(tiny_dataset, bits):
    """Annotation tools write palettes; few classes make them pack several pixels in a byte."""
    rng = np.random.default_rng(bits)
    indices = rng.integers(0, min(2**bits, 41), (24, 36)).astype(np.uint8)
    image = PIL.Image.fromarray(indices)
    image.putpalette(rng.integers(0, 256, 3 * 2**bits).tolist())
    image.save(tiny_dataset.root / 'label' / '2.png', bits=bits, transparency=0)
    labels = tiny_dataset.load('2').labels
    np.testing.assert_array_equal(labels, indices - np.uint8(1))  # 0, void, wraps to 255


def save_indexed(path, indices, palette):
    image = PIL.Image.fromarray(indices)
    image.putpalette(np.array(palette, np.uint8).ravel().tolist())
    image.save(path)


@pytest.mark.parametrize('sample_id', ['1', '2'])
def test_grey_palette_means_its_grey(tiny_dataset, sample_id):
    """Optimisers store the greys in use, in any order, as the palette of each file."""
    rng = np.random.default_rng(int(sample_id))
    greys = rng.choice(41, 7, replace=False).astype(np.uint8)
    indices = rng.integers(0, 7, (24, 36)).astype(np.uint8)
    path = tiny_dataset.root / 'label' / f'{sample_id}.png'
    save_indexed(path, indices, np.repeat(greys[:, None], 3, axis=1))
    labels = tiny_dataset.load(sample_id).labels
    np.testing.assert_array_equal(labels, greys[indices] - np.uint8(1))  # 0, void, wraps to 255


@pytest.mark.parametrize('palette', [np.zeros((256, 3)), np.repeat(np.arange(256)[:, None], 3, 1)])
def test_palette_without_meaning_gives_indices(tiny_dataset, palette):
    indices = np.tile(np.arange(36, dtype=np.uint8), (24, 1))
    save_indexed(tiny_dataset.root / 'label' / '2.png', indices, palette)
    np.testing.assert_array_equal(tiny_dataset.load('2').labels[0], indices[0] - np.uint8(1))


def test_coloured_palettes_must_agree(tiny_dataset):
    """Colours alone have no class numbers, so only equal palettes are safe."""
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 0, 128)]
    path, indices = tiny_dataset.root / 'label', np.tile(np.uint8([1, 2, 1, 2]), (24, 9))
    for name in '01':
        save_indexed(path / f'{name}.png', indices, colours)
    save_indexed(path / '2.png', indices, colours[:3] + [(9, 9, 9)])  # differs where unused
    save_indexed(path / '3.png', indices, colours[::-1])
    dataset = FolderDataset(tiny_dataset.root)
    for name in '012':
        assert dataset.load(name).labels[0, :2].tolist() == [0, 1]
    with pytest.raises(
        DataError, match=r'3\.png: label value 1 has the colour \(0, 128, 0\) .*differ'
    ):
        dataset.load('3')


def test_ids_are_in_natural_order(tiny_dataset):
    for old, new in (('0', '10'), ('1', '9'), ('2', '100')):
        for kind in ('image', 'depth', 'label'):
            path = tiny_dataset.root / kind / f'{old}.png'
            path.rename(path.with_stem(new))
    (tiny_dataset.root / 'image' / 'notes.txt').write_text('no frame')
    edit_yaml(tiny_dataset.root, pose=None)
    assert FolderDataset(tiny_dataset.root).ids == ('3', '4', '9', '10', '100')


@pytest.mark.parametrize('between', ['-', ''])
def test_patterns_accept_glob_and_format_characters(tiny_dataset, between):
    folder = tiny_dataset.root / 'shots [1] {x}'
    folder.mkdir()
    for file in (tiny_dataset.root / 'image').iterdir():
        file.rename(folder / f'{file.stem}{between}{file.stem}.png')
    edit_yaml(tiny_dataset.root, image=f'shots [1] {{x}}/{{id}}{between}{{id}}.png')
    assert FolderDataset(tiny_dataset.root).ids == ('0', '1', '2', '3', '4')


def test_exif_rotation_is_not_applied_and_reported(tiny_dataset, caplog):
    """Depth has no EXIF tag: turning the colour image alone would tear the two apart."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation: turned
    for name in '01':
        path = tiny_dataset.root / 'image' / f'{name}.png'
        PIL.Image.new('RGB', (36, 24)).save(path, 'JPEG', exif=exif)
        assert cv2.imread(str(path)).shape == (36, 24, 3)
        assert tiny_dataset.load(name).frame.rgb.shape == (24, 36, 3)
    (line,) = caplog.messages
    assert 'image: EXIF orientation 6 is not applied' in line


def test_optional_keys_have_defaults(tiny_dataset):
    edit_yaml(tiny_dataset.root, name=None, rate_hz=None, splits=None, depth_invalid=None)
    path = tiny_dataset.root / 'dataset.yaml'
    path.write_text(path.read_text() + 'rate_hz:\n')
    dataset = FolderDataset(tiny_dataset.root)
    assert (dataset.name, dataset.rate_hz, dataset.splits) == ('tiny_dataset', None, ())


def test_files_with_a_byte_order_mark_are_read(tiny_dataset):
    for name in ('dataset.yaml', 'classes.txt', 'split_val.txt'):
        path = tiny_dataset.root / name
        path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes().replace(b'\n', b'\r\n'))
    dataset = FolderDataset(tiny_dataset.root, 'val')
    assert dataset.ids == ('3', '4')
    assert dataset.class_names == NYU40.class_names


@pytest.mark.parametrize(('folder', 'problem'), [('nowhere', 'folder'), ('.', 'file')])
def test_missing_folder_or_dataset_yaml_is_named(tmp_path, folder, problem):
    with pytest.raises(DataError, match=rf'dataset\.yaml: no such {problem}; give the folder of'):
        FolderDataset(tmp_path / folder)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'depth_scal': 1}, r"unknown key 'depth_scal'; did you mean 'depth_scale'\?"),
        ({'depth_scale': None}, r"'depth_scale' is missing; add a line like `depth_scale: 0\.001`"),
        ({'intrinsics': None}, r"'intrinsics' is missing; add a line like `intrinsics: \{width"),
        ({'depth_scale': 0}, r'depth_scale: 0.0 must be positive, in metres per unit'),
        ({'depth_scale': 'mm'}, r"depth_scale: 'mm' must be a number"),
        ({'rate_hz': -30}, r'rate_hz: -30.0 must be from 1.0e-6 to 1.0e\+6; leave it out if'),
        ({'rate_hz': True}, r'rate_hz: True must be a number'),
        ({'image': 'image.jpg'}, r"image: 'image\.jpg' lacks \{id\}; write for example"),
        ({'depth': '/tmp/{id}.png'}, r"depth: '/tmp/\{id\}\.png' leads outside its folder"),
        ({'label': ['a']}, r"label: \['a'\] must be text"),
        ({'classes': None}, r'label without classes; add a file of names'),
        ({'label_offset': 1.5}, r'label_offset: 1.5 must be a whole number'),
        ({'depth_invalid': 0}, r'depth_invalid: 0 must be a list of whole numbers, like \[0, 655'),
        ({'intrinsics': 'K.txt'}, r"intrinsics: 'K\.txt' must look like \{width: 640"),
        ({'intrinsics': {'width': 36, 'hieght': 24}}, r"'hieght' in intrinsics; did .*'height'"),
        (
            {'intrinsics': {'width': 36, 'height': 24, 'fx': 0, 'fy': 0, 'cx': 0, 'cy': 0}},
            r'focal lengths must be positive pixels, got fx=0.0',
        ),
        ({'splits': 'fit.txt'}, r"splits: 'fit\.txt' must look like \{fit: fit\.txt"),
    ],
)
def test_bad_value_in_dataset_yaml_is_named(tiny_dataset, changes, message):
    edit_yaml(tiny_dataset.root, **changes)
    with pytest.raises(DataError, match=r'dataset\.yaml: .*' + message) as caught:
        FolderDataset(tiny_dataset.root)
    assert '\n' not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('dataset.yaml', b'name: [1, 2\nimage: x\n', r'not YAML: line 2: .*; correct it'),
        ('dataset.yaml', b'- a\n- b\n', r'must hold `key: value` lines, got list'),
        ('dataset.yaml', b'name: \xff\xfe', r'line 1: not UTF-8 text; save it as UTF-8'),
        ('classes.txt', b'wall\nfloor\n', r"the first line is 'wall', but with label_"),
        ('classes.txt', b'void\na\na\n', r".*'a' is given twice"),
        ('split_val.txt', b'\n \n', r'the split is empty; write one id a line'),
        ('split_val.txt', b'3\n4\n3\n', r"id '3' is listed twice"),
        # Comparing every id with every other one would take hours.
        (
            'split_val.txt',
            b'\n'.join(b'%d' % (n % 300000) for n in range(300001)),
            r"id '0' is listed",
        ),
        ('split_val.txt', None, r'no such file; restore it, or correct dataset\.yaml'),
    ],
)
def test_bad_text_file_is_named(tiny_dataset, name, content, message):
    path = tiny_dataset.root / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=f'^{re.escape(str(path))}: {message}') as caught:
        FolderDataset(tiny_dataset.root, 'val')
    assert '\n' not in str(caught.value)
    if name == 'split_val.txt':
        assert len(FolderDataset(tiny_dataset.root, 'fit')) == 3


def test_unknown_split_and_missing_frames_are_named(tiny_dataset):
    (tiny_dataset.root / 'split_val.txt').write_text('3\n9\n')
    missing = r'image.9\.png: no such file \(and 3 more are missing\); restore it, or leave'
    with pytest.raises(DataError, match=missing):
        FolderDataset(tiny_dataset.root, 'val')
    with pytest.raises(DataError, match=r"dataset\.yaml: no split 'test'; choose one of: fit, val"):
        FolderDataset(tiny_dataset.root, 'test')


@pytest.mark.parametrize('kind', ['image', 'depth', 'label', 'pose'])
def test_missing_file_is_found_on_opening(tiny_dataset, kind):
    path = next((tiny_dataset.root / kind).glob('3.*'))
    path.unlink()
    message = re.escape(f'{path}: no such file; restore it, or')
    with pytest.raises(DataError, match=message):
        FolderDataset(tiny_dataset.root, 'val')
    with pytest.raises(DataError, match=message):
        tiny_dataset.load('3')


def test_unused_labels_may_be_missing(tiny_dataset):
    """Frames are painted a few at a time; the others can be predicted all the same."""
    (tiny_dataset.root / 'label' / '3.png').unlink()
    (tiny_dataset.root / 'classes.txt').write_text('void')
    dataset = FolderDataset(tiny_dataset.root, labels=False)
    assert (len(dataset), dataset.has_labels, dataset.class_names) == (5, False, None)
    assert all(sample.labels is None for sample in dataset)


def test_dataset_without_frames_is_rejected(tiny_dataset):
    with pytest.raises(DataError, match='list of ids is empty'):
        FolderDataset(tiny_dataset.root, ids=[])
    edit_yaml(tiny_dataset.root, image='rgb/{id}.jpg')
    with pytest.raises(DataError, match=r'rgb.\{id\}\.jpg: no file matches; correct `image`'):
        FolderDataset(tiny_dataset.root)


def ones(*shape: int, dtype=np.uint8) -> np.ndarray:
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ('kind', 'image', 'message'),
    [
        ('depth', ones(24, 36), 'depth must be a 16-bit .* 8-bit, 1 channel; exp'),
        (
            'label',
            np.where(np.arange(36) < 3, np.tile(np.uint8(41), (24, 1)), np.uint8(1)),
            'label value 41 in 72 pixels is out of range; 40 classes with label_offset 1 are '
            r'values 1\.\.40 \(0 is unlabelled\): correct',
        ),
        # Does not wrap into the range of 8 bits.
        ('label', np.full((24, 36), 257, np.uint16), 'label value 257 in 864 pixels'),
        ('label', ones(24, 36, 3), 'labels must .* 3 channels; save class numbers'),
        ('image', ones(12, 18, 3), '18x12 pixels, but .* for 36x24; .*register'),
        ('depth', ones(12, 18, dtype=np.uint16), '18x12 pixels, but .* for 36x24; .*register'),
        ('label', ones(36, 24), '24x36 pixels, but .* turned by 90 degrees: turn it back'),
        ('image', ones(36, 24, 3), '24x36 pixels, but .* turned by 90 degrees: turn it back'),
    ],
)
def test_wrong_image_is_named(tiny_dataset, kind, image, message):
    path = tiny_dataset.root / kind / '1.png'
    cv2.imwrite(str(path), image)
    with pytest.raises(DataError, match=f'{re.escape(str(path))}: {message}') as caught:
        tiny_dataset[1]
    assert '\n' not in str(caught.value)


METRES = np.linspace(0.5, 4.0, 24 * 36, dtype=np.float32).reshape(24, 36)


def tiff(pixels):
    return cv2.imencode('.tiff', pixels)[1].tobytes()


def npy(pixels):
    content = io.BytesIO()
    np.save(content, pixels)
    return content.getvalue()


MILLIMETRES = 'multiply metres by 1000, round, and save as 16-bit PNG with depth_scale: 0.001$'


@pytest.mark.parametrize(
    ('kind', 'content', 'message'),
    [
        ('depth', tiff(METRES), f'.*, this one is 32-bit float, 1 channel; {MILLIMETRES}'),
        (
            'depth',
            tiff(METRES.astype(float)),
            f'.*not supported .*; restore the file, or {MILLIMETRES}',
        ),
        ('depth', b'v/1\x01\2\0\0\0', f'OpenEXR is not supported; {MILLIMETRES}'),
        ('depth', npy(METRES), f'NumPy is not supported; {MILLIMETRES}'),
        ('label', npy(ones(24, 36)), 'NumPy is not supported; save class numbers .* as 8-bit grey'),
        (
            'label',
            cv2.imencode('.jpg', ones(24, 36))[1].tobytes(),
            'labels are a JPEG, .*; save class',
        ),
        ('image', npy(ones(24, 36, 3)), 'NumPy is not supported; save it as JPEG or PNG$'),
    ],
)
def test_other_format_has_a_remedy(tiny_dataset, kind, content, message):
    path = tiny_dataset.root / kind / '1.png'
    path.write_bytes(content)
    with pytest.raises(DataError, match=f'{re.escape(str(path))}: {message}'):
        tiny_dataset[1]
    (found,) = (f for f in validate_dataset(tiny_dataset.root).findings if '1' in f.ids)
    assert re.search(message.split('; ')[-1], found.remedy)
    assert found.severity == 'error'


@pytest.mark.parametrize('kind', ['image', 'depth', 'label'])
@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda content: b'', '0 bytes are not an image, .*; restore the file$'),
        (lambda content: content[: len(content) // 2], r'cut off after \d+ bytes; restore the'),
    ],
    ids=['empty', 'half'],
)
def test_damaged_image_is_named(tiny_dataset, kind, damage, message):
    path = tiny_dataset.root / kind / '1.png'
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=re.escape(str(path)) + ': ' + message):
        tiny_dataset[1]


@pytest.mark.parametrize(
    'text', ['', '1 0 0\n0 1 0\n0 0 1\n', '1 0 0 x\n' * 4, '1 0 0 0\n1 0\n', '1 0 0 nan\n' * 4]
)
def test_bad_pose_is_named(tiny_dataset, text):
    (tiny_dataset.root / 'pose' / '1.txt').write_text(text)
    with pytest.raises(DataError, match=r'1\.txt: not a 4x4 matrix.*; write four lines of four'):
        tiny_dataset[1]


@pytest.mark.parametrize('name', ['tiny_dataset', 'file'])
def test_writer_rejects_a_folder_that_is_not_empty(tmp_path, tiny_dataset, name):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='not an empty folder; delete it or choose another'):
        FolderWriter(tmp_path / name, 'again', tiny_dataset.intrinsics)


def writer_of(root: Path, samples: list[Sample]) -> FolderWriter:
    camera = samples[0].frame.intrinsics
    return FolderWriter(root, 'cut', camera, NYU40.class_names, with_pose=True)


def test_writer_checks_every_sample(tmp_path, tiny_samples):
    first = tiny_samples[0]
    camera = first.frame.intrinsics.flipped()
    other_camera = RgbdFrame(first.frame.rgb, first.frame.depth_m, camera)
    writer = writer_of(tmp_path / 'set', tiny_samples)
    with pytest.raises(InputError, match='no frame was written'):
        writer.close()
    writer.write(first)
    for message, changes in {
        "frame '0' is already written": {},
        'must be letters, digits': {'id': '../0'},
        "'9' comes without labels, but the dataset was started with": {'id': '9', 'labels': None},
        "'9' comes without pose, but the dataset was started with": {'id': '9', 'pose': None},
        'with intrinsics None for several cameras': {'id': '9', 'frame': other_camera},
        "frame '9': class id 40": {'id': '9', 'labels': np.full_like(first.labels, 40)},
    }.items():
        with pytest.raises(InputError, match=message):
            writer.write(dataclasses.replace(first, **changes))
    for message, split in {
        "'9' has not been written": ('val', ['9']),
        'is empty': ('val', []),
        'must be a new word': ('a/b', ['0']),
    }.items():
        with pytest.raises(InputError, match=message):
            writer.write_split(*split)
    writer.close()
    writer.close()
    with pytest.raises(InputError, match='closed; write every frame before'):
        writer.write(dataclasses.replace(first, id='1'))
    assert FolderDataset(tmp_path / 'set').ids == ('0',)


def test_writer_reports_an_unwritable_folder(tmp_path, tiny_samples):
    (tmp_path / 'file').write_text('')
    sample = dataclasses.replace(tiny_samples[0], labels=None, pose=None)
    writer = FolderWriter(tmp_path / 'file' / 'set', 's', sample.frame.intrinsics)
    with pytest.raises(SgnetError, match=r'0\.png: cannot be written: Not a directory'):
        writer.write(sample)


def test_sample_checks_its_parts(tiny_samples):
    first = tiny_samples[0]
    with pytest.raises(InputError, match=r"labels of frame '0' must be \(24, 36\) uint8"):
        dataclasses.replace(first, labels=first.labels[:5])
    with pytest.raises(InputError, match=r"pose of frame '0' must be \(4, 4\) float64"):
        dataclasses.replace(first, pose=first.pose[:3])


def test_research_nyuv2_is_read(research_data):
    dataset, fit, val = (FolderDataset(research_data / 'nyuv2', s) for s in (None, 'fit', 'val'))
    assert (len(dataset), len(fit), len(val)) == (795, 699, 96)
    assert dataset.class_names == NYU40.class_names
    sample = val[40]
    stored = cv2.imread(str(dataset.root / 'label40' / f'{sample.id}.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sample.labels == UNLABELLED, stored == 0)
    np.testing.assert_array_equal(sample.labels[stored > 0] + 1, stored[stored > 0])
    assert not np.isnan(sample.frame.depth_m).any()


@pytest.mark.parametrize('part', ['write_depth', 'write_labels', 'write_rgb'])
def test_interrupted_frame_leaves_the_others_intact(tmp_path, tiny_samples, monkeypatch, part):
    def interrupt(*_):
        raise KeyboardInterrupt

    writer = writer_of(tmp_path / 'cut', tiny_samples)
    writer.write(tiny_samples[0])
    monkeypatch.setattr(f'sgnet_core.data.folder_writer.{part}', interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.write(tiny_samples[1])
    writer.close()
    assert FolderDataset(tmp_path / 'cut').ids == (tiny_samples[0].id,)
