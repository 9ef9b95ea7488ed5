# SPDX-License-Identifier: Apache-2.0
"""Publish a bag over ROS 2 at its recorded rate.

Reads rosbag2 (MCAP, SQLite) and rosbag1; needs no ros2bag. Publishers are reliable, so that
subscribers of either reliability receive them; latched topics are transient local. Stamps stay as
recorded unless --restamp is given. Ends with the bag, with --loop on Ctrl-C.
"""

import argparse
import os

from sgnet_core.cli.options import add_old_name, add_options, check_positive, check_seconds
from sgnet_core.errors import DataError, InputError, SgnetError
from sgnet_core.io.files import write_json
from sgnet_ros.bag.options import add_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bag(parser)
    add_options(parser, 'rate', default=1.0, metavar='X', help='speed factor (default: 1)')
    parser.add_argument('--loop', action='store_true', help='restart at the end, until Ctrl-C')
    parser.add_argument(
        '--clock',
        type=float,
        nargs='?',
        const=100.0,
        metavar='HZ',
        help='publish the time of the bag on /clock, for nodes with use_sim_time; without HZ, at '
        '100 Hz',
    )
    parser.add_argument(
        '--topics', nargs='+', metavar='TOPIC', help='topics to play (default: all)'
    )
    parser.add_argument(
        '--restamp',
        action='store_true',
        help='shift header stamps so that the first one is the current time',
    )
    parser.add_argument(
        '--wait-for-subscribers',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='wait up to SECONDS for a subscriber on every topic; fail if one has none',
    )
    lossless = parser.add_argument(
        '--lossless',
        metavar='TOPIC',
        help='limit the images in flight: wait for masks with the stamps of earlier images on '
        'TOPIC, so that a slow node drops no frame; --topics must be the inputs of that node',
    )
    add_old_name(parser, '--wait-for-answers', lossless)
    parser.add_argument(
        '--start-delay',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='delay before the first message, after --wait-for-subscribers (default: 0)',
    )
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    check_positive(args, 'rate', 'clock')
    check_seconds(args, 'wait_for_subscribers', 'start_delay')
    if args.clock and args.restamp:
        raise InputError(
            '--clock and --restamp contradict each other: /clock has the time of the bag, '
            '--restamp shifts stamps to wall time; use one of them'
        )
    from sgnet_ros.compat.dds_profile import large_image_profile

    os.environ.update(large_image_profile(os.environ))
    from sgnet_ros.bag.flow_control import BackPressure
    from sgnet_ros.bag.player import BagPlayer
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.compat.ros_node import ros_node
    from sgnet_ros.compat.signals import interruptible

    with Bag(args.bag) as bag, ros_node('play_bag') as node, interruptible() as stop:
        limit = BackPressure(node, args.lossless) if args.lossless else None
        player = BagPlayer(bag, node, args.topics, args.rate, args.restamp, args.clock, limit)
        if args.wait_for_subscribers:
            player.wait_for_subscribers(args.wait_for_subscribers, stop)
        stop.wait(args.start_delay)
        loops = _play(player, bag, stop, args.loop)
        player.finish()
        summary = {
            'bag': str(args.bag),
            'loops': loops,
            'messages': dict(player.sent),
            'largest_lag_ms': round(player.largest_lag_s * 1e3, 3),
            'damage': bag.damage,
        }
        if args.restamp:
            summary |= {'stamps_ns': player.restamped, 'published_ns': player.published_ns}
    if args.json != '-':
        print(f'play_bag: sent {player.sent.total()} messages on {len(player.sent)} topics')
    write_json(args.json, summary)
    if stop.is_set():
        raise KeyboardInterrupt
    if bag.damage:
        raise SgnetError(f'{bag.damage}; {player.sent.total()} messages were played')
    return 0


def _play(player, bag, stop, loop: bool) -> int:
    """Play once, or with `loop` until `stop`; returns the number of complete passes."""
    from tqdm import tqdm

    passes = 0
    count = sum(bag.topics[name].count for name in player.sent)
    if count == 0:
        raise DataError(f'{bag.path}: no message on {", ".join(player.sent)}')
    with tqdm(total=None if loop else count, unit='message', disable=None) as progress:
        while not stop.is_set():
            player.play(stop, on_message=lambda message: progress.update())
            passes += not stop.is_set()
            if not loop or bag.damage:
                break
    return passes
