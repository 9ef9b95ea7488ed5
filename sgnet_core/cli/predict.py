# SPDX-License-Identifier: Apache-2.0
"""Segment frames; write ID_mask.png (class ids) and ID_overlay.png for each, and masks.mp4 of all.

Frames come from a dataset folder (--data) or from one pair of files (--rgb and --depth).
With --sampling-points, ID_sampling.png shows where the S-Convs of the network sample for a pixel
and how far each layer moves its sampling points.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import (
    add_old_name,
    add_options,
    check_depth_image,
    check_positive,
    parse_camera,
)
from sgnet_core.errors import InputError

if TYPE_CHECKING:
    from sgnet_core.types import Sample


VIDEO_RATE_HZ = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_options(parser, 'data', 'split', 'limit')
    add('--rgb', type=Path, metavar='FILE', help='one colour image')
    add('--depth', type=Path, metavar='FILE', help='16-bit PNG registered to --rgb, 0 = missing')
    add_options(parser, 'depth-scale', default=0.001)
    add_options(parser, 'camera')
    points = 'draw the sampling points for column U, row V of the colour image, from 0; repeatable'
    new = add('--sampling-points', metavar='U,V', action='append', default=[], help=points)
    add_old_name(parser, '--taps', new)
    add('--no-video', action='store_true', help='do not write masks.mp4, which takes half the time')
    add_options(parser, 'out', required=True)
    add_options(parser, 'checkpoint', 'device', 'precision', 'backend')


def run(args: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from sgnet_core.inference.segmenter import Segmenter
    from sgnet_core.io.images import write_mask, write_rgb
    from sgnet_core.io.paths import inside
    from sgnet_core.visualization.legend import legend
    from sgnet_core.visualization.overlay import overlay_image
    from sgnet_core.visualization.region_names import write_region_names
    from sgnet_core.visualization.sampling_figure import sampling_figure
    from sgnet_core.visualization.video import mask_video

    pixels = [_pixel(text) for text in args.sampling_points]
    samples, total = _samples(args)
    # Only torch gives sampling locations.
    backend = 'torch' if pixels and args.backend == 'auto' else args.backend
    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device, args.precision, backend)
    args.out.mkdir(parents=True, exist_ok=True)
    names, palette = segmenter.class_names, segmenter.palette
    with ExitStack() as stack:
        add_to_video = None
        if total > 1 and not args.no_video:
            video = mask_video(args.out / 'masks.mp4', VIDEO_RATE_HZ, names, palette)
            add_to_video = stack.enter_context(video)
        for sample in tqdm(samples, 'predict', total, unit='frame', disable=None):
            if pixels:
                # First, because an invalid pixel is an error.
                layers = segmenter.sampling(sample.frame)
                title = f'Where S-Conv samples: {sample.id}'
                figure = sampling_figure(sample.frame, layers, pixels, title, segmenter.description)
                write_rgb(inside(args.out, f'{sample.id}_sampling.png', writing=True), figure)
            labels = segmenter.segment(sample.frame).labels
            picture = overlay_image(sample.frame.rgb, labels, palette)
            write_region_names(picture, labels, names)
            key = legend(names, palette, np.unique(labels), width=picture.shape[1])
            write_mask(inside(args.out, f'{sample.id}_mask.png', writing=True), labels)
            overlay = inside(args.out, f'{sample.id}_overlay.png', writing=True)
            write_rgb(overlay, np.vstack([picture, key]))
            if add_to_video:
                add_to_video(picture, labels)
    print(f'{total} frames segmented by {segmenter.description}: {args.out}')
    return 0


def _pixel(text: str) -> tuple[int, int]:
    try:
        column, row = (int(value) for value in text.split(','))
    except ValueError as error:
        raise InputError(
            f'--sampling-points must be U,V, column and row of a pixel of the colour image, '
            f'got {text!r}'
        ) from error
    return column, row


def _samples(args: argparse.Namespace) -> tuple[Iterable[Sample], int]:
    from sgnet_core.data.folder_dataset import FolderDataset

    if (args.data is None) == (args.rgb is None):
        raise InputError('give --data DIR, or --rgb IMAGE with --depth and --camera')
    check_positive(args, 'limit', 'depth_scale')
    if args.data is None:
        return [_sample_from_files(args)], 1
    data = FolderDataset(args.data, args.split, labels=False)
    total = min(len(data), args.limit or len(data))
    return (data[i] for i in range(total)), total


def _sample_from_files(args: argparse.Namespace) -> Sample:
    from sgnet_core.io.images import read_depth, read_rgb
    from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

    if args.depth is None or args.camera is None:
        raise InputError('--rgb needs --depth IMAGE and --camera FX,FY,CX,CY')
    rgb = read_rgb(args.rgb)
    depth_m = read_depth(args.depth, args.depth_scale, (0,))
    intrinsics = CameraIntrinsics(rgb.shape[1], rgb.shape[0], *parse_camera(args.camera))
    check_depth_image(args.depth, depth_m / args.depth_scale, args.depth_scale, intrinsics)
    return Sample(args.rgb.stem, RgbdFrame(rgb, depth_m, intrinsics))
