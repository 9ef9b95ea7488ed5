# SPDX-License-Identifier: Apache-2.0
"""Write depth images in the encodings that can guide S-Conv, one file for each image:

  hha      ID_hha.png, 8 bits, (red, green, blue) = (disparity, height, angle);
           OpenCV reads BGR: (angle, height, disparity). Missing depth is 0
  xyz      ID_xyz.npy, (H, W, 3) float32, metres: right, down, forward. Missing depth is NaN
  normals  ID_normals.png, 8 bits, 128 + 127 n, (red, green, blue) = (right, down, forward),
           unit normals pointing away from the camera. Missing depth is 0
  sheet    ID_sheet.png, a figure of colour, depth and all encodings

Depth comes from a dataset folder, or from 16-bit PNGs (files or folders) with --camera.
Existing files are kept, so an interrupted run continues when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import add_options, check_depth_image, check_positive, parse_camera
from sgnet_core.errors import DataError, InputError

if TYPE_CHECKING:
    from sgnet_core.data.encoding_files import DepthImage
    from sgnet_core.types import Gravity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('encoding', choices=('hha', 'xyz', 'normals', 'sheet'))
    depth = 'dataset folder with a dataset.yaml, or 16-bit PNGs, or folders of them'
    add('depth', type=Path, nargs='+', metavar='DEPTH', help=depth)
    add_options(parser, 'out', required=True)
    add_options(parser, 'split', 'limit', 'camera', 'depth-scale')
    invalid = 'PNG value that marks missing depth; repeatable (default: 0)'
    add('--depth-invalid', type=int, metavar='N', action='append', help=invalid)
    add(
        '--gravity',
        metavar='HOW',
        help='gravity for hha and sheet: estimate (default, from each image), level (the camera is '
        'level), or the direction X,Y,Z (right, down, forward), as in --gravity=0,0.94,0.34',
    )
    height = (
        'camera height above the ground, for hha and sheet (default: the lowest point of each '
        'image is on the ground)'
    )
    add('--camera-height', type=float, metavar='M', help=height)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from sgnet_core.data.encoding_files import ENCODINGS
    from sgnet_core.io.paths import inside

    check_positive(args, 'limit')
    if args.encoding in ('xyz', 'normals') and (args.gravity or args.camera_height is not None):
        raise InputError(f'--gravity and --camera-height do not apply to {args.encoding}')
    gravity_of = _gravity_source(args)
    images = dict(list(_images(args).items())[: args.limit])
    suffix, write = ENCODINGS[args.encoding]
    _check_options(args)
    files = {name: inside(args.out, f'{name}{suffix}', writing=True) for name in images}
    todo = [name for name in images if not files[name].is_file()]
    done = len(images) - len(todo)
    bar = tqdm(todo, args.encoding, len(images), initial=done, unit='image', disable=None)
    try:
        for name in bar:
            image = images[name]()
            write(files[name], image, gravity_of(image))
            done += 1
    except KeyboardInterrupt:
        text = f'{args.out}: {done} of {len(images)} images; the same command continues'
        print(text, file=sys.stderr)
        raise
    print(f'{args.out}: {len(todo)} images encoded, {len(images) - len(todo)} existed')
    return 0


def _gravity_source(args: argparse.Namespace) -> Callable[[DepthImage], Gravity | None]:
    """A function that gives the gravity of an image by --gravity and --camera-height."""
    from sgnet_core.geometry.gravity import estimate_gravity
    from sgnet_core.types import Gravity

    how, height_m = args.gravity or 'estimate', args.camera_height
    if how == 'estimate':
        if height_m is None:
            return lambda image: None
        Gravity((0, 1, 0), height_m)  # rejects an invalid height before the first image
        return lambda image: replace(
            estimate_gravity(image.depth_m, image.intrinsics), camera_height_m=height_m
        )
    try:
        down = [0.0, 1.0, 0.0] if how == 'level' else [float(value) for value in how.split(',')]
    except ValueError as error:
        raise InputError(f'--gravity must be estimate, level or X,Y,Z, got {how!r}') from error
    known = Gravity(down, height_m)
    return lambda image: known


def _images(args: argparse.Namespace) -> dict[str, Callable[[], DepthImage]]:
    """Name -> function that reads the depth image."""
    from sgnet_core.data.dataset_config import DATASET_FILE

    if any((path / DATASET_FILE).is_file() for path in args.depth):
        if len(args.depth) > 1:
            raise InputError(f'{args.depth[0]} and {len(args.depth) - 1} more: give one dataset')
        if args.camera or args.depth_scale is not None or args.depth_invalid:
            raise InputError(
                f'--camera, --depth-scale and --depth-invalid are for PNGs; {args.depth[0]} has '
                f'them in its {DATASET_FILE}'
            )
        return _dataset_images(args.depth[0], args.split)
    if args.split is not None:
        raise InputError(f'--split is for datasets; {args.depth[0]} has no {DATASET_FILE}')
    return _png_images(args)


def _dataset_images(root: Path, split: str | None) -> dict[str, Callable[[], DepthImage]]:
    from sgnet_core.data.encoding_files import DepthImage
    from sgnet_core.data.folder_dataset import FolderDataset

    data = FolderDataset(root, split, labels=False)

    def image_of(sample_id: str) -> DepthImage:
        frame = data.load(sample_id).frame
        return DepthImage(frame.depth_m, frame.intrinsics, frame.rgb)

    return {sample_id: lambda sample_id=sample_id: image_of(sample_id) for sample_id in data.ids}


def _png_images(args: argparse.Namespace) -> dict[str, Callable[[], DepthImage]]:
    import numpy as np

    from sgnet_core.data.encoding_files import DepthImage
    from sgnet_core.io.images import MILLIMETRE, read_depth
    from sgnet_core.types import CameraIntrinsics

    camera = parse_camera(args.camera)
    if camera is None:
        raise InputError('PNGs need --camera FX,FY,CX,CY; a dataset has it in its dataset.yaml')
    scale = MILLIMETRE if args.depth_scale is None else args.depth_scale
    if not 0 < scale < float('inf'):
        raise InputError(f'--depth-scale must be above 0, in metres per unit, got {scale}')

    checked = []

    def image_of(path: Path) -> DepthImage:
        # Divided in float64, HHA equals that of the MATLAB program to the last grey level.
        raw = read_depth(path, 1.0, args.depth_invalid or (0,)).astype(np.float64)
        depth_m = raw / (1 / scale)
        intrinsics = CameraIntrinsics(*depth_m.shape[::-1], *camera)
        if not checked:
            checked.append(path)
            check_depth_image(path, raw, scale, intrinsics)
        return DepthImage(depth_m, intrinsics)

    images: dict[str, Callable[[], DepthImage]] = {}
    for path in _png_files(args.depth):
        if path.parent.resolve() == args.out.resolve():
            raise InputError(
                f'--out {args.out} is the folder of {path.name}; choose another folder'
            )
        if path.stem in images:
            raise InputError(f'{path}: a second {path.stem}; encode it into another folder')
        images[path.stem] = lambda path=path: image_of(path)
    return images


def _png_files(paths: list[Path]) -> list[Path]:
    from sgnet_core.data.folder_dataset import natural_order

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob('*.png'), key=lambda file: natural_order(file.name))
            if not found:
                raise DataError(f'{path}: neither dataset.yaml nor .png files; give their folder')
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f'{path}: no such file; give depth images or their folder')
    return files


def _check_options(args: argparse.Namespace) -> None:
    """Record the options in the output folder, or compare them with the recorded ones."""
    import json

    from sgnet_core.io.files import write_file
    from sgnet_core.io.text_files import read_text

    keys = ('encoding', 'gravity', 'camera_height', 'camera', 'depth_scale', 'depth_invalid')
    recipe = {key: getattr(args, key) for key in keys}
    recipe['gravity'] = args.gravity or 'estimate'
    path = args.out / f'{args.encoding}.json'
    begun = read_text(path) if path.is_file() else None
    text = json.dumps(recipe) + '\n'
    if begun is None:
        write_file(path, text)
    elif begun != text:
        raise InputError(
            f'{args.out}: begun as {begun.strip()}, this is {text.strip()}; repeat that command, '
            'delete the folder or choose another one'
        )
