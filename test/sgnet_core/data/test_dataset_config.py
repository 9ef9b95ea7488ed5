# SPDX-License-Identifier: Apache-2.0
"""Frames of different cameras and sizes in one data set."""

import numpy as np
import pytest

from sgnet_core.data.dataset_config import intrinsics_from_text, intrinsics_to_text
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.errors import DataError, InputError
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

CAMERAS = [
    CameraIntrinsics(36, 24, 30.1, 31.7, 17.1, 12.9),
    CameraIntrinsics(20, 30, 22.25, 1 / 3, 9.5, 14.0),
]


@pytest.fixture
def two_cameras(tmp_path):
    """The folder of two frames, of one camera each."""
    with FolderWriter(tmp_path / 'set', 'two', None, image_suffix='.png') as writer:
        for index, camera in enumerate(CAMERAS):
            rgb = np.full((*camera.size, 3), index, np.uint8)
            depth_m = np.full(camera.size, 1.5 + index, np.float32)
            writer.write(Sample(f'f{index}', RgbdFrame(rgb, depth_m, camera)))
    return tmp_path / 'set'


def test_frames_keep_their_own_intrinsics(two_cameras):
    dataset = FolderDataset(two_cameras)
    assert dataset.intrinsics is None
    assert [sample.frame.intrinsics for sample in dataset] == CAMERAS
    assert [sample.frame.depth_m.shape for sample in dataset] == [(24, 36), (30, 20)]


def test_intrinsics_text_round_trips():
    for camera in CAMERAS:
        text = intrinsics_to_text(camera)
        assert intrinsics_from_text(text, camera.size, 'f') == camera
        assert intrinsics_from_text(' '.join(text.split()), camera.size, 'f') == camera


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'not a 3x3 matrix \(0 words\)'),
        ('529.5 0 365 0 529.5 265 0 0', r'not a 3x3 matrix \(8 words\)'),
        ('529.5 0 365 0 x 265 0 0 1', 'not a 3x3 matrix'),
        # Transposed, as in MATLAB.
        ('529.5 0 0 0 529.5 0 365 265 1', 'not a pinhole camera'),
        ('529.5 1 365 0 529.5 265 0 0 1', 'not a pinhole camera'),
        ('nan 0 365 0 529.5 265 0 0 1', 'finite'),
        ('0 0 0 0 0 0 0 0 1', 'focal lengths must be positive'),
    ],
)
def test_invalid_intrinsics_are_named(two_cameras, text, message):
    (two_cameras / 'intrinsics' / 'f1.txt').write_text(text)
    with pytest.raises(DataError, match=rf'f1\.txt: .*{message}'):
        FolderDataset(two_cameras)[1]


def test_missing_intrinsics_and_wrong_size_are_named(two_cameras):
    (two_cameras / 'depth' / 'f0.png').write_bytes((two_cameras / 'depth' / 'f1.png').read_bytes())
    with pytest.raises(DataError, match=r'depth/f0\.png: 20x30 pixels, .* are for 36x24'):
        FolderDataset(two_cameras)[0]
    (two_cameras / 'intrinsics' / 'f0.txt').unlink()
    with pytest.raises(DataError, match=r'intrinsics/f0\.txt: no such file'):
        FolderDataset(two_cameras)


def test_writer_resumes_an_interrupted_dataset(tmp_path, tiny_samples):
    camera = tiny_samples[0].frame.intrinsics
    with pytest.raises(KeyboardInterrupt), FolderWriter(tmp_path / 's', 's', camera) as writer:
        writer.write(Sample('0', tiny_samples[0].frame))
        raise KeyboardInterrupt
    with pytest.raises(DataError, match=r'dataset\.yaml: no such file'):
        FolderDataset(tmp_path / 's')
    with FolderWriter(tmp_path / 's', 's', camera, written=['0']) as writer:
        with pytest.raises(InputError, match="'0' is already written"):
            writer.write(Sample('0', tiny_samples[0].frame))
        writer.write(Sample('1', tiny_samples[1].frame))
        writer.write_split('fit', ['0', '1'])
    assert FolderDataset(tmp_path / 's', 'fit').ids == ('0', '1')
