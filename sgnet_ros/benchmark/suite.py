# SPDX-License-Identifier: Apache-2.0
"""Runs cases: camera and node are child processes, the listener is in this process."""

from __future__ import annotations

import itertools
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sgnet_core.errors import InputError, SgnetError
from sgnet_ros.benchmark.listener import OUTPUTS, Listener
from sgnet_ros.compat.ros_node import ros_node
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, ChildProcess

SPIN_S = 0.1
SAMPLE_S = 0.25
"""Between two samples of CPU time and memory."""
QUIET_S = 0.5
"""The last mask has arrived if none has for this time and twice the longest latency."""


@dataclass(frozen=True)
class Case:
    """One run of camera, node and listener.

    Attributes:
        size: (height, width) of colour and depth.
        rate_hz: of the camera; inf = without pauses.
        outputs: topics that the listener subscribes to, without `~/`.
        seconds: how long the camera publishes.
        fake_network_ms: latency of a fake network; None = the network itself.

    Raises:
        InputError: an unknown output, or a value out of range.
    """

    size: tuple[int, int]
    rate_hz: float
    outputs: tuple[str, ...]
    seconds: float
    fake_network_ms: float | None = None

    def __post_init__(self) -> None:
        if not self.rate_hz > 0:
            raise InputError(f'--rate must be above 0 Hz, got {self.rate_hz:g}')
        if not 0 < self.seconds < math.inf:
            raise InputError(f'--seconds must be above 0, got {self.seconds:g}')
        if self.fake_network_ms is not None and not 0 <= self.fake_network_ms < math.inf:
            raise InputError(f'--stand-in must be 0 ms or more, got {self.fake_network_ms:g}')
        for name in self.outputs:
            if name not in OUTPUTS:
                raise InputError(f'unknown output {name!r}; choose from {", ".join(OUTPUTS)}')

    @property
    def name(self) -> str:
        """A name for people, different for every case of a run."""
        rate = 'max' if math.isinf(self.rate_hz) else f'{self.rate_hz:g} Hz'
        return f'{self.size[0]}x{self.size[1]} {",".join(self.outputs)} {rate}'


class Usage(NamedTuple):
    """CPU time of all threads of a process, and its resident memory, 10^6 bytes."""

    cpu_s: float
    resident_mb: float


Sample = tuple[float, dict[str, Usage]]


@dataclass(frozen=True)
class Observation:
    """Measurements of one case.

    Attributes:
        sent: number of frames that the camera published.
        latency_ms: of each frame, from its stamp to the arrival of its last output.
        node: the counters of the node, as `segmentation_node --json` writes them.
        samples: monotonic seconds and usage of each process, from the first arrival to the last.
    """

    sent: int
    latency_ms: list[float]
    node: dict[str, Any]
    samples: list[Sample]


def run_case(
    case: Case, parameters: Mapping[str, str], folder: Path, stop: threading.Event
) -> Observation:
    """Measure one case with new processes.

    Args:
        parameters: of the node, as after `-p`.
        folder: for logs and results of the processes.
        stop: ends the case with KeyboardInterrupt.

    Raises:
        SgnetError: a process ended or the node did not become ready; with the end of its log.
    """
    node_json, camera_json = folder / 'node.json', folder / 'camera.json'
    camera_argv = (*case.size, case.rate_hz, case.seconds, camera_json)
    # Other nodes of the domain, for example of a second run, must not take part.
    ros = ['--ros-args', '-r', f'__ns:=/benchmark_{uuid.uuid4().hex}']
    if case.fake_network_ms is None:
        node_argv = ('sgnet_ros', folder, 'segmentation_node', '--json', node_json)
    else:
        fake_network = 'sgnet_ros.benchmark.fake_network'
        node_argv = (fake_network, folder, case.fake_network_ms, node_json)
    options = [word for item in parameters.items() for word in ('-p', ':='.join(item))]
    with (
        ros_node('benchmark_listener', ros) as listening_node,
        _start(*node_argv, *ros, *options) as node,
    ):
        listener = Listener(listening_node, case.outputs)
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not listener.node_is_ready:
            _spin(listener, node, stop)
            if time.monotonic() > deadline_s:
                raise SgnetError(
                    f'{node.name} was not ready after {READY_TIMEOUT_S:g} s: {node.describe_end()}'
                )
        with _start('sgnet_ros.benchmark.synthetic_camera', folder, *camera_argv, *ros) as camera:
            samples = _watch(listener, node, camera, stop)
            camera.check()
        ended_s = time.monotonic()
        while not _is_quiet(listener, ended_s):
            _spin(listener, node, stop)
        node.stop()
        node.check()
        return Observation(
            json.loads(camera_json.read_text())['sent'],
            listener.end_to_end_ms(),
            json.loads(node_json.read_text()),
            samples,
        )


def _watch(
    listener: Listener, node: ChildProcess, camera: ChildProcess, stop: threading.Event
) -> list[Sample]:
    """Listen while the camera publishes."""
    samples: list[Sample] = []
    looked_s = -SAMPLE_S
    while camera.running:
        _spin(listener, node, stop)
        now_s = time.monotonic()
        # Not before the first arrival nor after the last: start and end of a process cost more.
        if now_s >= looked_s + SAMPLE_S and (listener.last_arrival_s or -math.inf) > looked_s:
            looked_s = now_s
            pids = {'camera': camera.pid, 'node': node.pid, 'listener': os.getpid()}
            used = {name: usage_of(pid) for name, pid in pids.items()}
            if all(used.values()):
                samples.append((looked_s, used))
    return samples


def _start(module: str, folder: Path, *argv: object) -> ChildProcess:
    name = module.rpartition('.')[2]
    return ChildProcess(name, list(map(str, argv)), folder / f'{name}.log', module)


def _spin(listener: Listener, node: ChildProcess, stop: threading.Event) -> None:
    listener.spin(SPIN_S)
    if stop.is_set():
        raise KeyboardInterrupt
    if not node.running:
        raise SgnetError(f'{node.name} ended: {node.describe_end()}')


def usage_of(pid: int) -> Usage | None:
    """CPU time and memory of a process; None without such a process or without /proc."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    # The fields after the name of the program, see proc(5); the name may contain brackets.
    fields = text.rpartition(')')[2].split()
    cpu_ticks, resident_pages = int(fields[11]) + int(fields[12]), int(fields[21])
    resident = resident_pages * os.sysconf('SC_PAGE_SIZE')
    return Usage(cpu_ticks / os.sysconf('SC_CLK_TCK'), resident / 1e6)


def _is_quiet(listener: Listener, ended_s: float) -> bool:
    """Whether no message has arrived for a while after the end of the camera."""
    longest_ms = max(itertools.chain(*(ms.values() for ms in listener.latency_ms.values()), [0.0]))
    latest_s = max(ended_s, listener.last_arrival_s or 0.0)
    return time.monotonic() > latest_s + QUIET_S + 2e-3 * longest_ms
