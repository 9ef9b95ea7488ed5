# SPDX-License-Identifier: Apache-2.0
"""Write a dataset folder as a rosbag2: colour, registered depth, camera_info, labels and poses.

Topics are those of a RealSense camera under /camera/camera. Labels, if the dataset has them, are on
/camera/camera/labels/image_raw (mono8, 255 = unlabelled), poses on /tf (from odom to the camera).
Depth is 16UC1 in millimetres. The same dataset always gives the same bag.
"""

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.io.files import write_json

_logger = logging.getLogger(__name__)

DEFAULT_RATE_HZ = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('dataset', type=Path, metavar='DATASET', help='dataset folder, with a dataset.yaml')
    add('out', type=Path, metavar='OUT', help='bag folder to create; must not exist')
    add_options(parser, 'split')
    add(
        '--storage',
        choices=('mcap', 'sqlite3'),
        default='mcap',
        help='storage format of the bag (default: mcap)',
    )
    add_options(parser, 'rate', help=f'frame rate (default: as recorded, else {DEFAULT_RATE_HZ:g})')
    add_options(
        parser, 'depth-scale', help='metres per unit of the dataset (default: its depth_scale)'
    )
    add_options(parser, 'limit', 'json')


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'limit', 'rate', 'depth_scale')
    from tqdm import tqdm

    from sgnet_core.data.folder_dataset import FolderDataset
    from sgnet_ros.bag.writer import write_bag
    from sgnet_ros.compat.signals import interruptible

    dataset = FolderDataset(args.dataset, split=args.split, depth_scale=args.depth_scale)
    count = min(len(dataset), args.limit or len(dataset))
    rate_hz = args.rate or dataset.rate_hz or DEFAULT_RATE_HZ
    class_names = dataset.class_names if dataset.has_labels else None
    with interruptible() as stop:
        indices = tqdm(range(count), unit='frame', disable=None)
        samples = (dataset[index] for index in indices if not stop.is_set())
        bag = write_bag(samples, args.out, rate_hz, class_names, args.storage)
    if bag.largest_depth_error_m > 0:
        _logger.warning(
            'depth is rounded to the millimetres of the bag, by up to %.2f mm',
            bag.largest_depth_error_m * 1e3,
        )
    if bag.lost_depth_pixels:
        _logger.warning(
            '%d pixels have no measurement in the bag: their depth is 0, or 65.535 m or more',
            bag.lost_depth_pixels,
        )
    if args.json != '-':
        labels = f'{len(class_names)} classes' if class_names else 'no labels'
        print(f'frames_to_bag: {bag.frames} frames at {rate_hz:g} Hz, {labels}: {args.out}')
    if args.json:
        summary = {'rate_hz': rate_hz, 'labels': class_names is not None}
        write_json(args.json, asdict(bag) | summary)
    if stop.is_set():
        raise KeyboardInterrupt
    return 0
