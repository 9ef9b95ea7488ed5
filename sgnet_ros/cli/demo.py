# SPDX-License-Identifier: Apache-2.0
"""Replay generated rooms through the node over ROS 2; write metrics and pictures.

Writes a bag of generated rooms (or of a dataset folder). Starts play_bag and segmentation_node as
separate processes that communicate over DDS. Records the masks and reports counts, latency, mIoU
against exact labels, and pictures. Needs no camera, no display and no ROS distribution; takes about
a minute.
"""

import argparse
import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.io.files import check_new_folder, no_follow, write_json

FRAMES_PER_ROOM = 20
METRICS, SHEET, OVERLAYS, VIDEO = 'metrics.json', 'contact_sheet.png', 'overlays', 'masks.mp4'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--frames', type=Path, metavar='DIR', help='dataset to show (default: generated rooms)'
    )
    add_options(parser, 'split')
    add_options(parser, 'rate', default=5.0, help='frame rate in Hz (default: 5)')
    parser.add_argument(
        '--count',
        type=int,
        default=100,
        metavar='N',
        help='number of frames, evenly spaced over a larger dataset (default: 100)',
    )
    add_options(parser, 'seed', 'checkpoint', 'device')
    add_options(
        parser, 'out', default=Path('demo_output'), help='output folder (default: demo_output)'
    )
    parser.add_argument('--keep-bag', action='store_true', help='keep the bag in --out')
    parser.add_argument(
        '--view',
        action='store_true',
        help='show the frames in a browser, until Ctrl-C; the node then also computes ~/points',
    )


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'count', 'rate')
    from sgnet_ros.compat.dds_profile import large_image_profile
    from sgnet_ros.compat.ros_domain import private_domain
    from sgnet_ros.compat.signals import interruptible

    # The log of the node lists the replaced ROS packages.
    logging.getLogger('sgnet_ros.compat.ros_api').setLevel(logging.WARNING)

    if args.checkpoint and not args.checkpoint.is_file():
        raise InputError(f'no checkpoint at {args.checkpoint}; give a .safetensors file')
    dataset, indices = _choose_frames(args)  # imports torch, which must be before cv2
    if args.view:
        from sgnet_ros.viewer.scene import import_rerun

        import_rerun()
    from sgnet_ros.bag.writer import write_bag

    source = dataset.name if args.frames else 'generated rooms'
    class_names = dataset.class_names if dataset.has_labels else None
    os.environ.update({**private_domain(os.environ), **large_image_profile(os.environ)})
    bag = args.out / 'bag'
    with interruptible() as stop, _output_folder(args.out), _viewer(args) as viewer:
        try:
            print(f'1/3  writing {len(indices)} frames of {source} as a bag', flush=True)
            samples = _samples(dataset, indices, stop)
            write_bag(samples, bag, args.rate, class_names)
            result = _play(args, bag, stop, len(indices))
            metrics = _report(args, source, class_names, bag, result)
        finally:
            if not args.keep_bag:
                shutil.rmtree(bag, ignore_errors=True)
        if not metrics['masks']:
            raise SgnetError(f'no mask arrived; see {args.out / "segmentation_node.log"}')
        if viewer:
            viewer.check()
            print('the browser still shows the frames; Ctrl-C ends the viewer', flush=True)
            stop.wait()
    return 0


@contextmanager
def _viewer(args: argparse.Namespace):
    """The process of the viewer, or None."""
    if not args.view:
        yield None
        return
    from sgnet_ros.replay.child_process import ChildProcess
    from sgnet_ros.viewer.scene import viewer_address

    with ChildProcess('view', ['view'], args.out / 'view.log') as process:
        print(f'watch: {viewer_address()}', flush=True)
        yield process


def _choose_frames(args: argparse.Namespace):
    """The dataset and the indices of the frames."""
    if args.frames is None:
        from sgnet_core.data.synthetic import RoomDataset

        rooms = RoomDataset(
            args.count, seed=args.seed, frames_per_room=FRAMES_PER_ROOM, rate_hz=args.rate
        )
        return rooms, range(args.count)
    from sgnet_core.data.folder_dataset import FolderDataset
    from sgnet_ros.replay.demo_report import evenly_spread

    folder = FolderDataset(args.frames, split=args.split)
    return folder, evenly_spread(range(len(folder)), args.count)


@contextmanager
def _output_folder(out: Path):
    """Lock the folder and remove the files of an earlier demo."""
    import fcntl

    if not (out / '.lock').exists():
        check_new_folder(out)
    try:
        (out / OVERLAYS).mkdir(parents=True, exist_ok=True)
        lock = open(out / '.lock', 'w', opener=no_follow)  # noqa: SIM115
    except OSError as error:
        raise SgnetError(f'{out} is not writable: {error}') from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f'another demo is writing to {out}; choose another --out') from None
        for file in (out / METRICS, out / SHEET, out / VIDEO, *(out / OVERLAYS).glob('*.png')):
            file.unlink(missing_ok=True)
        shutil.rmtree(out / 'bag', ignore_errors=True)
        yield


def _samples(dataset, indices: Sequence[int], stop):
    from tqdm import tqdm

    for index in tqdm(indices, unit='frame', disable=None):
        if stop.is_set():
            raise KeyboardInterrupt
        yield dataset[index]


def _play(args: argparse.Namespace, bag: Path, stop, frames: int):
    """Play the bag to the node and write the overlays."""
    from sgnet_core.io.images import write_rgb
    from sgnet_ros.replay.session import ReplayConfig, ReplaySession

    print(f'2/3  playing the bag at {args.rate:g} Hz to segmentation_node over DDS', flush=True)
    parameters = {'device': args.device}
    if args.checkpoint:
        parameters['checkpoint'] = str(args.checkpoint.resolve())
    folder = args.out / OVERLAYS
    # During the replay, only the stamps sent are known.
    result = ReplaySession(
        ReplayConfig(bag, args.out, parameters=parameters, frames=frames),
        stop,
        lambda sent_ns, image: write_rgb(folder / f'{sent_ns}.png', image),
    ).run()
    if stop.is_set():
        raise KeyboardInterrupt
    for number, sent_ns in enumerate(result.sent_stamps.values()):
        overlay = folder / f'{sent_ns}.png'
        if overlay.exists():
            overlay.rename(folder / f'frame_{number:06d}.png')
    return result


def _report(args: argparse.Namespace, source: str, class_names, bag: Path, result) -> dict:
    """Write and print the metrics, write the contact sheet; returns the metrics."""
    from sgnet_core.io.images import write_rgb
    from sgnet_ros.replay.demo_report import compare, contact_sheet_of, write_video
    from sgnet_ros.replay.result import table

    print('3/3  comparing masks with labels\n', flush=True)
    scores, selected = compare(bag, result, class_names)
    metrics = {
        'source': source,
        'network': result.about.get('network', ''),
        'rate_hz': args.rate,
        **result.metrics(),
        **scores,
    }
    write_json(args.out / METRICS, metrics)
    print(table(metrics))
    if selected:
        write_rgb(args.out / SHEET, contact_sheet_of(selected, result, metrics))
        write_video(args.out / VIDEO, args.out / OVERLAYS, result, args.rate)
        pictures = f'contact sheet: {args.out / SHEET}; overlays: {args.out / OVERLAYS}'
        print(f'\n{pictures}; video: {args.out / VIDEO}')
    return metrics
