# SPDX-License-Identifier: Apache-2.0
"""`prepare_dataset sunrgbd` on small archives in the published layout, and on two real frames."""

import json
import os
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgnet_core.cli.runner import run_command
from sgnet_core.data.archive import Archive
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.sunrgbd import SunRgbdDataset, frame_id
from sgnet_core.errors import DataError, InputError
from sgnet_core.labels import NYU37
from sgnet_core.types import CameraIntrinsics

published = pytest.importorskip('published_files', reason='h5py and SciPy write the files')

IDS = tuple(sorted(frame_id(name) for name in published.SUN_FRAMES))


@pytest.fixture
def data(tmp_path):
    """The folder SUNRGBD, with no toolbox beside it."""
    return published.write_sunrgbd(tmp_path / 'published')


def prepare(source, out, *options):
    return run_command(
        'sgnet_core', 'prepare_dataset', ['sunrgbd', str(source), str(out), *options]
    )


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.mark.parametrize('depth', ['filled', 'raw'])
def test_frames_have_intrinsics_depth_and_labels(data, depth):
    dataset = SunRgbdDataset(data, depth=depth)
    assert dataset.ids == IDS
    assert dataset.class_names == NYU37.class_names
    for name, (height, width) in published.SUN_FRAMES.items():
        folder = data.parent / name
        sample = dataset.load(frame_id(name))
        assert sample.frame.intrinsics == CameraIntrinsics(
            width, height, width + 0.5, width + 0.25, width / 2, height / 2
        )
        stored = cv2.imread(
            str(folder / {'filled': 'depth_bfx', 'raw': 'depth'}[depth] / 'f_abs.png'), -1
        )
        # Rotating to the left again by 13 bits is rotating to the right by three.
        millimetres = np.vectorize(lambda v: int(f'{v:016b}'[-3:] + f'{v:016b}'[:-3], 2))(stored)
        assert millimetres.max() > 8191
        expected = np.where(millimetres == 0, np.nan, millimetres / 1000)
        assert np.isnan(expected).any() == (depth == 'raw')
        np.testing.assert_allclose(sample.frame.depth_m, expected, rtol=1e-6)
        rgb = cv2.cvtColor(cv2.imread(str(folder / 'image' / 'f.jpg')), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(sample.frame.rgb, rgb)
        np.testing.assert_array_equal(sample.labels, published.sun_labels(folder) - np.uint8(1))


def test_toolbox_overrides_labels_and_splits(data, tmp_path):
    toolbox = published.write_sun_toolbox(data.parent)
    dataset = SunRgbdDataset(data)
    for name in published.SUN_FRAMES:
        labels = published.toolbox_labels(data.parent / name)
        np.testing.assert_array_equal(dataset.load(frame_id(name)).labels, labels - np.uint8(1))
    names = list(published.SUN_FRAMES)
    assert set(dataset.splits['test']) == {frame_id(name) for name in names[-2:]}
    assert set(dataset.splits['train']) == {frame_id(name) for name in names[:-2]}
    assert dataset.splits['fit'] == dataset.splits['train'] and dataset.splits['val'] == ()
    elsewhere = shutil.move(toolbox, tmp_path / 'elsewhere')
    assert SunRgbdDataset(data).splits == {}
    assert SunRgbdDataset(data, tmp_path / 'elsewhere').splits == dataset.splits
    zipped = published.zip_folder(tmp_path / 'elsewhere', data.parent / 'SUNRGBDtoolbox.zip')
    shutil.rmtree(elsewhere)
    again = SunRgbdDataset(data)
    assert again.splits == dataset.splits and zipped.name in again.notes[0]
    np.testing.assert_array_equal(again.load(IDS[0]).labels, dataset.load(IDS[0]).labels)


def test_archive_and_folder_convert_alike(data, tmp_path, capsys):
    published.write_sun_toolbox(data.parent)
    archive = published.zip_folder(data, data.parent / 'SUNRGBD.zip')
    for source, out in ((data, 'a'), (archive, 'b')):
        assert prepare(source, tmp_path / out, '--json', str(tmp_path / f'{out}.json')) == 0
    assert content(tmp_path / 'a') == content(tmp_path / 'b')
    dataset = FolderDataset(tmp_path / 'b')
    assert all(sample.camera == sample.id.partition('-')[0] for sample in dataset)
    assert dataset.ids == IDS and dataset.intrinsics is None
    assert FolderDataset(tmp_path / 'b', 'train').ids
    summary = json.loads((tmp_path / 'b.json').read_text())
    frames = {name: camera['frames'] for name, camera in summary['cameras'].items()}
    assert frames == {'kv1': 2, 'kv2': 1, 'realsense': 1, 'xtion': 1}
    assert summary['cameras']['kv2']['sizes'] == ['41x30']
    assert summary['splits'] == {'train': 3, 'test': 2, 'fit': 3}
    # `chair`, `night stand`, and what the toolbox calls 37.
    assert summary['classes_seen'] == ['chair', 'night stand', 'bag']
    assert 'classes: 3 of 37 seen' in capsys.readouterr().out


def test_without_toolbox_there_is_no_split_and_it_is_said(data, tmp_path, capsys):
    assert prepare(data, tmp_path / 'out') == 0
    printed = capsys.readouterr().out
    assert 'split: none' in printed and '--toolbox' in printed and 'seg.mat' in printed
    assert FolderDataset(tmp_path / 'out').splits == ()


def test_real_frames_are_read(research_data, tmp_path):
    assert prepare(research_data / 'sunrgbd_samples', tmp_path / 'out', '--depth', 'raw') == 0
    kv2, kv1 = FolderDataset(tmp_path / 'out')
    assert kv2.frame.intrinsics == CameraIntrinsics(730, 530, 529.5, 529.5, 365.0, 265.0)
    assert kv1.frame.intrinsics == CameraIntrinsics(561, 427, 520.532, 520.7444, 277.9258, 215.115)
    assert kv1.labels is None and kv2.labels is None
    for sample, near, far, missing in ((kv2, 0.640, 3.783, 0.134), (kv1, 1.430, 2.525, 0.323)):
        depth_m = sample.frame.depth_m
        np.testing.assert_allclose([np.nanmin(depth_m), np.nanmax(depth_m)], [near, far], rtol=1e-6)
        assert np.isnan(depth_m).mean() == pytest.approx(missing, abs=1e-3)
    filled = SunRgbdDataset(research_data / 'sunrgbd_samples').load(kv1.id)
    measured = ~np.isnan(kv1.frame.depth_m)
    assert np.isfinite(filled.frame.depth_m).all()
    # Most of what was measured is kept where holes are filled.
    difference = np.abs(filled.frame.depth_m - kv1.frame.depth_m)[measured]
    assert np.median(difference) < 0.05


def test_frame_ids_do_not_depend_on_the_folder(data, tmp_path):
    toolbox = published.write_sun_toolbox(data.parent)
    part = SunRgbdDataset(data / 'kv1', toolbox)
    assert part.ids == tuple(name for name in IDS if name.startswith('kv1-'))
    assert set(part.splits['train']) == set(part.ids)
    assert 'split: allsplit.mat of SUNRGBDtoolbox; 3 of its frames are not here' in part.notes
    alone = SunRgbdDataset(shutil.copytree(data / 'kv1' / 'NYUdata' / 'NYU0001', tmp_path / 'one'))
    assert alone.ids == ('one',) and alone.camera('one') == 'unknown'


def test_one_bad_frame_in_a_hundred_is_skipped(tmp_path, capsys):
    frames = {f'SUNRGBD/kv2/kinect2data/f{index:03d}': (9, 13) for index in range(100)}
    data = published.write_sunrgbd(tmp_path, frames)
    cut = data / 'kv2' / 'kinect2data' / 'f041' / 'image' / 'f.jpg'
    cut.write_bytes(cut.read_bytes()[:300])
    assert prepare(data, tmp_path / 'out') == 0
    captured = capsys.readouterr()
    assert 'frame kv2-kinect2data-f041 skipped' in captured.err
    assert 'kv2/kinect2data/f041/image/f.jpg: cut off after 300 bytes' in captured.err
    assert '99 frames, 1 skipped' in captured.out
    assert len(FolderDataset(tmp_path / 'out').ids) == 99
    (data / 'kv2' / 'kinect2data' / 'f040' / 'intrinsics.txt').unlink()
    assert prepare(data, tmp_path / 'out2') == 2
    assert '2 of 100 frames cannot be read, more than 1%' in capsys.readouterr().err
    assert not (tmp_path / 'out2' / 'dataset.yaml').exists()


@pytest.mark.parametrize(
    ('file', 'damage', 'message'),
    [
        ('image/f.jpg', b'', '0 bytes are not an image'),
        ('depth_bfx/f_abs.png', b'\x89PNG\r\n\x1a\n', 'cut off after 8 bytes'),
        ('depth_bfx/f_abs.png', None, 'no depth_bfx beside kv1/NYUdata/NYU0001/image/f.jpg'),
        ('intrinsics.txt', b'\xff\xfe 1', r'intrinsics\.txt: not a 3x3 matrix'),
        ('seg.mat', b'MATLAB 5.0 MAT-file, cut', r'seg\.mat: not a MATLAB file, or damaged'),
        ('seg.mat', None, r'no seg\.mat'),
    ],
)
def test_damaged_file_of_a_frame_is_named(data, file, damage, message):
    path = data / 'kv1' / 'NYUdata' / 'NYU0001' / file
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(DataError, match=message):
        SunRgbdDataset(data).load('kv1-NYUdata-NYU0001')


def test_unknown_label_is_named(data):
    frame = data / 'kv1' / 'NYUdata' / 'NYU0001'
    seg = published.scipy.io.loadmat(frame / 'seg.mat')
    seg['seglabel'][3, 4] = 5
    published.scipy.io.savemat(frame / 'seg.mat', {k: seg[k] for k in ('seglabel', 'names')})
    with pytest.raises(DataError, match=r'seg\.mat: labels \(26, 37\) up to 5; .* up to 4'):
        SunRgbdDataset(data).load('kv1-NYUdata-NYU0001')


def test_archive_with_outside_paths_is_rejected(data, tmp_path, capsys):
    link = zipfile.ZipInfo('SUNRGBD/kv1/link')
    link.external_attr = 0o120777 << 16
    for number, member in enumerate(
        ('../../evil/image/x.jpg', '/evil/image/x.jpg', 'a\\..\\..\\evil/image/x.jpg', link)
    ):
        archive = published.zip_folder(data, tmp_path / f'{number}.zip')
        with zipfile.ZipFile(archive, 'a') as file:
            file.writestr(member, b'/etc/passwd')
        before = set(tmp_path.rglob('*'))
        assert prepare(archive, tmp_path / 'out') == 2
        error = capsys.readouterr().err
        assert 'is a link or lies outside the archive' in error and error.count('\n') == 1
        assert set(tmp_path.rglob('*')) == before


def test_large_entries_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('a', bytes(3000))
        file.writestr('b', os.urandom(3000))
    archive = Archive(tmp_path / 'a.zip')
    monkeypatch.setattr('sgnet_core.data.archive.MAX_READ_BYTES', 2999)
    monkeypatch.setattr('sgnet_core.data.archive.MAX_COPIED_BYTES', 2999)
    for name in ('a', 'b'):
        with pytest.raises(DataError, match=f'{name} is larger than 2999 bytes'):
            archive.read(name)
    with pytest.raises(DataError, match='a would unpack to 3000 bytes'):
        archive.open_seekable('a')
    assert archive.open_seekable('b').seek(0, 2) == 3000


@given(place=st.floats(0, 0.999), piece=st.binary(min_size=1, max_size=9), cut=st.booleans())
def test_changed_bytes_are_read_or_named(tmp_path_factory, place, piece, cut):
    path = tmp_path_factory.getbasetemp() / 'changed.zip'
    frame = tmp_path_factory.getbasetemp() / 'changed' / 'SUNRGBD' / 'kv1' / 'a'
    if not frame.exists():
        published.write_sun_frame(frame, (3, 4), np.random.default_rng(1))
        published.zip_folder(frame.parents[1], path.with_suffix('.whole'))
    content = bytearray(path.with_suffix('.whole').read_bytes())
    start = int(place * len(content))
    content[start : start + len(piece)] = piece
    path.write_bytes(content[:start] if cut else content)
    try:
        dataset = SunRgbdDataset(path)
        dataset.load(dataset.ids[0])
    except InputError as error:
        assert '\n' not in str(error)


def test_bad_archives_are_named(data, tmp_path, capsys):
    archive = published.zip_folder(data, tmp_path / 'SUNRGBD.zip')
    whole = archive.read_bytes()
    (tmp_path / 'empty').mkdir()
    archive.write_bytes(whole[: len(whole) // 2])
    for source, message in (
        (archive, 'not a ZIP archive, or cut off'),
        (tmp_path / 'none', 'no such file or folder'),
        (tmp_path / 'empty', 'no frame found'),
    ):
        assert prepare(source, tmp_path / 'out') == 2
        assert message in capsys.readouterr().err
    # One flipped bit in the middle of the picture: the archive knows by its checksum.
    archive.write_bytes(whole)
    with zipfile.ZipFile(archive) as file:
        member = next(m for m in file.infolist() if m.filename.endswith('NYU0001/image/f.jpg'))
    damaged = bytearray(whole)
    damaged[member.header_offset + 30 + len(member.filename) + 200] ^= 16
    archive.write_bytes(damaged)
    with pytest.raises(DataError, match=r'NYU0001/image/f\.jpg cannot be read'):
        SunRgbdDataset(archive).load('kv1-NYUdata-NYU0001')


def test_bad_toolbox_is_named(data, tmp_path):
    with pytest.raises(DataError, match='neither allsplit'):
        SunRgbdDataset(data, tmp_path / 'published' / 'SUNRGBD')
    toolbox = published.write_sun_toolbox(data.parent)
    meta = toolbox / 'Metadata' / 'SUNRGBDMeta.mat'
    shutil.move(meta, tmp_path / 'kept')
    with pytest.raises(DataError, match=r'SUNRGBDMeta\.mat .* is missing'):
        SunRgbdDataset(data, toolbox)
    shutil.move(tmp_path / 'kept', meta)
    segmentation = toolbox / 'Metadata' / 'SUNRGBD2Dseg.mat'
    segmentation.write_bytes(segmentation.read_bytes()[:4000])
    with pytest.raises(DataError, match=r'SUNRGBD2Dseg\.mat: not MATLAB v7.3 \(HDF5\), or cut off'):
        SunRgbdDataset(data, toolbox)


def test_duplicate_frame_is_rejected(data):
    shutil.copytree(data / 'kv1', data / 'copy' / 'SUNRGBD' / 'kv1')
    with pytest.raises(DataError, match=r"are both frame 'kv1-NYUdata-NYU0001'; keep one"):
        SunRgbdDataset(data)
