# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to the node: player, node and subscriber are three processes over DDS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sgnet_core.errors import SgnetError
from sgnet_ros.bag.frame_topics import COMPRESSED_SUFFIXES, FrameTopics
from sgnet_ros.compat.ros_node import ros_node
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, SETTLE_S, ChildProcess
from sgnet_ros.replay.mask_subscriber import MaskSubscriber
from sgnet_ros.replay.result import ReplayResult
from sgnet_ros.topics import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB, TRANSPORTS

DRAIN_TIMEOUT_S = 30.0
"""Time for the last masks after the end of the bag."""
IDLE_REPORTS = 5
"""Reports of an idle node, one per second, after which a missing mask is lost."""
SUBSCRIBER_TIMEOUT_S = 30.0
NODE = '/segmentation'


@dataclass(frozen=True)
class ReplayConfig:
    """What is played, and to which node.

    Attributes:
        out: folder for the logs of the processes.
        streams: fields of `topics` that are played.
        lossless: wait for masks, so that the node drops no frame.
        node: name and namespace of a running node; None = start one.
        parameters: override `params_file`.
        frames: number of frames, for the progress bar.
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


class ReplaySession:
    """One replay of a bag in real time.

    Args:
        stop: ends the replay early; the result contains what arrived.
        on_overlay: called with the stamp sent, in ns, and the overlay; None = without overlays.
        on_ready: called with the classes of the node before the first frame.
    """

    def __init__(
        self,
        config: ReplayConfig,
        stop: threading.Event,
        on_overlay: Callable[[int, np.ndarray], None] | None = None,
        on_ready: Callable[[tuple[str, ...]], None] = lambda class_names: None,
    ) -> None:
        self._config, self._stop = config, stop
        self._on_overlay, self._on_ready = on_overlay, on_ready
        self._node_name = config.node or NODE

    def run(self) -> ReplayResult:
        """Play the bag to its end.

        Raises:
            SgnetError: a process ended, or the node did not become ready; with the end of its log.
            KeyboardInterrupt: `stop` before the first frame.
        """
        out = self._config.out
        node_json, play_json = out / 'segmentation_node.json', out / 'play_bag.json'
        for file in (node_json, play_json):
            file.unlink(missing_ok=True)  # of an earlier replay
        with ros_node('mask_subscriber', []) as ros:
            self._subscriber = MaskSubscriber(ros, self._on_overlay, self._node_name)
            with self._start_node(node_json) as self._node:
                self._wait_until_ready()
                self._on_ready(self._subscriber.class_names)
                self._play(play_json)
                if self._node is not None:
                    self._node.stop()
                    self._node.check()
                self._subscriber.spin()  # the last message can still be on its way
                node = json.loads(node_json.read_text()) if self._node else self._reported()
        return self._result(json.loads(play_json.read_text()), node)

    def _play(self, json_file: Path) -> None:
        subscriber = self._subscriber
        with (
            self._start_player(json_file) as player,
            tqdm(total=self._config.frames, unit='mask', disable=None) as progress,
        ):
            while player.running and not self._stop.is_set():
                self._spin()
                progress.update(len(subscriber.masks) - progress.n)
            player.stop()
            # The player also fails for a truncated bag, but after it has written its results.
            if not json_file.exists():
                if self._stop.is_set():
                    raise KeyboardInterrupt
                player.check()
            self._drain()
            progress.update(len(subscriber.masks) - progress.n)

    def _reported(self) -> dict[str, Any]:
        """The counts of a running node, in the format of its `--json`."""
        node = {'received': {}, 'pairs': 0, 'masks': 0, 'dropped': {}, 'processing_ms': None}
        for key, count in self._subscriber.totals.items():
            group, _, name = key.partition('.')
            if name and group in ('received', 'dropped'):
                node[group][name] = count
            elif key in ('pairs', 'masks'):
                node[key] = count
        return node

    def _result(self, played: dict[str, Any], node: dict[str, Any]) -> ReplayResult:
        sent_stamps = {int(recorded): sent for recorded, sent in played.pop('stamps_ns').items()}
        recorded_stamps = {sent: recorded for recorded, sent in sent_stamps.items()}
        published_ns = played.pop('published_ns')
        subscriber, masks = self._subscriber, {}
        for stamp, mask in subscriber.masks.items():
            # In a domain that the user has chosen there can be masks of other players.
            if (recorded := recorded_stamps.get(stamp)) is not None:
                # Stamps differ from the time of sending unless the rate is 1.
                early_ms = (stamp - published_ns[str(recorded)]) / 1e6
                masks[recorded] = replace(mask, latency_ms=mask.latency_ms + early_ms)
        return ReplayResult(
            masks, subscriber.class_names, subscriber.about, played, node, sent_stamps
        )

    def _start_player(self, json_file: Path) -> ChildProcess:
        config = self._config
        argv = ['play_bag', str(config.bag), '--restamp', '--json', str(json_file)]
        argv += ['--rate', str(config.rate), '--start-delay', str(SETTLE_S)]
        argv += ['--wait-for-subscribers', str(SUBSCRIBER_TIMEOUT_S)]
        if config.lossless:
            argv += ['--lossless', f'{self._node_name}/mask']
        argv += ['--topics', *(getattr(config.topics, stream) for stream in config.streams)]
        return ChildProcess('play_bag', argv, config.out / 'play_bag.log')

    def _start_node(self, json_file: Path) -> ChildProcess | nullcontext[None]:
        if self._config.node is not None:
            return nullcontext()
        argv = ['segmentation_node', '--json', str(json_file), *node_arguments(self._config)]
        log = self._config.out / 'segmentation_node.log'
        return ChildProcess('segmentation_node', argv, log)

    def _spin(self) -> None:
        self._subscriber.spin()
        if self._node is not None and not self._node.running:
            raise SgnetError(f'{self._node.name} has ended: {self._node.describe_end()}')
        # Ctrl-C can end a running node as well.
        if not self._stop.is_set() and self._node is None and self._subscriber.has_lost_node():
            raise SgnetError(f'no publisher on {self._node_name}/mask: the node has ended')

    def _wait_until_ready(self) -> None:
        """Wait for the classes of the node: then the network is loaded and DDS is connected."""
        subscriber = self._subscriber
        deadline = time.monotonic() + READY_TIMEOUT_S
        # The counts of a running node start at its next report.
        while subscriber.class_names is None or (self._node is None and not subscriber.reports):
            self._spin()
            if self._stop.is_set():
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise SgnetError(f'after {READY_TIMEOUT_S:.0f} s {self._not_ready()}')
        subscriber.count_from_here()

    def _not_ready(self) -> str:
        if self._node is not None:
            return f'segmentation_node is not ready: {self._node.describe_end()}'
        topic = '/diagnostics' if self._subscriber.class_names else f'{self._node_name}/labels'
        return (
            f'there is no message of {self._node_name} on {topic}; start the node in this '
            'ROS_DOMAIN_ID, correct --node (see `ros2 node list`), or set its diagnostics.period '
            'above 0'
        )

    def _drain(self) -> None:
        """Wait until the node is idle and all masks have arrived, for a limited time."""
        subscriber = self._subscriber
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        reports, totals, idle_reports = subscriber.reports, subscriber.totals, 0
        while time.monotonic() < deadline:
            self._spin()
            if self._stop.is_set() and self._node is None and subscriber.has_lost_node():
                return
            if subscriber.reports == reports:
                continue
            is_idle = subscriber.totals == totals and subscriber.in_progress == 0
            idle_reports = idle_reports + 1 if is_idle else 0
            has_all = len(subscriber.masks) >= subscriber.totals['masks']
            if idle_reports > (0 if has_all else IDLE_REPORTS):
                return
            reports, totals = subscriber.reports, subscriber.totals


def node_arguments(config: ReplayConfig) -> list[str]:
    """The ROS arguments of a node that is started."""
    topics = config.topics
    # DDS loses large best-effort images between processes (docs/troubleshooting.md). With reliable
    # inputs, only the node drops images, and it counts them.
    parameters = {'qos.input': 'reliable'}
    remappings = {CAMERA_INFO: topics.camera_info, DEPTH_CAMERA_INFO: topics.depth_camera_info}
    for field_name, topic in (('rgb', RGB), ('depth', DEPTH)):
        suffix, recorded = COMPRESSED_SUFFIXES[field_name], getattr(topics, field_name)
        if recorded.endswith(suffix):
            parameter, _ = TRANSPORTS[topic]
            parameters[parameter] = suffix.removeprefix('/')
        remappings[topic] = recorded.removesuffix(suffix)
    if config.lossless:
        parameters['queue.policy'] = 'all'
    argv = ['--ros-args']
    if config.params_file is not None:
        argv += ['--params-file', str(config.params_file)]
    for name, topic in remappings.items():
        argv += ['-r', f'{name}:={topic}']
    for name, value in {**parameters, **config.parameters}.items():
        argv += ['-p', f'{name}:={value}']
    return argv
