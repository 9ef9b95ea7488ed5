# SPDX-License-Identifier: Apache-2.0
"""Show masks in a browser: of a running node, or of a bag or dataset folder.

Without SOURCE, the outputs of a running node are shown; a slow or closed viewer never delays it.
With SOURCE, its frames are segmented here, without ROS topics. The page has colour, depth, mask
(class names on hover), points, legend, latency and drops. Needs the pip extra view (rerun-sdk).
Ctrl-C ends the viewer.
"""

import argparse
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sgnet_core.cli.options import add_options, check_positive, up_to
from sgnet_core.errors import InputError
from sgnet_ros.bag import options

NICENESS = 10
"""Where cores are scarce, the node comes first."""

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    port = {'type': up_to(65535), 'metavar': 'PORT'}
    parser.add_argument(
        'source',
        type=Path,
        nargs='?',
        metavar='SOURCE',
        help='bag, or dataset folder with a dataset.yaml (default: a running node)',
    )
    parser.add_argument(
        '--node',
        default='/segmentation',
        metavar='NAME',
        help='name and namespace of the running node (default: /segmentation)',
    )
    parser.add_argument('--port', default=9090, help='port of the page (default: 9090)', **port)
    parser.add_argument('--data-port', default=9876, help='of its data (default: 9876)', **port)
    parser.add_argument(
        '--save', type=Path, metavar='FILE', help='write a recording (.rrd) instead of serving it'
    )
    add_options(
        parser, 'rate', default=5.0, help='largest frame rate of a running node (default: 5)'
    )
    add_options(parser, 'split', 'limit', 'checkpoint', 'device')
    options.add_frame_options(parser)


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'limit', 'rate')
    if args.save is not None and not args.save.resolve().parent.is_dir():
        raise InputError(f'--save {args.save}: there is no folder {args.save.parent}')
    if args.source is not None and not args.source.exists():
        raise InputError(f'no bag or dataset folder at {args.source}')
    from sgnet_ros.compat.signals import interruptible
    from sgnet_ros.viewer.scene import Scene

    scene = Scene()
    with interruptible() as stop:
        if args.save is not None:
            scene.save(args.save)
        else:
            print(scene.serve(args.port, args.data_port), flush=True)
        try:
            if args.source is None:
                _show_node(args, scene, stop)
            else:
                count = _show_source(args, scene, stop)
                print(f'{count} frames of {args.source}', flush=True)
                if args.save is None:
                    stop.wait()
        finally:
            scene.close()
    return 0


def _show_node(args, scene, stop) -> None:
    from sgnet_ros.compat.dds_profile import large_image_profile

    os.nice(NICENESS)
    os.environ.update(large_image_profile(os.environ))
    from sgnet_ros.compat.ros_node import ros_node
    from sgnet_ros.viewer.live import LiveView

    with ros_node('view') as ros:
        LiveView(ros, f'/{args.node.strip("/")}', scene, args.rate).run(stop)


def _show_source(args, scene, stop) -> int:
    from sgnet_core.inference.segmenter import Segmenter  # isort: skip  torch comes before cv2

    import numpy as np

    from sgnet_core.geometry.point_map import depth_to_xyz

    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device)
    scene.set_classes(segmenter.class_names, segmenter.palette)
    count = 0
    for stamp_ns, frame, dropped in _frames(args):
        if stop.is_set() or count == args.limit:
            break
        start = time.perf_counter()
        labels = segmenter.segment(frame).labels
        curves = {'latency_ms/segment': (time.perf_counter() - start) * 1e3, **dropped}
        xyz = np.moveaxis(depth_to_xyz(frame.depth_m, frame.intrinsics), -3, -1)
        scene.log_frame(stamp_ns, frame.rgb, xyz, labels)
        scene.log_curves(stamp_ns, curves)
        count += 1
    return count


def _frames(args: argparse.Namespace) -> Iterator[tuple[int, object, dict[str, int]]]:
    """Stamp in ns, frame, curves of unpaired messages; a folder has a frame a second."""
    if (args.source / 'dataset.yaml').exists():
        from sgnet_core.data.folder_dataset import FolderDataset

        dataset = FolderDataset(args.source, args.split, labels=False)
        for index in range(len(dataset)):
            yield index * 1_000_000_000, dataset[index].frame, {}
        return
    from dataclasses import replace

    from sgnet_ros.bag.frames import stamp_of
    from sgnet_ros.bag.reader import Bag

    with Bag(args.source) as bag:
        topics = replace(options.frame_topics(args), labels=None)
        frames = options.open_frames(bag, args, topics)
        sample = None
        for sample in frames:
            dropped = {f'dropped/{cause}': count for cause, count in frames.dropped.items()}
            yield stamp_of(sample), sample.frame, dropped
        if bag.damage:
            _logger.warning('%s', bag.damage)
        if sample is None:
            raise options.no_frame_error(bag, frames)
