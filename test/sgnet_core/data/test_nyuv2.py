# SPDX-License-Identifier: Apache-2.0
"""`prepare_dataset nyuv2` on a small file in the published layout; its rules on the real ones."""

import json
import shutil

import numpy as np
import pytest

from sgnet_core.cli.runner import run_command
from sgnet_core.data import nyuv2
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import DataError
from sgnet_core.labels import NYU40, nyu40_to_nyu13
from sgnet_core.types import UNLABELLED

published = pytest.importorskip('published_files', reason='h5py and SciPy write the files')


@pytest.fixture(scope='module')
def arrays():
    return published.nyuv2_arrays()


@pytest.fixture(scope='module')
def mat(tmp_path_factory, arrays):
    """nyu_depth_v2_labeled.mat of six frames, with what belongs beside it."""
    return published.write_nyuv2(tmp_path_factory.mktemp('nyu'), arrays)


def prepare(mat, out, *options):
    return run_command('sgnet_core', 'prepare_dataset', ['nyuv2', str(mat), str(out), *options])


def classes40(labels):
    """(H, W) uint8 ids, straight from the definition."""
    return np.array([UNLABELLED, *(n - 1 for n in published.NYU_CLASSES)], np.uint8)[labels]


def test_converted_folder_equals_the_file(tmp_path, mat, arrays, capsys):
    assert prepare(mat, tmp_path / 'out', '--png', '--json', str(tmp_path / 's.json')) == 0
    dataset = FolderDataset(tmp_path / 'out')
    assert dataset.ids == ('0001', '0002', '0003', '0004', '0005', '0006')
    assert dataset.class_names == NYU40.class_names
    for index, sample in enumerate(dataset):
        np.testing.assert_array_equal(sample.frame.rgb, arrays['images'][index])
        np.testing.assert_allclose(sample.frame.depth_m, arrays['depths'][index], atol=5.1e-4)
        np.testing.assert_array_equal(sample.labels, classes40(arrays['labels'][index]))
    assert FolderDataset(tmp_path / 'out', 'train').ids == ('0001', '0003', '0004', '0005', '0006')
    assert FolderDataset(tmp_path / 'out', 'test').ids == ('0002',)
    assert list((tmp_path / 'out').rglob('unfinished*')) == []
    summary = json.loads((tmp_path / 's.json').read_text())
    assert summary['frames'] == 6 and summary['skipped'] == 0
    assert summary['splits'] == {'train': 5, 'test': 1, 'fit': 5}
    camera = summary['cameras']['kinect v1']
    assert camera['missing'] == 0 and camera['sizes'] == ['640x480']
    np.testing.assert_allclose(
        camera['depth_m'], [arrays['depths'].min(), arrays['depths'].max()], atol=6e-4
    )
    seen = np.unique(classes40(arrays['labels']))
    assert summary['classes_seen'] == [NYU40.class_names[i] for i in seen if i != UNLABELLED]
    assert '6 frames, 0 skipped' in capsys.readouterr().out


def test_raw_depth_has_missing_pixels(mat, arrays):
    sample = nyuv2.Nyuv2Dataset(mat, depth='raw').load('0002')
    holes = arrays['labels'][1] == 2
    assert 0 < holes.sum() < holes.size
    np.testing.assert_array_equal(np.isnan(sample.frame.depth_m), holes)


@pytest.mark.parametrize('classes', [37, 13])
def test_fewer_classes_follow_from_the_40(mat, arrays, classes):
    dataset = nyuv2.Nyuv2Dataset(mat, classes=classes)
    assert len(dataset.class_names) == classes
    of40 = nyu40_to_nyu13.tolist() if classes == 13 else [*range(37), *[UNLABELLED] * 3]
    expected = np.array([*of40, *[UNLABELLED] * 216], np.uint8)[classes40(arrays['labels'][4])]
    np.testing.assert_array_equal(dataset.load('0005').labels, expected)


def test_interrupted_conversion_resumes_with_the_same_options(tmp_path, mat, monkeypatch, capsys):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert prepare(mat, whole) == 0
    load = nyuv2.Nyuv2Dataset.load
    loaded = []

    def interrupted(self, sample_id):
        if sample_id == '0004':
            raise KeyboardInterrupt
        return load(self, sample_id)

    def counted(self, sample_id):
        loaded.append(sample_id)
        return load(self, sample_id)

    monkeypatch.setattr(nyuv2.Nyuv2Dataset, 'load', interrupted)
    assert prepare(mat, cut) == 130
    assert '3 of 6 frames; the same command continues' in capsys.readouterr().err
    with pytest.raises(DataError, match=r'dataset\.yaml: no such file'):
        FolderDataset(cut)
    assert prepare(mat, cut, '--depth', 'raw') == 2
    assert 'raw' in (error := capsys.readouterr().err) and 'filled' in error
    # As a kill leaves it: a line of the journal half written.
    with (cut / 'unfinished.jsonl').open('a') as journal:
        journal.write('{"id": "00')
    monkeypatch.setattr(nyuv2.Nyuv2Dataset, 'load', counted)
    assert prepare(mat, cut) == 0
    assert loaded == ['0004', '0005', '0006']
    files = {path.relative_to(whole) for path in whole.rglob('*') if path.is_file()}
    assert files == {path.relative_to(cut) for path in cut.rglob('*') if path.is_file()}
    for file in files:
        assert (whole / file).read_bytes() == (cut / file).read_bytes()


def small(arrays, **changes):
    """One frame, with arrays replaced, or left out where None."""
    kept = {name: array[:1] for name, array in arrays.items()} | changes
    return {name: array for name, array in kept.items() if array is not None}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'depths': None, 'labels': None}, r'labeled\.mat: depths, labels is missing;'),
        ({'depths': np.zeros((1, 640, 480), np.float32)}, r'depths is \(1, 480, 640\) float32'),
        ({'labels': np.zeros((1, 480, 640), np.float32)}, r'labels is .* float32, must be'),
        ({'images': np.zeros((1, 480, 640), np.uint8)}, r'images is \(1, 640, 480\) uint8'),
    ],
)
def test_wrong_variables_are_named(tmp_path, arrays, changes, message):
    mat = published.write_nyuv2(tmp_path, small(arrays, **changes))
    with pytest.raises(DataError, match=message):
        nyuv2.Nyuv2Dataset(mat)


def test_files_of_another_kind_and_used_folders_are_named(tmp_path, mat, capsys):
    for name in ('classMapping40.mat', 'splits.mat'):
        shutil.copy(mat.parent / name, tmp_path)
    content = mat.read_bytes()
    bad = tmp_path / 'bad.mat'
    for data in (content[: len(content) // 2], b'', (mat.parent / 'splits.mat').read_bytes()):
        bad.write_bytes(data)
        assert prepare(bad, tmp_path / 'out') == 2
        error = capsys.readouterr().err
        assert 'bad.mat: not MATLAB v7.3 (HDF5), or cut off' in error and error.count('\n') == 1
    assert prepare(tmp_path / 'none.mat', tmp_path / 'out') == 2
    assert 'none.mat: no such file' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    assert prepare(mat, tmp_path) == 2
    assert 'not an empty folder' in capsys.readouterr().err


def test_missing_meta_files_are_named(tmp_path, mat):
    shutil.copy(mat, tmp_path)
    with pytest.raises(DataError, match=r'no classMapping40\.mat and no splits\.mat; .*--meta'):
        nyuv2.Nyuv2Dataset(tmp_path / 'nyu_depth_v2_labeled.mat')
    assert nyuv2.Nyuv2Dataset(tmp_path / 'nyu_depth_v2_labeled.mat', mat.parent).ids[0] == '0001'


def test_mismatched_mapping_and_splits_are_rejected(tmp_path, arrays):
    other = published.NYU_NAMES[::-1]
    mat = published.write_nyuv2(tmp_path, small(arrays), names=other)
    with pytest.raises(DataError, match=r'maps 6 labels, 0 of which match'):
        nyuv2.Nyuv2Dataset(mat)
    mat = published.write_nyuv2(tmp_path, small(arrays))
    with pytest.raises(DataError, match=r'testNdxs must be numbers of frames from 1 to 1'):
        nyuv2.Nyuv2Dataset(mat)


def test_unknown_label_stops_a_small_dataset(tmp_path, arrays, capsys):
    labels = arrays['labels'][:2].copy()
    labels[1, 7, 9] = 895
    two = {name: array[:2] for name, array in arrays.items()} | {'labels': labels}
    assert prepare(published.write_nyuv2(tmp_path, two), tmp_path / 'out') == 2
    assert 'frame 0002 has label 895; there are 6' in capsys.readouterr().err


def test_fit_and_val_equal_the_research_splits(research_data):
    splits = nyuv2._read_splits(research_data / 'nyuv2_meta' / 'splits.mat', 1449)
    assert (len(splits['train']), len(splits['test'])) == (795, 654)
    for name in ('fit', 'val'):
        assert splits[name] == FolderDataset(research_data / 'nyuv2', name).ids


def test_real_mapping_is_read(research_data):
    path = research_data / 'nyuv2_meta' / 'classMapping40.mat'
    scipy_io = pytest.importorskip('scipy.io')
    mapping = scipy_io.loadmat(path, squeeze_me=True)
    names = mapping['allClassName'].tolist()
    table = nyuv2._class_table(path, names, 40)
    assert table.shape == (895,) and table[0] == UNLABELLED
    assert NYU40.class_names[table[1 + names.index('bookshelf')]] == 'bookshelf'
    np.testing.assert_array_equal(table[1:], mapping['mapClass'] - 1)
    thirteen = nyuv2._class_table(path, names, 13)
    np.testing.assert_array_equal(thirteen[1:], nyu40_to_nyu13[table[1:]])
