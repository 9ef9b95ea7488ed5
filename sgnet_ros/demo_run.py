# SPDX-License-Identifier: Apache-2.0
"""The running part of the demo: a player, the node and a recorder, three processes over DDS."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from sgnet_core.errors import SgnetError
from sgnet_ros.child_process import ChildProcess
from sgnet_ros.frame_topics import FrameTopics
from sgnet_ros.mask_recorder import MaskRecorder, RecordedMask

READY_TIMEOUT_S = 120.0
"""For the node to load the network: a cold disk is slow."""
DRAIN_TIMEOUT_S = 30.0
"""For the last frame to come through after the player has ended."""
PATIENT_REPORTS = 5
"""Reports of an idle node, one a second, after which a mask that has not come is lost."""
SUBSCRIBER_TIMEOUT_S = 30.0
SETTLE_S = 1.0
"""Between "the player sees the node" and the first frame: the node must see the player, too."""


@dataclass(frozen=True)
class Recording:
    """What came of a run.

    Attributes:
        masks: by the stamp, in ns, under which the frame was recorded in the bag.
        class_names: of the node's network.
        network: a line about it.
        played: what play_bag says it sent.
        node: what the node says it received, made and dropped.
        sent_stamps: recorded stamp -> stamp sent, in ns.
    """

    masks: dict[int, RecordedMask]
    class_names: tuple[str, ...]
    network: str
    played: dict[str, Any]
    node: dict[str, Any]
    sent_stamps: dict[int, int]


def record_run(
    bag: Path,
    out: Path,
    node_parameters: Mapping[str, str],
    on_overlay: Callable[[int, np.ndarray], None],
    stop: threading.Event,
    frames: int,
) -> Recording:
    """Play `bag` to a new node in real time and record what it publishes, to the end.

    Args:
        bag: with the topics of `frames_to_bag`.
        out: for the logs of the processes.
        node_parameters: for `segmentation_node`, as after `-p`.
        on_overlay: called with the stamp sent, in ns, and the picture.
        stop: gives up early, with KeyboardInterrupt.
        frames: how many there are, for the progress bar.

    Raises:
        SgnetError: a process ended by itself, or the node did not get ready; with its last words.
    """
    node_json, play_json = out / 'segmentation_node.json', out / 'play_bag.json'
    for file in (node_json, play_json):
        file.unlink(missing_ok=True)  # of an earlier run
    with _recorder(on_overlay) as recorder, _start_node(out, node_json, node_parameters) as node:
        _wait_until_ready(recorder, node, stop)
        with (
            _start_player(out, play_json, bag) as player,
            tqdm(total=frames, unit='mask', disable=None) as progress,
        ):
            while player.running:
                _spin(recorder, node, stop)
                progress.update(len(recorder.masks) - progress.n)
            player.check()
            _drain(recorder, node, stop)
            progress.update(len(recorder.masks) - progress.n)
        node.stop()
        node.check()
        # What was published last may still be on its way to us.
        recorder.spin()
    return _recording(
        recorder, json.loads(play_json.read_text()), json.loads(node_json.read_text())
    )


def _recording(recorder: MaskRecorder, played: dict[str, Any], node: dict[str, Any]) -> Recording:
    sent_stamps = {int(recorded): sent for recorded, sent in played.pop('stamps_ns').items()}
    recorded_at = {sent: recorded for recorded, sent in sent_stamps.items()}
    # In a domain that the user has chosen, somebody else's masks may come by as well.
    masks = {recorded_at[s]: mask for s, mask in recorder.masks.items() if s in recorded_at}
    return Recording(masks, recorder.class_names, recorder.network, played, node, sent_stamps)


@contextmanager
def _recorder(on_overlay: Callable[[int, np.ndarray], None]):
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('demo_recorder')
    try:
        yield MaskRecorder(node, on_overlay)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _start_player(out: Path, json_file: Path, bag: Path) -> ChildProcess:
    topics = FrameTopics()
    argv = ['play_bag', str(bag), '--restamp', '--json', str(json_file)]
    argv += ['--wait-for-subscribers', str(SUBSCRIBER_TIMEOUT_S), '--start-delay', str(SETTLE_S)]
    argv += ['--topics', topics.rgb, topics.depth, topics.camera_info]
    return ChildProcess('play_bag', argv, out / 'play_bag.log', os.environ)


def _start_node(out: Path, json_file: Path, parameters: Mapping[str, str]) -> ChildProcess:
    topics = FrameTopics()
    argv = ['segmentation_node', '--json', str(json_file), '--ros-args']
    for name, topic in (
        ('rgb/image', topics.rgb),
        ('depth/image', topics.depth),
        ('rgb/camera_info', topics.camera_info),
    ):
        argv += ['-r', f'{name}:={topic}']
    # Large images over best effort get lost between processes (the README tells how to tune DDS);
    # what the demo drops, it drops in the node, where it is counted.
    for name, value in {'qos.input': 'reliable', **parameters}.items():
        argv += ['-p', f'{name}:={value}']
    return ChildProcess('segmentation_node', argv, out / 'segmentation_node.log', os.environ)


def _spin(recorder: MaskRecorder, node: ChildProcess, stop: threading.Event) -> None:
    recorder.spin()
    if stop.is_set():
        raise KeyboardInterrupt
    if not node.running:
        raise SgnetError(f'segmentation_node ended by itself: {node.describe_end()}')


def _wait_until_ready(recorder: MaskRecorder, node: ChildProcess, stop: threading.Event) -> None:
    """Until the node has told its classes: then the network is loaded and DDS connects us."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while recorder.class_names is None:
        _spin(recorder, node, stop)
        if time.monotonic() > deadline:
            raise SgnetError(
                f'segmentation_node was not ready after {READY_TIMEOUT_S:.0f} s: '
                f'{node.describe_end()}'
            )


def _drain(recorder: MaskRecorder, node: ChildProcess, stop: threading.Event) -> None:
    """Until the node has nothing under way and we have all it made, or the time is over.

    What is missing then is counted as such.
    """
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    reports, totals, quiet = recorder.reports, recorder.totals, 0
    while time.monotonic() < deadline:
        _spin(recorder, node, stop)
        if recorder.reports == reports:
            continue
        # A report like the one before and nothing under way: nothing will come any more.
        idle = recorder.totals == totals and recorder.under_way == 0
        quiet = quiet + 1 if idle else 0
        if quiet and len(recorder.masks) >= recorder.totals['masks'] or quiet > PATIENT_REPORTS:
            return
        reports, totals = recorder.reports, recorder.totals
