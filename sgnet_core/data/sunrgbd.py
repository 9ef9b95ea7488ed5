# SPDX-License-Identifier: Apache-2.0
"""Reads SUN RGB-D as published: `SUNRGBD.zip` or its folder, and `SUNRGBDtoolbox.zip`.

Song et al., "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite", CVPR 2015. 10335 frames of
four cameras, one folder per frame:

    SUNRGBD/kv1|kv2|realsense|xtion/.../FRAME/
        image/*.jpg  depth/*.png  depth_bfx/*.png  intrinsics.txt  seg.mat  ...

The 37 classes are the first of the 40 of NYUv2, in the same order. The toolbox holds dense labels
and the official split; without it labels come from the names in `seg.mat`, and there is no split.
"""

from __future__ import annotations

import logging
import re
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sgnet_core.data.archive import Archive
from sgnet_core.data.conversion import fit_and_val
from sgnet_core.data.dataset_config import intrinsics_from_text
from sgnet_core.data.matlab_files import open_hdf5, read_mat, reading
from sgnet_core.errors import DataError
from sgnet_core.io.images import MILLIMETRE, decode_depth, decode_rgb, depth_in_metres
from sgnet_core.labels import NYU37
from sgnet_core.types import UNLABELLED, RgbdFrame, Sample

_LOG = logging.getLogger(__name__)

TOOLBOX = 'SUNRGBDtoolbox'
SPLIT, SEGMENTATION, FRAMES = 'allsplit.mat', 'SUNRGBD2Dseg.mat', 'SUNRGBDMeta.mat'
DEPTH_FOLDERS = {'filled': 'depth_bfx', 'raw': 'depth'}
CAMERAS = ('kv1', 'kv2', 'realsense', 'xtion')

# seg37list.mat of the toolbox spells these classes differently from NYUv2.
_OTHER_NAMES = {'fridge': 'refridgerator', 'tv': 'television'}
_CLASS_OF_NAME = {name: number for number, name in enumerate(NYU37.class_names)}


class SunRgbdDataset:
    """The frames of the archive; an id is the path of the frame's folder, see `frame_id`.

    The matrices of `intrinsics.txt` are used unchanged with pixels counted from 0: for frames from
    NYUv2 they are the published ones minus (41, 45), the origin of the crop counted from 1. The
    convention of the other cameras is not published.

    Attributes:
        ids: of all frames, sorted.
        class_names: None without labels.
        intrinsics: None, as each frame has its own.
        splits: `train` and `test` of the toolbox, `fit` and `val` cut from `train`; or none.
        notes: origin of labels and splits.
    """

    name = 'sunrgbd'
    intrinsics = None

    def __init__(self, source: Path, toolbox: Path | None = None, depth: str = 'filled') -> None:
        """List the frames and open labels and splits.

        Args:
            source: `SUNRGBD.zip` or its extracted folder.
            toolbox: `SUNRGBDtoolbox.zip` or its extracted folder; None searches in `source` and
                beside it.
            depth: `filled` (missing depth filled) or `raw` (as measured).
        """
        self._archive = Archive(source)
        self._depth = DEPTH_FOLDERS[depth]
        self._files = _frames_in(self._archive)
        self.ids = tuple(self._files)
        self._references: dict[str, Any] = {}
        found = self._find_toolbox(source, toolbox)
        with reading(source if found is None else found.path):
            self.notes = (self._open_labels(found), self._read_split(found))
        labelled = self._references or any('seg.mat' in files for files in self._files.values())
        self.class_names = NYU37.class_names if labelled else None

    def camera(self, sample_id: str) -> str:
        """`kv1`, `kv2`, `realsense`, `xtion` or `unknown`."""
        return camera_of(sample_id) or 'unknown'

    def load(self, sample_id: str) -> Sample:
        """The frame of this id; InputError if a file is missing, damaged or of another size."""
        files = self._files[sample_id]
        missing = [kind for kind in (self._depth, 'intrinsics.txt') if kind not in files]
        if missing:
            raise DataError(f'no {" and no ".join(missing)} beside {files["image"]}')
        rgb = decode_rgb(files['image'], self._archive.read(files['image']))
        rotated = decode_depth(files[self._depth], self._archive.read(files[self._depth]))
        millimetres = (rotated >> 3) | (rotated << 13)
        depth_m = depth_in_metres(millimetres, MILLIMETRE, (0,))
        text = self._archive.read(files['intrinsics.txt']).decode('utf-8', 'replace')
        camera = intrinsics_from_text(text, rgb.shape[:2], files['intrinsics.txt'])
        with reading(f'labels of {sample_id}'):
            labels = self._labels(sample_id) if self.class_names else None
        frame = RgbdFrame(rgb, depth_m, camera)
        return Sample(sample_id, frame, labels, camera=camera_of(sample_id))

    def _labels(self, sample_id: str) -> np.ndarray:
        """(H, W) uint8 class ids."""
        if self._references:
            if sample_id not in self._references:
                raise DataError(f'{SEGMENTATION} has no labels of {sample_id}')
            numbers = self._segmentation[self._references[sample_id]][()].T
            name, table = SEGMENTATION, np.arange(-1, len(NYU37)).astype(np.uint8)
        else:
            name = self._files[sample_id].get('seg.mat')
            if name is None:
                raise DataError('no seg.mat in its folder')
            found = read_mat(name, BytesIO(self._archive.read(name)), ('seglabel', 'names'))
            numbers, table = found['seglabel'], class_table(np.atleast_1d(found['names']))
        if numbers.ndim != 2 or numbers.min() < 0 or numbers.max() >= len(table):
            raise DataError(
                f'{name}: labels {numbers.shape} up to {numbers.max()}; must be an image of '
                f'numbers up to {len(table) - 1}'
            )
        return table[numbers.astype(np.int64)]

    def _find_toolbox(self, source: Path, toolbox: Path | None) -> Archive | None:
        if toolbox is not None:
            archive = Archive(toolbox)
            if not (archive.find(SPLIT) or archive.find(SEGMENTATION)):
                raise DataError(
                    f'{toolbox}: neither {SPLIT} nor {SEGMENTATION} in it; give {TOOLBOX}.zip or '
                    'its folder'
                )
            return archive
        if self._archive.find(SPLIT) or self._archive.find(SEGMENTATION):
            return self._archive
        beside = (source.absolute().parent / name for name in (TOOLBOX, f'{TOOLBOX}.zip'))
        return next((Archive(path) for path in beside if path.exists()), None)

    def _open_labels(self, toolbox: Archive | None) -> str:
        """Open the labels of the toolbox; return the origin of the labels."""
        if toolbox is None or (name := toolbox.find(SEGMENTATION)) is None:
            if any('seg.mat' in files for files in self._files.values()):
                return 'labels: by name from seg.mat, without a toolbox'
            return f'labels: none; neither seg.mat nor {SEGMENTATION} found'
        frames = toolbox.find(FRAMES)
        if frames is None:
            raise DataError(f'{toolbox.path}: {FRAMES} with the frames of {name} is missing')
        path = f'{toolbox.path}: {frames}'
        _LOG.info('reading the frame names of the labels from %s; this takes a while', path)
        meta = read_mat(path, toolbox.open_seekable(frames), ('SUNRGBDMeta',))['SUNRGBDMeta']
        # .../FRAME/image/*.jpg on the authors' machine.
        owners = [str(PurePosixPath(entry.rgbpath).parents[1]) for entry in np.atleast_1d(meta)]
        path = f'{toolbox.path}: {name}'
        self._segmentation = open_hdf5(path, toolbox.open_seekable(name), ('SUNRGBD2Dseg',))
        references = np.ravel(self._segmentation['SUNRGBD2Dseg/seglabel'][()])
        if len(references) != len(owners):
            raise DataError(
                f'{path}: labels of {len(references)} frames, but {FRAMES} names {len(owners)}; '
                'get both again'
            )
        self._references = dict(zip(map(frame_id, owners), references, strict=True))
        return f'labels: {SEGMENTATION} of {toolbox.path.absolute().name}'

    def _read_split(self, toolbox: Archive | None) -> str:
        """Read the official split; return a note about it."""
        self.splits: dict[str, tuple[str, ...]] = {}
        if toolbox is None or (name := toolbox.find(SPLIT)) is None:
            return f'split: none; it is in {TOOLBOX}.zip, which --toolbox names'
        path = f'{toolbox.path}: {name}'
        official = read_mat(path, BytesIO(toolbox.read(name)), ('alltrain', 'alltest'))
        here = set(self.ids)
        absent = 0
        for split, variable in (('train', 'alltrain'), ('test', 'alltest')):
            listed = sorted(frame_id(str(entry)) for entry in np.atleast_1d(official[variable]))
            self.splits[split] = tuple(entry for entry in listed if entry in here)
            absent += len(listed) - len(self.splits[split])
        self.splits['fit'], self.splits['val'] = fit_and_val(self.splits['train'])
        missing = f'; {absent} of its frames are not here' if absent else ''
        return f'split: {SPLIT} of {toolbox.path.absolute().name}{missing}'


def camera_of(sample_id: str) -> str:
    """The camera in an id of `frame_id`; '' if the id has none."""
    first = sample_id.partition('-')[0]
    return first if first in CAMERAS else ''


def frame_id(path: str, within: Path = Path()) -> str:
    """The id of a frame's folder: its path from the camera's folder on, joined with dashes.

    The id does not depend on the machine, nor on which part of SUNRGBD `within` is. Outside of a
    camera's folder the id is the path, or the name of `within` if the path is empty.
    """
    relative = PurePosixPath(path).parts
    for parts in (relative, (within.absolute() / path).parts):
        below = [index for index, part in enumerate(parts) if part in CAMERAS]
        if below:
            relative = parts[below[0] :]
            break
    return re.sub(r'[^\w.-]', '_', '-'.join(relative or (within.absolute().name,)))


def class_table(names: np.ndarray) -> np.ndarray:
    """(L + 1,) uint8: class of each number in a `seg.mat`; 0 and other names are unlabelled."""
    words = [str(name).strip().lower().replace('_', ' ') for name in names]
    classes = [_CLASS_OF_NAME.get(_OTHER_NAMES.get(word, word), UNLABELLED) for word in words]
    return np.array([UNLABELLED, *classes], np.uint8)


def _frames_in(archive: Archive) -> dict[str, dict[str, str]]:
    """Id of each frame -> kind of file -> its name in the archive."""
    folders: dict[str, dict[str, str]] = {}
    for name in archive.names:
        path = PurePosixPath(name)
        if path.name in ('intrinsics.txt', 'seg.mat'):
            folders.setdefault(str(path.parent), {})[path.name] = name
        elif path.parent.name in ('image', 'depth', 'depth_bfx'):
            folders.setdefault(str(path.parent.parent), {}).setdefault(path.parent.name, name)
    frames: dict[str, dict[str, str]] = {}
    for folder, files in sorted(folders.items()):
        if 'image' not in files:
            continue
        sample_id = frame_id(folder, archive.path)
        if sample_id in frames:
            raise DataError(
                f'{archive.path}: {files["image"]} and {frames[sample_id]["image"]} are both '
                f'frame {sample_id!r}; keep one'
            )
        frames[sample_id] = files
    if not frames:
        raise DataError(
            f'{archive.path}: no frame found; give SUNRGBD.zip or its folder, whose frames are '
            'folders with image/, depth/ and intrinsics.txt'
        )
    return frames
