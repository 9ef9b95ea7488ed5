# SPDX-License-Identifier: Apache-2.0
"""Runs cases: camera and node are child processes, the listener is in this process."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from sgnet_core.errors import SgnetError
from sgnet_ros.benchmark.config import Case
from sgnet_ros.benchmark.listener import Listener
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, ChildProcess

SPIN_S = 0.1
SAMPLE_S = 0.25
"""Between two samples of CPU time and memory."""
QUIET_S = 0.5
"""The last mask has arrived if none has for this time and twice the longest latency."""
USER_TIME, SYSTEM_TIME, RESIDENT_PAGES = 11, 12, 21
"""Fields of /proc/PID/stat after the name of the program, counted from 0; see proc(5)."""


class Usage(NamedTuple):
    """Attributes:
    cpu_s: CPU time of all threads since the start of the process.
    resident_mb: resident memory, shared memory included, 10^6 bytes.
    """

    cpu_s: float
    resident_mb: float


Sample = tuple[float, dict[str, Usage]]


@dataclass(frozen=True)
class Observation:
    """Measurements of one case.

    Attributes:
        sent: number of frames that the camera published.
        latency_ms: of each frame, from its stamp to the arrival of its last output.
        outputs_ms: output -> latency of each message, in order of arrival.
        node: the counters of the node, as `segmentation_node --json` writes them.
        samples: monotonic seconds and usage of each process, from the first arrival to the last.
    """

    sent: int
    latency_ms: list[float]
    outputs_ms: dict[str, list[float]]
    node: dict[str, Any]
    samples: list[Sample]


def run_cases(
    cases: Sequence[Case], parameters: Mapping[str, str], stop: threading.Event
) -> tuple[dict[str, Observation], BaseException | None]:
    """Run the cases one after the other, up to the first that fails or is interrupted.

    Returns:
        Name -> observation; and what `run_case` raised, if anything.
    """
    seen: dict[str, Observation] = {}
    with (
        tempfile.TemporaryDirectory(prefix='benchmark_node_') as folder,
        tqdm(cases, 'benchmark_node', unit='case', disable=None) as bar,
    ):
        for case in bar:
            bar.set_postfix_str(case.name)
            try:
                seen[case.name] = run_case(case, parameters, Path(folder), stop)
            except (SgnetError, KeyboardInterrupt) as end:
                return seen, end
    return seen, None


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
    with _listener(case) as listener, _start_node(case, parameters, folder, node_json) as node:
        _wait_until_ready(listener, node, stop)
        with _start_camera(case, folder, camera_json) as camera:
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
            {output: list(ms.values()) for output, ms in listener.latency_ms.items()},
            json.loads(node_json.read_text()),
            samples,
        )


def _wait_until_ready(listener: Listener, node: ChildProcess, stop: threading.Event) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not listener.node_is_ready:
        _spin(listener, node, stop)
        if time.monotonic() > deadline_s:
            raise SgnetError(
                f'{node.name} was not ready after {READY_TIMEOUT_S:g} s: {node.describe_end()}'
            )


def _watch(
    listener: Listener, node: ChildProcess, camera: ChildProcess, stop: threading.Event
) -> list[Sample]:
    """Listen while the camera publishes."""
    samples: list[Sample] = []
    looked_s = 0.0
    while camera.running:
        _spin(listener, node, stop)
        # Neither before the first arrival nor after the last: start and end of a process cost more.
        if listener.last_arrival_s is not None and listener.last_arrival_s > looked_s:
            looked_s = time.monotonic()
            _sample(samples, {'camera': camera.pid, 'node': node.pid, 'listener': os.getpid()})
    return samples


@contextlib.contextmanager
def _listener(case: Case) -> Iterator[Listener]:
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('benchmark_listener')
    try:
        yield Listener(node, case.outputs)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _start_node(
    case: Case, parameters: Mapping[str, str], folder: Path, json_file: Path
) -> ChildProcess:
    ros = ['--ros-args']
    for name, value in parameters.items():
        ros += ['-p', f'{name}:={value}']
    log = folder / 'node.log'
    if case.fake_network_ms is None:
        argv = ['segmentation_node', '--json', str(json_file), *ros]
        return ChildProcess('segmentation_node', argv, log, os.environ)
    argv = [str(case.fake_network_ms), str(json_file), *ros]
    return ChildProcess('fake network', argv, log, os.environ, 'sgnet_ros.benchmark.fake_network')


def _start_camera(case: Case, folder: Path, json_file: Path) -> ChildProcess:
    argv = [str(value) for value in (*case.size, case.rate_hz, case.seconds, json_file)]
    log = folder / 'camera.log'
    return ChildProcess('camera', argv, log, os.environ, 'sgnet_ros.benchmark.synthetic_camera')


def _spin(listener: Listener, node: ChildProcess, stop: threading.Event) -> None:
    listener.spin(SPIN_S)
    if stop.is_set():
        raise KeyboardInterrupt
    if not node.running:
        raise SgnetError(f'{node.name} ended: {node.describe_end()}')


def _sample(samples: list[Sample], pids: Mapping[str, int]) -> None:
    now_s = time.monotonic()
    if samples and now_s < samples[-1][0] + SAMPLE_S:
        return
    used = {name: usage_of(pid) for name, pid in pids.items()}
    if all(used.values()):
        samples.append((now_s, used))


def usage_of(pid: int) -> Usage | None:
    """CPU time and memory of a process; None without such a process or without /proc."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    # The name is in brackets and may itself hold spaces and brackets.
    fields = text.rpartition(')')[2].split()
    ticks = int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])
    resident = int(fields[RESIDENT_PAGES]) * os.sysconf('SC_PAGE_SIZE')
    return Usage(ticks / os.sysconf('SC_CLK_TCK'), resident / 1e6)


def _is_quiet(listener: Listener, ended_s: float) -> bool:
    """Whether no message has arrived for a while after the end of the camera."""
    longest_ms = max((ms for of in listener.latency_ms.values() for ms in of.values()), default=0.0)
    latest_s = max(ended_s, listener.last_arrival_s or 0.0)
    return time.monotonic() > latest_s + QUIET_S + 2e-3 * longest_ms
