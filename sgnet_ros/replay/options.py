# SPDX-License-Identifier: Apache-2.0
"""Options of `evaluate_bag --live` and their meaning for node and player."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sgnet_core.cli.options import add_options, check_positive, parse_camera
from sgnet_core.errors import InputError
from sgnet_ros.bag.options import frame_topics, parse_pose
from sgnet_ros.compat.launch_checks import check_parameter_file

if TYPE_CHECKING:
    from sgnet_ros.replay.session import ReplayConfig

ONLINE_ONLY = ('rate', 'lossless', 'params_file', 'param', 'node')
STARTED_NODE_ONLY = ('checkpoint', 'device', 'precision', 'backend', 'params_file', 'param')
"""Options for a node that is started; not allowed with `--node`."""


def add_online_options(parser: argparse.ArgumentParser) -> None:
    """Add `--live` and its options."""
    live = parser.add_argument_group('live', 'evaluate the masks of the node and their latency')
    live.add_argument('--live', action='store_true', help='start the node and play the bag to it')
    add_options(live, 'rate', metavar='X', help='playback speed factor (default: 1)')
    live.add_argument(
        '--lossless',
        action='store_true',
        help='set queue.policy:=all and wait for masks: counts equal those without --live',
    )
    live.add_argument(
        '--params-file',
        type=Path,
        metavar='FILE',
        help='parameter file of the node; sync.mode and sync.slop are options of this command',
    )
    live.add_argument(
        '--param', action='append', metavar='NAME:=VALUE', help='parameter of the node; repeatable'
    )
    live.add_argument(
        '--node',
        metavar='NAME',
        help='use a running node, for example /segmentation, with the same pairing and camera',
    )


def check_online_options(args: argparse.Namespace) -> None:
    """Raise InputError if options contradict each other."""
    if not args.live:
        given = next((name for name in ONLINE_ONLY if getattr(args, name)), None)
        if given:
            raise InputError(f'--{given.replace("_", "-")} needs --live')
    check_positive(args, 'rate')
    if args.params_file is not None:
        check_parameter_file(args.params_file, '/segmentation')
    if args.node is None:
        return
    if not args.node.startswith('/'):
        raise InputError(f'--node must begin with /, as in /segmentation, got {args.node!r}')
    given = next(
        (name for name in STARTED_NODE_ONLY if getattr(args, name) not in (None, 'auto')), None
    )
    if given:
        raise InputError(
            f'--{given.replace("_", "-")} is for a node that is started; {args.node} is already '
            'running: set it there'
        )


def replay_config(args: argparse.Namespace, logs: Path, frames: int) -> ReplayConfig:
    """The replay from the options; raises InputError for an invalid `--param`."""
    from sgnet_ros.replay.session import ReplayConfig

    streams = ['rgb', 'depth']
    streams += [] if args.camera else ['camera_info']
    streams += ['depth_camera_info'] if args.extrinsics else []
    return ReplayConfig(
        args.bag,
        logs,
        topics=frame_topics(args),
        streams=tuple(streams),
        rate=args.rate or 1.0,
        lossless=args.lossless,
        node=args.node,
        parameters=node_parameters(args),
        params_file=args.params_file,
        frames=frames,
    )


def node_parameters(args: argparse.Namespace) -> dict[str, str]:
    """The parameters of the node from the options; other values come from `--params-file`."""
    given = {'device': args.device, 'precision': args.precision, 'backend': args.backend}
    parameters = {name: value for name, value in given.items() if value != 'auto'}
    # Always set: node and evaluator must make the same pairs.
    parameters |= {'sync.mode': args.sync_mode, 'sync.slop': str(args.sync_slop)}
    if args.checkpoint:
        parameters['checkpoint'] = str(Path(args.checkpoint).resolve())
    if args.camera:
        names = ('camera.fx', 'camera.fy', 'camera.cx', 'camera.cy')
        parameters |= zip(names, map(str, parse_camera(args.camera)), strict=True)
    if args.extrinsics:
        parameters['depth.register'] = 'true'
        parameters['depth.extrinsics'] = str(parse_pose(args.extrinsics))
    if args.depth_scale:
        parameters['depth.scale'] = str(args.depth_scale)
    for text in args.param or ():
        name, assigned, value = text.partition(':=')
        if not name or not assigned:
            raise InputError(f'--param must be NAME:=VALUE, as in max_rate:=5.0, got {text!r}')
        if name.startswith('sync.'):
            raise InputError(f'{name} also applies to the evaluator: use --sync-mode, --sync-slop')
        parameters[name] = value
    return parameters
