# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, each declared once: type, default, range, description.

Over 300 lines: half of them are the table.
"""

from __future__ import annotations

import array
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from sgnet_core.errors import ConfigError
from sgnet_core.known_keys import reject_unknown_keys
from sgnet_ros.distributions import RCLPY_PARAMETERS, RCLPY_PREFIX
from sgnet_ros.interface import FRAME_OUTPUTS, RAW, TRANSPORTS
from sgnet_ros.mask_conversion import CONFIDENCE_ENCODINGS
from sgnet_ros.rgbd_sync import DEFAULT_SLOP_S, MODES

QUEUE_CAPACITY = {'latest': 1, 'all': 100}
"""`queue.policy` -> number of pairs that may wait. 100 pairs of 640x480 take 150 MB."""


@dataclass(frozen=True)
class NodeParameter:
    """One parameter. `dynamic`: may change while the node runs.

    Its type is that of `default`; an integer will do for a float. A list has as many numbers as
    `default`: rclpy refuses empty ones in files.
    """

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    dynamic: bool = False

    def checked(self, value: Any) -> Any:
        """`value` in the parameter's type.

        Raises:
            ConfigError: another type, or out of range.
        """
        if isinstance(self.default, list):
            return self._checked_list(value)
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(self.default):
            raise ConfigError(
                f'parameter {self.name} must be {type(self.default).__name__}, got {value!r}'
            )
        if self.choices and value not in self.choices:
            raise ConfigError(
                f'parameter {self.name} must be one of {", ".join(self.choices)}, got {value!r}'
            )
        if self.range and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(
                f'parameter {self.name} must be in [{self.range[0]}, {self.range[1]}], got {value}'
            )
        return value

    def _checked_list(self, value: Any) -> list[float] | list[int]:
        numbers = list(value) if isinstance(value, (list, tuple, array.array)) else []
        kind = type(self.default[0])
        if len(numbers) != len(self.default) or not all(
            type(number) in (int, kind) and math.isfinite(number) for number in numbers
        ):
            what = 'whole numbers' if kind is int else 'numbers'
            raise ConfigError(
                f'parameter {self.name} must be {len(self.default)} {what}, got {value!r}'
            )
        return [kind(number) for number in numbers]

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=f'one of {", ".join(self.choices)}' if self.choices else '',
            read_only=not self.dynamic,
        )
        if self.range and isinstance(self.default, float):
            low, high = self.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif self.range:
            low, high = (int(limit) for limit in self.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        return descriptor


NODE_PARAMETERS = (
    NodeParameter('checkpoint', '', "file of a trained network; '' = the one that comes with us"),
    NodeParameter('device', 'auto', 'auto, cpu, cuda or cuda:N'),
    NodeParameter(
        'precision', 'auto', 'number format of inference', ('auto', 'fp32', 'fp16', 'bf16')
    ),
    NodeParameter('backend', 'auto', 'what runs the network', ('auto', 'torch', 'onnxruntime')),
    NodeParameter(
        'input_size',
        [0, 0],
        "height and width at which the network looks, multiples of 32; 0 = the checkpoint's",
    ),
    NodeParameter(
        'warmup_iterations', 2, 'empty runs before the first frame, which is slow', range=(0, 100)
    ),
    NodeParameter(
        'sync.mode', 'auto', 'pair equal stamps (exact), near ones, or as the streams are', MODES
    ),
    NodeParameter(
        'sync.slop',
        DEFAULT_SLOP_S,
        'largest difference of stamps in a pair, s; below half a frame period',
        range=(0.0, 10.0),
    ),
    NodeParameter(
        'sync.queue_size', 10, 'messages of a stream that wait for a partner', range=(1, 1000)
    ),
    NodeParameter(
        'queue.policy',
        'latest',
        'latest: the newest pair replaces the one that waits; all: in order, late if need be',
        tuple(QUEUE_CAPACITY),
    ),
    NodeParameter(
        'max_rate', 0.0, 'frames per second at most; 0 = no limit', range=(0.0, 1e4), dynamic=True
    ),
    *(
        NodeParameter(
            name,
            RAW,
            f'how {topic} comes: {RAW}, or {compressed} on {topic}/{compressed}',
            (RAW, compressed),
        )
        for topic, (name, (_, compressed)) in TRANSPORTS.items()
    ),
    NodeParameter(
        'depth.scale', 0.0, 'metres per unit of depth; 0 = by encoding', range=(0.0, 1e3)
    ),
    NodeParameter('depth.min', 0.0, 'nearer is no measurement, m', range=(0.0, 1e4), dynamic=True),
    NodeParameter(
        'depth.max',
        0.0,
        'farther is no measurement, m; 0 = no limit',
        range=(0.0, 1e4),
        dynamic=True,
    ),
    NodeParameter('depth.register', False, 'register depth to colour; needs depth/camera_info'),
    NodeParameter(
        'depth.extrinsics',
        [0.0] * 7,
        'pose x y z qx qy qz qw of the depth camera in the colour camera, optical frames, m; '
        'all 0 = from TF',
    ),
    NodeParameter(
        'camera.fx', 0.0, 'focal length, pixels; 0 = all four from camera_info', range=(0.0, 1e6)
    ),
    NodeParameter('camera.fy', 0.0, 'focal length, pixels', range=(0.0, 1e6)),
    NodeParameter('camera.cx', 0.0, 'principal point, 0-based pixels', range=(-1e6, 1e6)),
    NodeParameter('camera.cy', 0.0, 'principal point, 0-based pixels', range=(-1e6, 1e6)),
    NodeParameter(
        'hha.gravity_source',
        'estimate',
        'what HHA takes for down: an estimate from the surfaces, TF, the downward axis of a level '
        'camera, or hha.gravity_vector',
        ('estimate', 'tf', 'level', 'vector'),
    ),
    NodeParameter('hha.gravity_frame', 'odom', 'for tf: a frame with z up and z = 0 on the ground'),
    NodeParameter('hha.gravity_vector', [0.0, 1.0, 0.0], 'for vector: down, in the optical frame'),
    NodeParameter(
        'hha.camera_height',
        0.0,
        'of the camera above the ground, m; 0 = from TF where gravity is, else the lowest point',
        range=(0.0, 1e3),
    ),
    NodeParameter(
        'confidence_threshold',
        0.0,
        'pixels less confident than this become 255, unlabelled',
        range=(0.0, 1.0),
        dynamic=True,
    ),
    NodeParameter(
        'overlay.alpha',
        0.5,
        'how much of ~/overlay is class colour',
        range=(0.0, 1.0),
        dynamic=True,
    ),
    NodeParameter('overlay.legend', False, 'name the colours in ~/overlay', dynamic=True),
    NodeParameter(
        'confidence.encoding',
        CONFIDENCE_ENCODINGS[0],
        'of ~/confidence; 255 or 1.0 is certain',
        CONFIDENCE_ENCODINGS,
        dynamic=True,
    ),
    NodeParameter(
        'points.stride',
        1,
        'every so many rows and columns make a point of ~/points',
        range=(1, 100),
        dynamic=True,
    ),
    *(
        NodeParameter(
            topic.switch, True, f'false: no {topic.name}, whoever subscribes', dynamic=True
        )
        for topic in FRAME_OUTPUTS
    ),
    NodeParameter(
        'snapshot.folder',
        '',
        "where ~/save_snapshot makes folders; '' = $ROS_HOME/sgnet_snapshots, in ~/.ros if not set",
        dynamic=True,
    ),
    NodeParameter(
        'diagnostics.period',
        1.0,
        'seconds between two messages on /diagnostics; 0 = only the last one',
        range=(0.0, 3600.0),
    ),
    NodeParameter(
        'watchdog.timeout',
        5.0,
        'after so many seconds without output the log says why; 0 = never',
        range=(0.0, 3600.0),
    ),
    NodeParameter('autostart', True, 'configure and activate without being asked'),
    NodeParameter(
        'qos.input',
        'sensor_data',
        'sensor_data: best effort, hears every publisher; reliable: loses no large image, hears '
        'reliable publishers only; auto: reliable where every publisher is',
        ('sensor_data', 'reliable', 'auto'),
    ),
)


class NodeParameters:
    """Declares `NODE_PARAMETERS` on a node and reads them: `parameters['sync.slop']`.

    The node must have been made with `automatically_declare_parameters_from_overrides`: that is
    how rclpy tells what the user has set, known or not.

    Raises:
        ConfigError: an unknown parameter is set, or a known one to a value it cannot have.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        given = {name: item.value for name, item in node.get_parameters_by_prefix('').items()}
        ours = [
            name
            for name in given
            if name not in RCLPY_PARAMETERS and not name.startswith(RCLPY_PREFIX)
        ]
        known = {parameter.name: parameter for parameter in NODE_PARAMETERS}
        reject_unknown_keys(ours, known, f'the parameters of {node.get_fully_qualified_name()}')
        for name in ours:
            node.undeclare_parameter(name)
        values = {name: item.checked(given.get(name, item.default)) for name, item in known.items()}
        _check_together(values)
        for name, parameter in known.items():
            node.declare_parameter(name, values[name], parameter.descriptor(), ignore_override=True)
        self._known = known
        self._held = threading.local()
        node.add_on_set_parameters_callback(self._check)

    def __getitem__(self, name: str) -> Any:
        held = getattr(self._held, 'values', {})
        if name in held:
            return held[name]
        value = self._node.get_parameter(name).value
        return list(value) if isinstance(value, array.array) else value

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, in this thread, no value changes: half a frame by one, half by another."""
        self._held.values = {name: self[name] for name, item in self._known.items() if item.dynamic}
        try:
            yield
        finally:
            self._held.values = {}

    @property
    def depth_range_m(self) -> tuple[float, float]:
        """(nearest, farthest) that counts as a measurement."""
        return self['depth.min'], self['depth.max'] or math.inf

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in self._known}
        try:
            checked = {name: self._known[name].checked(value) for name, value in ours.items()}
            _check_together({name: self[name] for name in self._known} | checked)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def _check_together(values: Mapping[str, Any]) -> None:
    """Raise ConfigError where two parameters contradict each other."""
    nearest, farthest = values['depth.min'], values['depth.max']
    if 0 < farthest <= nearest:
        raise ConfigError(
            f'parameter depth.max must be 0 or above depth.min {nearest}, got {farthest}'
        )
    if (values['camera.fx'] > 0) != (values['camera.fy'] > 0):
        raise ConfigError(
            'parameters camera.fx and camera.fy must both be given, or both be 0, got '
            f'{values["camera.fx"]} and {values["camera.fy"]}'
        )
