# SPDX-License-Identifier: Apache-2.0
"""Publish a bag over ROS 2 at its recorded rate.

Reads rosbag2 (MCAP, SQLite) and rosbag1; needs no ros2bag. Publishers are reliable, so that
subscribers of either reliability receive them; latched topics are transient local. Stamps stay as
recorded unless --restamp is given. Ends with the bag, with --loop on Ctrl-C.
"""

import argparse
import os
from contextlib import contextmanager

from sgnet_core.cli.options import add_old_name, add_options, check_positive
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
        default=0.0,
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
    parser.add_argument(
        '--lossless',
        metavar='TOPIC',
        help='limit the images in flight: wait for masks with the stamps of earlier images on '
        'TOPIC, so that a slow node drops no frame; --topics must be the inputs of that node',
    )
    add_old_name(parser, '--wait-for-answers', '--lossless')
    parser.add_argument(
        '--start-delay',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='delay before the first message, after --wait-for-subscribers (default: 0)',
    )
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    _check(args)
    from sgnet_ros.compat.dds_profile import large_image_profile

    os.environ.update(large_image_profile(os.environ))
    from sgnet_ros.bag.flow_control import BackPressure
    from sgnet_ros.bag.player import BagPlayer
    from sgnet_ros.bag.reader import Bag
    from sgnet_ros.compat.signals import interruptible

    with Bag(args.bag) as bag, _ros_node('play_bag') as node, interruptible() as stop:
        back_pressure = BackPressure(node, args.lossless) if args.lossless else None
        player = BagPlayer(
            bag, node, args.topics, args.rate, args.restamp, args.clock, back_pressure
        )
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
            summary['stamps_ns'] = {str(old): new for old, new in player.restamped.items()}
            summary['published_ns'] = {str(old): at for old, at in player.published_ns.items()}
        damage = bag.damage
    if args.json != '-':
        sent = sum(summary['messages'].values())
        print(f'play_bag: {sent} messages on {len(summary["messages"])} topics sent')
    if args.json:
        write_json(args.json, summary)
    if stop.is_set():
        raise KeyboardInterrupt
    if damage:
        raise SgnetError(f'{damage}; everything before that was played')
    return 0


def _check(args: argparse.Namespace) -> None:
    check_positive(args, 'rate')
    if args.clock < 0:
        raise InputError(f'--clock must be a frequency in Hz above 0, got {args.clock:g}')
    if args.clock and args.restamp:
        raise InputError(
            "--clock and --restamp contradict each other: /clock is the bag's time, --restamp "
            'shifts stamps to wall time; give one of them'
        )


def _play(player, bag, stop, loop: bool) -> int:
    """Play once, or until `stop`; the number of passes that reached the end."""
    from tqdm import tqdm

    passes = 0
    count = sum(bag.topics[name].count for name in player.sent)
    if count == 0:
        raise DataError(f'{bag.path}: there is no message on {", ".join(player.sent)}')
    total = None if loop else count
    with tqdm(total=total, unit='message', disable=None) as progress:
        while not stop.is_set():
            player.play(stop, on_message=lambda message: progress.update())
            passes += not stop.is_set()
            if not loop or bag.damage:
                break
    return passes


@contextmanager
def _ros_node(name: str):
    """A node that nobody spins: publishers work without."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown()
