# SPDX-License-Identifier: Apache-2.0
"""Small files in exactly the layouts in which NYU Depth v2 and SUN RGB-D are published."""

import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np
import scipy.io

from sgnet_core.labels import NYU40

NYU_NAMES = ('book', 'wall', 'unknown', 'chair', 'cone', 'dresser lamp')
NYU_CLASSES = (23, 1, 40, 5, 38, 35)
"""Numbers of `NYU40.class_names`, from 1, of the labels `NYU_NAMES`."""

SUN_FRAMES = {
    'SUNRGBD/kv1/b3dodata/img_0063': (26, 37),
    'SUNRGBD/kv1/NYUdata/NYU0001': (26, 37),
    'SUNRGBD/kv2/align_kv2/2014-12-18_11-31-54_2605': (30, 41),
    'SUNRGBD/realsense/lg/2014_10_21-18_23_55-1311000073': (25, 33),
    'SUNRGBD/xtion/sun3ddata/hotel_1/hotel_1/0000001-000000020431': (24, 35),
}
"""Folder of each frame -> (height, width)."""
SUN_MACHINE = '/n/fs/sun3d/data/'


def cells(values) -> np.ndarray:
    """A MATLAB cell array of one row."""
    return np.array([*values, None], object)[None, :-1]


def save_matlab73(path: Path, fill) -> None:
    """An HDF5 file with MATLAB's header; `fill(file)` puts the variables in."""
    with h5py.File(path, 'w', userblock_size=512) as file:
        fill(file)
    with path.open('r+b') as stream:
        stream.write(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(116))


def nyuv2_arrays() -> dict[str, np.ndarray]:
    """images (6, 480, 640, 3), depths and rawDepths (6, 480, 640) metres, labels (6, 480, 640)."""
    rng, shape = np.random.default_rng(3), (6, 12, 16)
    # Coarse patterns, for they compress well; no two axes or frames are alike.
    coarse = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    depths = rng.uniform(0.7, 9.9, shape).astype(np.float32)
    labels = rng.integers(0, len(NYU_NAMES) + 1, shape).astype(np.uint16)
    enlarge = np.ones((1, 40, 40), np.uint8)
    arrays = {
        'images': np.kron(coarse, enlarge[..., None]).astype(np.uint8),
        'depths': np.kron(depths, enlarge).astype(np.float32),
        'labels': np.kron(labels, enlarge).astype(np.uint16),
    }
    arrays['rawDepths'] = np.where(arrays['labels'] == 2, np.float32(0), arrays['depths'])
    return arrays


def write_nyuv2(folder: Path, arrays: dict[str, np.ndarray], names=NYU_NAMES) -> Path:
    """nyu_depth_v2_labeled.mat and the two files beside it; returns the first."""

    def fill(file: h5py.File) -> None:
        for name, array in arrays.items():
            # Frame first, the other dimensions reversed, as MATLAB's (H, W, 3, N) is stored.
            file.create_dataset(
                name,
                data=array.transpose(0, *range(array.ndim - 1, 0, -1)),
                compression='gzip',
                compression_opts=1,
            )
        references = []
        for index, name in enumerate(names):
            text = np.array([[ord(letter)] for letter in name], np.uint16)
            references.append(file.create_dataset(f'#refs#/{index}', data=text).ref)
        file['names'] = np.array([references], h5py.ref_dtype)

    path = folder / 'nyu_depth_v2_labeled.mat'
    save_matlab73(path, fill)
    scipy.io.savemat(
        folder / 'classMapping40.mat',
        {
            'mapClass': np.array([NYU_CLASSES], np.uint8),
            'className': cells(NYU40.class_names),
            'allClassName': cells(NYU_NAMES),
        },
    )
    numbers = np.arange(1, len(arrays['images']) + 1, dtype=np.uint16)[:, None]
    split = {'trainNdxs': numbers[numbers[:, 0] != 2], 'testNdxs': numbers[1:2]}
    scipy.io.savemat(folder / 'splits.mat', split)
    return path


def rotated(millimetres: np.ndarray) -> np.ndarray:
    """uint16 millimetres as SUN RGB-D stores them: to the left by three bits, the upper come in."""
    return (millimetres << 3) | (millimetres >> 13)


def write_sun_frame(folder: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    """The folder of one frame; its labels in seg.mat are those of `sun_labels`."""
    for name in ('image', 'depth', 'depth_bfx', 'fullres', 'extrinsics'):
        (folder / name).mkdir(parents=True)
    height, width = size
    rgb = np.kron(rng.integers(0, 256, (2, 3, 3)), np.ones((height, width, 1)))[:height, :width]
    cv2.imwrite(
        str(folder / 'image' / 'f.jpg'), rgb.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100]
    )
    # Beyond 8.191 m the upper bits are in use.
    millimetres = rng.integers(500, 12000, size).astype(np.uint16)
    cv2.imwrite(str(folder / 'depth_bfx' / 'f_abs.png'), rotated(millimetres))
    millimetres[rng.random(size) < 0.3] = 0
    cv2.imwrite(str(folder / 'depth' / 'f_abs.png'), rotated(millimetres))
    matrix = f'{width}.5 0 {width / 2}\n0 {width}.25 {height / 2}\n0 0 1\n'
    (folder / 'intrinsics.txt').write_text(matrix)
    # Another camera, which must not be taken for that of the frame.
    (folder / 'fullres' / 'intrinsics.txt').write_text('9 0 9\n0 9 9\n0 0 1\n')
    names = ('chair', 'night_stand', 'garbage_bin', 'tv')
    labels = rng.integers(0, len(names) + 1, size).astype(np.uint8)
    scipy.io.savemat(folder / 'seg.mat', {'seglabel': labels, 'names': cells(names)})


def sun_labels(folder: Path) -> np.ndarray:
    """(H, W) uint8 as in the toolbox, 0 void and 1 .. 37, of a frame's folder."""
    labels = scipy.io.loadmat(folder / 'seg.mat')['seglabel']
    return np.array([0, 5, 32, 0, 25], np.uint8)[labels]


def write_sunrgbd(root: Path, frames: dict[str, tuple[int, int]] | None = None) -> Path:
    """The content of SUNRGBD.zip below `root`; returns its folder."""
    rng = np.random.default_rng(8)
    for name, size in (SUN_FRAMES if frames is None else frames).items():
        write_sun_frame(root / name, size, rng)
    return root / 'SUNRGBD'


def write_sun_toolbox(root: Path) -> Path:
    """The part of the toolbox that is read; its labels are those of `sun_labels`, plus one."""
    toolbox = root / 'SUNRGBDtoolbox'
    (toolbox / 'Metadata').mkdir(parents=True)
    (toolbox / 'traintestSUNRGBD').mkdir()
    # In another order than the frames have on disk.
    frames = list(SUN_FRAMES)[::-1]
    kind = [('rgbpath', object), ('sensorType', object)]
    meta = np.array([[(f'{SUN_MACHINE}{f}/image/f.jpg', 'kv1') for f in frames]], kind)
    scipy.io.savemat(toolbox / 'Metadata' / 'SUNRGBDMeta.mat', {'SUNRGBDMeta': meta})

    def fill(file: h5py.File) -> None:
        references = [
            file.create_dataset(f'#refs#/{index}', data=toolbox_labels(root / name).T).ref
            for index, name in enumerate(frames)
        ]
        file['SUNRGBD2Dseg/seglabel'] = np.array(references, h5py.ref_dtype)[:, None]

    save_matlab73(toolbox / 'Metadata' / 'SUNRGBD2Dseg.mat', fill)
    paths = [f'{SUN_MACHINE}{name}' for name in frames]
    split = {'alltrain': cells(paths[2:]), 'alltest': cells(paths[:2])}
    scipy.io.savemat(toolbox / 'traintestSUNRGBD' / 'allsplit.mat', split)
    return toolbox


def toolbox_labels(folder: Path) -> np.ndarray:
    """What `write_sun_toolbox` says of a frame: other labels than seg.mat, up to 37."""
    labels = sun_labels(folder)
    return np.where(labels == 25, np.uint8(37), labels)


def zip_folder(folder: Path, path: Path) -> Path:
    """An archive of everything in `folder`."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, file.relative_to(folder.parent))
    return path
