# SPDX-License-Identifier: Apache-2.0
"""Replays a bag through the real node: player, node and subscriber, three processes over DDS."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from sgnet_core.errors import SgnetError
from sgnet_ros.bag.frame_topics import COMPRESSED_SUFFIXES, FrameTopics
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, SETTLE_S, ChildProcess
from sgnet_ros.replay.mask_subscriber import MaskSubscriber
from sgnet_ros.replay.result import ReplayResult
from sgnet_ros.topics import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB, TRANSPORTS

DRAIN_TIMEOUT_S = 30.0
"""For the last frame to come through after the player has ended."""
PATIENT_REPORTS = 5
"""Reports of an idle node, one a second, after which a mask that has not come is lost."""
SUBSCRIBER_TIMEOUT_S = 30.0
NODE = '/segmentation'
"""The name, with its namespace, of a node that is started."""


@dataclass(frozen=True)
class ReplayConfig:
    """What is played, and to which node.

    Attributes:
        bag: the bag.
        out: folder for the logs of the processes.
        topics: of the bag.
        streams: which of them are played; names of fields of `topics`.
        rate: speed, 2.0 = twice as fast as recorded.
        lossless: wait for masks rather than lose a frame, however slow the node is.
        node: name, with its namespace, of a node that runs already; None = start one.
        parameters: of a node that is started, as after `-p`; they win over `params_file`.
        params_file: of a node that is started; None = none.
        frames: how many there are, for the progress bar.
    """

    bag: Path
    out: Path
    topics: FrameTopics = field(default_factory=FrameTopics)
    streams: tuple[str, ...] = ('rgb', 'depth', 'camera_info')
    rate: float = 1.0
    lossless: bool = False
    node: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    params_file: Path | None = None
    frames: int | None = None


def run_session(
    run: ReplayConfig,
    stop: threading.Event,
    on_overlay: Callable[[int, np.ndarray], None] | None = None,
    on_ready: Callable[[tuple[str, ...]], None] = lambda class_names: None,
) -> ReplayResult:
    """Play a bag to the node in real time and record what it publishes, to the end.

    Args:
        stop: ends it early; what was seen is returned.
        on_overlay: called with the stamp sent, in ns, and the picture; None = without overlays.
        on_ready: called with the classes of the node before the first frame.

    Raises:
        SgnetError: a process ended by itself, or the node did not get ready; with its last words.
        KeyboardInterrupt: `stop` before the first frame.
    """
    node_json, play_json = run.out / 'segmentation_node.json', run.out / 'play_bag.json'
    for file in (node_json, play_json):
        file.unlink(missing_ok=True)  # of an earlier run
    with _subscriber(run, on_overlay) as subscriber, _node(run, node_json) as node:
        _wait_until_ready(run, subscriber, node, stop)
        on_ready(subscriber.class_names)
        with (
            _start_player(run, play_json) as player,
            tqdm(total=run.frames, unit='mask', disable=None) as progress,
        ):
            while player.running and not stop.is_set():
                _spin(subscriber, node, stop)
                progress.update(len(subscriber.masks) - progress.n)
            player.stop()
            # A bag that is cut off makes it fail as well, but after it has told what it sent.
            if not play_json.exists():
                if stop.is_set():
                    raise KeyboardInterrupt
                player.check()
            _drain(subscriber, node, stop)
            progress.update(len(subscriber.masks) - progress.n)
        if node is not None:
            node.stop()
            node.check()
        # What was published last may still be on its way to us.
        subscriber.spin()
        counts = json.loads(node_json.read_text()) if node else _counts(subscriber.totals)
    return _result(subscriber, json.loads(play_json.read_text()), counts)


def _counts(totals: Mapping[str, int]) -> dict[str, Any]:
    """The counts of the node's reports, in the form of its `--json`."""

    def part(name: str) -> dict[str, int]:
        return {k.removeprefix(name): n for k, n in totals.items() if k.startswith(name)}

    return {
        'received': part('received.'),
        'pairs': totals.get('pairs', 0),
        'masks': totals.get('masks', 0),
        'dropped': part('dropped.'),
        'processing_ms': None,
    }


def _result(
    subscriber: MaskSubscriber, played: dict[str, Any], node: dict[str, Any]
) -> ReplayResult:
    sent_stamps = {int(recorded): sent for recorded, sent in played.pop('stamps_ns').items()}
    recorded_at = {sent: recorded for recorded, sent in sent_stamps.items()}
    published_ns = played.pop('published_ns')
    masks = {}
    for stamp, mask in subscriber.masks.items():
        # In a domain that the user has chosen, somebody else's masks may come by as well.
        if (recorded := recorded_at.get(stamp)) is not None:
            # Unless the bag is played at its own pace, stamps run away from the time.
            early_ms = (stamp - published_ns[str(recorded)]) / 1e6
            masks[recorded] = replace(mask, latency_ms=mask.latency_ms + early_ms)
    return ReplayResult(masks, subscriber.class_names, subscriber.about, played, node, sent_stamps)


@contextmanager
def _subscriber(
    run: ReplayConfig, on_overlay: Callable[[int, np.ndarray], None] | None
) -> Iterator[MaskSubscriber]:
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('mask_subscriber')
    try:
        yield MaskSubscriber(node, on_overlay, run.node or NODE)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _start_player(run: ReplayConfig, json_file: Path) -> ChildProcess:
    argv = ['play_bag', str(run.bag), '--restamp', '--json', str(json_file)]
    argv += ['--rate', str(run.rate)]
    argv += ['--wait-for-subscribers', str(SUBSCRIBER_TIMEOUT_S), '--start-delay', str(SETTLE_S)]
    if run.lossless:
        argv += ['--lossless', f'{run.node or NODE}/mask']
    argv += ['--topics', *(getattr(run.topics, stream) for stream in run.streams)]
    return ChildProcess('play_bag', argv, run.out / 'play_bag.log', os.environ)


def _node(run: ReplayConfig, json_file: Path) -> AbstractContextManager[ChildProcess | None]:
    """The node's process; None where a node runs already."""
    if run.node is not None:
        return nullcontext()
    argv = ['segmentation_node', '--json', str(json_file), *node_arguments(run)]
    return ChildProcess('segmentation_node', argv, run.out / 'segmentation_node.log', os.environ)


def node_arguments(run: ReplayConfig) -> list[str]:
    """What a node is told that is started for `run`, after `--ros-args`."""
    topics = run.topics
    # DDS loses large best-effort images between processes (docs/troubleshooting.md). With reliable
    # inputs, only the node drops images, and it counts them.
    parameters = {'qos.input': 'reliable'}
    remappings = {CAMERA_INFO: topics.camera_info, DEPTH_CAMERA_INFO: topics.depth_camera_info}
    for part, topic in (('rgb', RGB), ('depth', DEPTH)):
        suffix, recorded = COMPRESSED_SUFFIXES[part], getattr(topics, part)
        if recorded.endswith(suffix):
            parameter, _ = TRANSPORTS[topic]
            parameters[parameter] = suffix.removeprefix('/')
        remappings[topic] = recorded.removesuffix(suffix)
    if run.lossless:
        parameters['queue.policy'] = 'all'
    argv = ['--ros-args']
    if run.params_file is not None:
        argv += ['--params-file', str(run.params_file)]
    for name, topic in remappings.items():
        argv += ['-r', f'{name}:={topic}']
    for name, value in {**parameters, **run.parameters}.items():
        argv += ['-p', f'{name}:={value}']
    return argv


def _spin(subscriber: MaskSubscriber, node: ChildProcess | None, stop: threading.Event) -> None:
    subscriber.spin()
    if node is not None and not node.running:
        raise SgnetError(f'segmentation_node ended by itself: {node.describe_end()}')
    # The Ctrl-C that ends us may have ended somebody's node as well.
    if node is None and not stop.is_set() and subscriber.has_lost_node():
        raise SgnetError(f'nobody publishes {subscriber.mask_topic} any more: the node has ended')


def _wait_until_ready(
    run: ReplayConfig, subscriber: MaskSubscriber, node: ChildProcess | None, stop: threading.Event
) -> None:
    """Until the node has told its classes: then the network is loaded and DDS connects us."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    # A node that runs already has counted before: its next report is where we begin.
    while subscriber.class_names is None or (node is None and not subscriber.reports):
        _spin(subscriber, node, stop)
        if stop.is_set():
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            raise SgnetError(_not_ready(run, subscriber, node))
    subscriber.count_from_here()


def _not_ready(run: ReplayConfig, subscriber: MaskSubscriber, node: ChildProcess | None) -> str:
    after = f'after {READY_TIMEOUT_S:.0f} s'
    if node is not None:
        return f'segmentation_node was not ready {after}: {node.describe_end()}'
    if subscriber.class_names is None:
        return (
            f'{after} nothing has come on {run.node}/labels; start the node in this '
            'ROS_DOMAIN_ID, or correct --node (namespace and name, as `ros2 node list` has it)'
        )
    return (
        f'{after} {run.node} has not reported on /diagnostics; its diagnostics.period must not be 0'
    )


def _drain(subscriber: MaskSubscriber, node: ChildProcess | None, stop: threading.Event) -> None:
    """Until the node has nothing under way and we have all it made, or the time is over.

    What is missing then is counted as such.
    """
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    reports, totals, quiet = subscriber.reports, subscriber.totals, 0
    while time.monotonic() < deadline:
        _spin(subscriber, node, stop)
        if stop.is_set() and node is None and subscriber.has_lost_node():
            return
        if subscriber.reports == reports:
            continue
        # A report like the one before and nothing under way: nothing will come any more.
        idle = subscriber.totals == totals and subscriber.under_way == 0
        quiet = quiet + 1 if idle else 0
        if quiet and len(subscriber.masks) >= subscriber.totals['masks'] or quiet > PATIENT_REPORTS:
            return
        reports, totals = subscriber.reports, subscriber.totals
