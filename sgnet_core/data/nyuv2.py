# SPDX-License-Identifier: Apache-2.0
"""Reads NYU Depth v2 as published: `nyu_depth_v2_labeled.mat`, 1449 frames of 640x480.

Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. The
file is HDF5; its arrays have reversed dimensions: frame, channel, column, row. Two small files map
its 894 labels to 40 classes (Gupta et al., CVPR 2013) and list the training frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sgnet_core.data.conversion import fit_and_val
from sgnet_core.data.matlab_files import open_hdf5, read_mat, reading
from sgnet_core.errors import DataError
from sgnet_core.labels import LABEL_SETS, NYU40, nyu40_to_nyu13, remap
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample

# The toolbox publishes cx = 325.582 and cy = 253.736 for MATLAB, which counts pixels from 1.
CAMERA = CameraIntrinsics(
    640, 480, 518.8579011745019, 519.4696111212749, 324.58244941119034, 252.73616633400465
)
DEPTH_VARIABLES = {'filled': 'depths', 'raw': 'rawDepths'}
MAPPING, SPLITS = 'classMapping40.mat', 'splits.mat'
_PUBLISHED = {
    MAPPING: 'with the code of Gupta et al. (rcnn-depth) and in nyuv2-meta-data',
    SPLITS: 'on the page of the dataset, as its train/test split',
}

# NYU40 class -> class of the other label sets; `remap` keeps unlabelled.
_OF_NYU40 = {
    40: np.arange(40, dtype=np.uint8),
    37: np.where(np.arange(40) < 37, np.arange(40), UNLABELLED).astype(np.uint8),
    13: nyu40_to_nyu13,
}


class Nyuv2Dataset:
    """The frames of the file; ids `0001` ... as in the toolbox.

    `splits` holds `train` and `test` as published, and `fit` and `val` cut from `train`.
    """

    name = 'nyuv2'
    intrinsics = CAMERA
    notes: tuple[str, ...] = ()

    def __init__(
        self, file: Path, meta: Path | None = None, depth: str = 'filled', classes: int = 40
    ) -> None:
        """Open the file and check its content.

        Args:
            file: `nyu_depth_v2_labeled.mat`.
            meta: folder of `classMapping40.mat` and `splits.mat`; None = folder of `file`.
            depth: `filled` (missing depth filled) or `raw` (as measured).
            classes: 40, 37 or 13.
        """
        self._file = file
        self.class_names = LABEL_SETS[f'nyu{classes}'].class_names
        meta = file.parent if meta is None else meta
        depths = DEPTH_VARIABLES[depth]
        self._arrays = open_hdf5(file, file, ('images', depths, 'labels', 'names'))
        missing = [name for name in _PUBLISHED if not (meta / name).is_file()]
        if missing:
            where = '; '.join(f'{name} is published {_PUBLISHED[name]}' for name in missing)
            raise DataError(
                f'{meta}: no {" and no ".join(missing)}; put them there, or name their folder with '
                f'--meta ({where})'
            )
        with reading(file):
            self._depths = self._arrays[depths]
            count = self._check_shapes(depths)
            references = np.ravel(self._arrays['names'][()])
            names = [''.join(map(chr, np.ravel(self._arrays[entry][()]))) for entry in references]
        with reading(meta / MAPPING):
            self._class_of_label = _class_table(meta / MAPPING, names, classes)
        self.ids = tuple(f'{number:04d}' for number in range(1, count + 1))
        with reading(meta / SPLITS):
            self.splits = _read_splits(meta / SPLITS, count)

    def camera(self, sample_id: str) -> str:
        """Always the Kinect."""
        return 'kinect v1'

    def load(self, sample_id: str) -> Sample:
        """The frame of this id; DataError if it is unreadable or holds an unknown label."""
        index = int(sample_id) - 1
        with reading(f'{self._file}: frame {sample_id}'):
            rgb = self._arrays['images'][index].transpose(2, 1, 0)
            depth_m = self._depths[index].T.astype(np.float32)
            numbers = self._arrays['labels'][index].T
        if numbers.max() >= len(self._class_of_label):
            raise DataError(
                f'{self._file}: frame {sample_id} has label {numbers.max()}; there are '
                f'{len(self._class_of_label) - 1}'
            )
        depth_m[~(depth_m > 0)] = np.nan
        frame = RgbdFrame(np.ascontiguousarray(rgb), depth_m, CAMERA)
        return Sample(sample_id, frame, self._class_of_label[numbers])

    def _check_shapes(self, depths: str) -> int:
        """The number of frames."""
        size = CAMERA.width, CAMERA.height
        count = self._arrays['images'].shape[0]
        for name, shape, kind in (
            ('images', (count, 3, *size), 'unsigned'),
            (depths, (count, *size), 'float'),
            ('labels', (count, *size), 'unsigned'),
        ):
            array = self._arrays[name]
            if array.shape != shape or array.dtype.kind != kind[0]:
                raise DataError(
                    f'{self._file}: {name} is {array.shape} {array.dtype}, must be {shape} {kind}; '
                    'get the published file'
                )
        return count


def _class_table(path: Path, names: list[str], classes: int) -> np.ndarray:
    """(L + 1,) uint8: class of each label number; 0, unlabelled, and classes left out are 255."""
    mapping = read_mat(path, path, ('mapClass', 'className', 'allClassName'))
    if tuple(np.atleast_1d(mapping['className'])) != NYU40.class_names:
        raise DataError(f'{path}: className is not the 40 NYU classes; get the published file')
    known = [str(name) for name in np.atleast_1d(mapping['allClassName'])]
    same = sum(a == b for a, b in zip(names, known, strict=False))
    # Spellings were corrected in later releases; another order would make every label wrong.
    if len(names) != len(known) or same < 0.9 * len(known):
        raise DataError(
            f'{path}: maps {len(known)} labels, {same} of which match the {len(names)} labels of '
            'the dataset; get the mapping of this release'
        )
    numbers = np.atleast_1d(mapping['mapClass']).astype(np.int64)
    if numbers.shape != (len(known),) or not (numbers >= 1).all() or not (numbers <= 40).all():
        raise DataError(f'{path}: mapClass must be {len(known)} numbers from 1 to 40')
    return remap(np.concatenate([[UNLABELLED], numbers - 1]).astype(np.uint8), _OF_NYU40[classes])


def _read_splits(path: Path, count: int) -> dict[str, tuple[str, ...]]:
    official = read_mat(path, path, ('trainNdxs', 'testNdxs'))
    splits = {}
    for name, variable in (('train', 'trainNdxs'), ('test', 'testNdxs')):
        numbers = np.atleast_1d(official[variable]).astype(np.int64)
        if not numbers.size or numbers.min() < 1 or numbers.max() > count:
            raise DataError(
                f'{path}: {variable} must be numbers of frames from 1 to {count}; get the '
                'published files'
            )
        splits[name] = tuple(f'{number:04d}' for number in numbers)
    splits['fit'], splits['val'] = fit_and_val(splits['train'])
    return splits
