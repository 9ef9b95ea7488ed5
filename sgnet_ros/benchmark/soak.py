# SPDX-License-Identifier: Apache-2.0
"""Runs the node with faulty cameras, service calls, parameter changes and lifecycle transitions."""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import statistics
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from sgnet_core.errors import SgnetError
from sgnet_ros.benchmark.suite import usage_of
from sgnet_ros.compat.ros_node import ros_node
from sgnet_ros.monitoring.counters import percentiles
from sgnet_ros.parameters import NODE_PARAMETERS, NodeParameter
from sgnet_ros.replay.child_process import READY_TIMEOUT_S, ChildProcess
from sgnet_ros.replay.mask_subscriber import BEFORE_PAIRING, MaskSubscriber
from sgnet_ros.topics import AVAILABLE_OUTPUTS, RGB, TRANSPORTS

RATE_HZ = 15.0
FAULTS = 0.5
"""Fraction of broken frames."""
CAMERA_LIFE_S = (5.0, 60.0)
PAUSE_S = 0.3
"""Between two requests."""
UNANSWERED_S, RECOVERY_S = 60.0, 20.0
"""Longest waits for a response, and for a mask of a valid camera."""
WARM_UP_S = 60.0
"""The memory must be flat from here on."""
MAX_RESPONSE_S, MAX_LOAD_S, MAX_EXIT_S, MAX_GROWTH_MB = 1.0, 30.0, 1.0, 32.0
LOADING = ('configure', 'reload_model')
"""Requests that load the network."""
TRANSITIONS = {
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
}
CHANGED_PARAMETERS = [item for item in NODE_PARAMETERS if item.name != 'snapshot.folder']
SERVICES = {
    'change_state': ChangeState,
    'get_state': GetState,
    'set_parameters': SetParameters,
    'enable': SetBool,
    'reload_model': Trigger,
    'save_snapshot': Trigger,
}


class Soak:
    """One soak of a node in its own process.

    Args:
        node_argv: module of the node and its arguments before the file for its counts.
        parameters: of the node, as after `-p`.
        out: folder for the logs.
        stop: ends the soak early.
        on_progress: called with the seconds since the start and a text.

    Attributes:
        seconds: time from the start to the last faulty camera.
        response_s: request -> time of each response; at least `UNANSWERED_S` without one.
        rejected: valid requests without success.
        memory_mb: seconds since the start and resident memory of the node, 10^6 bytes.
        cameras: number of cameras that were started.
        recovered: whether a valid camera got a mask at the end.
        exit_s: from SIGINT to the end of the node; None = it ended before.
        node: its counters, as `segmentation_node --json` writes them; None = it wrote none.
        log_errors: lines of its log with a traceback or a fatal error.
    """

    def __init__(
        self,
        node_argv: Sequence[str],
        parameters: Mapping[str, str],
        out: Path,
        seed: int,
        stop: threading.Event,
        on_progress: Callable[[float, str], None],
    ) -> None:
        self.seconds, self.cameras, self.recovered = 0.0, 0, False
        self.response_s: dict[str, list[float]] = defaultdict(list)
        self.memory_mb: list[tuple[float, float]] = []
        self.rejected: list[str] = []
        self.log_errors: list[str] = []
        self.exit_s: float | None = None
        self.node: dict[str, Any] | None = None
        self._out, self._stop, self._on_progress = out, stop, on_progress
        self._node_json, self._snapshots = out / 'node.json', out / 'snapshots'
        self._rng = random.Random(seed)
        # Nodes of other users of the domain must not take part.
        self._namespace = f'/soak_{uuid.uuid4().hex}'
        self._ros = ['--ros-args', '-r', f'__ns:={self._namespace}']
        self._node_argv = [*node_argv, str(self._node_json), *self._ros]
        parameters = {**parameters, **self._transports(), 'snapshot.folder': str(self._snapshots)}
        for name, value in parameters.items():
            self._node_argv += ['-p', f'{name}:={value}']

    def run(self, seconds: float) -> None:
        """Run for `seconds`, or until the node ends.

        Raises:
            SgnetError: the node did not become ready; with the end of its log.
        """
        self._node_json.unlink(missing_ok=True)
        module, *argv = self._node_argv
        log = self._out / 'node.log'
        with ros_node('soak', self._ros) as ros, ChildProcess('node', argv, log, module) as process:
            self._process = process
            self._connect(ros)
            self._start_s = time.monotonic()
            end_s = math.inf
            while self._goes_on(end_s):
                with self._camera(FAULTS) as camera:
                    self._spin_until(self._sees_camera, READY_TIMEOUT_S)
                    end_s = min(end_s, time.monotonic() + seconds)
                    death_s = time.monotonic() + self._rng.uniform(*CAMERA_LIFE_S)
                    self._send_requests(min(end_s, death_s))
                    camera.stop(0.0)  # SIGKILL, like a lost connection
            self.seconds = time.monotonic() - self._start_s
            with self._camera(0.0):
                self._spin_until(self._sees_camera, READY_TIMEOUT_S)
                self._recover()
                if process.running:
                    start_s = time.monotonic()
                    process.stop(UNANSWERED_S, signal.SIGINT)
                    self.exit_s = time.monotonic() - start_s
        if self._node_json.exists():
            self.node = json.loads(self._node_json.read_text())
        lines = log.read_text(errors='replace').splitlines()
        self.log_errors = [line for line in lines if 'Traceback' in line or '[FATAL]' in line]

    def promises(self) -> list[dict[str, Any]]:
        """One row for each promise: `promise`, `value`, `limit`, `kept` (None = not measured)."""
        times = {loads: [0.0] for loads in (False, True)}
        for name, values in self.response_s.items():
            times[name in LOADING] += values
        rows = (
            ('node ended before SIGINT', int(self.exit_s is None), 0),
            ('SIGINT to the end, s', self.exit_s, MAX_EXIT_S),
            ('pairs - masks - drops', self._unaccounted(), 0),
            ('slowest response, s', max(times[False]), MAX_RESPONSE_S),
            ('slowest response of a loading request, s', max(times[True]), MAX_LOAD_S),
            ('valid requests rejected', len(self.rejected), 0),
            ('growth of memory after 60 s, MB', self._growth_mb(), MAX_GROWTH_MB),
            ('tracebacks and fatal errors', len(self.log_errors), 0),
            ('no mask for a valid camera at the end', int(not self.recovered), 0),
        )
        return [
            {
                'promise': promise,
                'value': value,
                'limit': limit,
                'kept': None if value is None else value <= limit and (limit > 0 or value == 0),
            }
            for promise, value, limit in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Promises and all measurements."""
        public = {name: value for name, value in vars(self).items() if not name.startswith('_')}
        times = {
            name: {'count': len(values), **percentiles(values, (50, 99, 100))}
            for name, values in sorted(self.response_s.items())
        }
        memory = self.memory_mb[:: max(len(self.memory_mb) // 200, 1)]
        return {'promises': self.promises(), **public, 'response_s': times, 'memory_mb': memory}

    def _unaccounted(self) -> int | None:
        if self.node is None:
            return None
        dropped = self.node['dropped'].items()
        paired = sum(n for cause, n in dropped if cause not in BEFORE_PAIRING)
        return self.node['pairs'] - self.node['masks'] - paired

    def _growth_mb(self) -> float | None:
        """Between the medians of the first and the last fifth."""
        warm = [mb for now_s, mb in self.memory_mb if now_s >= WARM_UP_S]
        fifth = len(warm) // 5
        return statistics.median(warm[-fifth:]) - statistics.median(warm[:fifth]) if fifth else None

    def _connect(self, ros: Node) -> None:
        """Subscribe to all outputs and wait until the node has loaded its network."""
        name = f'{self._namespace}/segmentation'
        self._clients = {
            service: ros.create_client(kind, f'{name}/{service}')
            for service, kind in SERVICES.items()
        }
        for topic in AVAILABLE_OUTPUTS[1:]:
            ros.create_subscription(topic.kind, topic.name.replace('~', name), lambda _: None, 1)
        self._subscriber = MaskSubscriber(ros, node_name=name)
        self._sees_camera = lambda: ros.count_publishers(f'{self._namespace}/{RGB}') > 0
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while self._subscriber.class_names is None:
            self._subscriber.spin()
            if self._stop.is_set():
                raise KeyboardInterrupt
            if not self._process.running or time.monotonic() > deadline_s:
                raise SgnetError(f'the node was not ready: {self._process.describe_end()}')

    def _camera(self, faults: float) -> ChildProcess:
        self.cameras += 1
        argv = [str(self._rng.randrange(1 << 30)), str(RATE_HZ), str(faults), *self._ros]
        module = 'sgnet_ros.benchmark.faulty_camera'
        return ChildProcess('camera', argv, self._out / 'camera.log', module)

    def _goes_on(self, end_s: float) -> bool:
        return self._process.running and not self._stop.is_set() and time.monotonic() < end_s

    def _send_requests(self, end_s: float) -> None:
        """Send random requests, one after the other."""
        requests = {
            self._change_parameter: 20,
            self._save_snapshot: 2,
            self._disable_and_enable: 2,
            self._configure_again: 1,
            lambda: self._call('get_state'): 2,
            lambda: self._call('reload_model', succeeds=True): 1,
            lambda: self._transit('configure while active', TRANSITIONS['configure']): 1,
            lambda: self._transit('unknown transition', 99): 1,
        }
        while self._goes_on(end_s):
            self._rng.choices(list(requests), list(requests.values()))[0]()
            self._spin_until(lambda: False, PAUSE_S)

    def _change_parameter(self) -> None:
        changed = self._rng.choice(CHANGED_PARAMETERS)
        value = self._rng.choice(_values(changed))
        clock = Parameter('use_sim_time', value=self._rng.random() < 0.5)
        change = self._rng.choice((Parameter(changed.name, value=value), clock))
        self._set_parameters(change, damaged=self._rng.random() < 0.1)

    def _set_parameters(self, *changes: Parameter, damaged: bool = False) -> None:
        messages = [change.to_parameter_msg() for change in changes]
        if damaged:
            messages[0].value.type = self._rng.randrange(256)
        self._call('set_parameters', SetParameters.Request(parameters=messages))

    def _save_snapshot(self) -> None:
        self._call('save_snapshot')
        shutil.rmtree(self._snapshots, ignore_errors=True)

    def _disable_and_enable(self) -> None:
        for active in (False, True):
            self._call('enable', SetBool.Request(data=active), succeeds=True)

    def _configure_again(self) -> None:
        for name, number in TRANSITIONS.items():
            self._transit(name, number, succeeds=True)
            if name == 'cleanup':
                self._set_parameters(
                    *(Parameter(key, value=value) for key, value in self._transports().items())
                )

    def _transports(self) -> dict[str, str]:
        return {name: self._rng.choice(choices) for name, choices in TRANSPORTS.values()}

    def _transit(self, name: str, number: int, succeeds: bool = False) -> None:
        request = ChangeState.Request(transition=Transition(id=number))
        self._call('change_state', request, name, succeeds)

    def _call(
        self, service: str, request: Any = None, name: str = '', succeeds: bool = False
    ) -> None:
        """Call a service, measure the time to its response and check its success."""
        name, start_s = name or service, time.monotonic()
        future = self._clients[service].call_async(request or SERVICES[service].Request())
        self._spin_until(future.done, UNANSWERED_S)
        if not self._process.running:
            return
        self.response_s[name].append(time.monotonic() - start_s)
        response = future.result() if future.done() else None
        if succeeds and not (response and response.success):
            when_s = start_s - self._start_s
            self.rejected.append(f'{name} at {when_s:.1f} s: {getattr(response, "message", "")}')

    def _recover(self) -> None:
        """Reset the parameters and wait for a mask of a valid camera."""
        dynamic = [item for item in CHANGED_PARAMETERS if item.dynamic]
        self._set_parameters(
            *(Parameter(item.name, value=item.default) for item in dynamic),
            Parameter('use_sim_time', value=False),
        )
        before = self._subscriber.totals.get('masks', 0)
        self._spin_until(lambda: self._subscriber.totals.get('masks', 0) > before, RECOVERY_S)
        self.recovered = self._subscriber.totals.get('masks', 0) > before

    def _spin_until(self, happened: Callable[[], bool], timeout_s: float) -> None:
        """Process messages and record the memory; ends early with the node."""
        end_s = time.monotonic() + timeout_s
        while not happened() and self._process.running and time.monotonic() < end_s:
            self._subscriber.spin(0.02)
            now_s = time.monotonic() - self._start_s
            if self.memory_mb and now_s < self.memory_mb[-1][0] + 1.0:
                continue
            if used := usage_of(self._process.pid):
                self.memory_mb.append((round(now_s, 1), used.resident_mb))
                masks = self._subscriber.totals.get('masks', 0)
                self._on_progress(now_s, f'{masks} masks, {used.resident_mb:.0f} MB')
            self._subscriber.masks.clear()  # they would fill the memory


def _values(item: NodeParameter) -> list[Any]:
    """Valid and invalid values of a parameter."""
    wrong = [item.default, not item.default, 'nonsense', 7, 0.5, -1.0, math.nan, math.inf]
    return [*wrong, *item.choices, *(type(item.default)(limit) for limit in item.range or ())]
