# SPDX-License-Identifier: Apache-2.0
"""Publish a bag over ROS 2 at the pace it was recorded.

Reads rosbag2 (MCAP, SQLite) and rosbag1; needs no ros2bag. Publishers are reliable, so that
subscribers of either reliability receive them; latched topics are transient local. Stamps stay as
recorded unless --restamp is given. Ends with the bag, with --loop on Ctrl-C.
"""

import argparse
import os
from contextlib import contextmanager
from pathlib import Path

from sgnet_core.cli import write_json
from sgnet_core.errors import DataError, InputError, SgnetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('bag', type=Path, help='rosbag2 folder, .mcap, .db3 or rosbag1 .bag file')
    parser.add_argument('--rate', type=float, default=1.0, help='speed, 2 = twice (default 1)')
    parser.add_argument('--loop', action='store_true', help='start again at the end')
    parser.add_argument(
        '--clock',
        type=float,
        nargs='?',
        const=100.0,
        default=0.0,
        metavar='HZ',
        help="publish the bag's time on /clock (default 100 Hz), for nodes with use_sim_time",
    )
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', help='play only these')
    parser.add_argument(
        '--restamp',
        action='store_true',
        help='shift the stamps of headers so that the first is the present',
    )
    parser.add_argument(
        '--wait-for-subscribers',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='wait up to so long until every played topic has a subscriber, fail if one has none',
    )
    parser.add_argument(
        '--wait-for-answers',
        metavar='TOPIC',
        help='of a node: hold images back until the masks (images of the same stamp) of earlier '
        'ones have come on TOPIC, so that no frame is lost however slow it is; --topics are those '
        'of the node',
    )
    parser.add_argument(
        '--start-delay',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='wait before the first message (after the subscribers are there)',
    )
    parser.add_argument('--json', metavar='FILE', help='write what was sent; - = standard output')


def run(args: argparse.Namespace) -> int:
    _check(args)
    from sgnet_ros.dds_profile import large_image_profile

    os.environ.update(large_image_profile(os.environ))
    from sgnet_ros.bags import Bag
    from sgnet_ros.bags_answers import Answers
    from sgnet_ros.bags_player import BagPlayer
    from sgnet_ros.interruption import interruptible

    with Bag(args.bag) as bag, _ros_node('play_bag') as node, interruptible() as stop:
        answers = Answers(node, args.wait_for_answers) if args.wait_for_answers else None
        player = BagPlayer(bag, node, args.topics, args.rate, args.restamp, args.clock, answers)
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
    if not args.rate > 0:
        raise InputError(f'--rate must be above 0, got {args.rate:g}')
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
