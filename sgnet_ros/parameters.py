# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node, each declared once: type, default, range, description."""

from __future__ import annotations

import array
import math
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
)
from rclpy.parameter import Parameter

from sgnet_core.errors import ConfigError
from sgnet_core.io.decoding import MAX_PIXELS, MEGAPIXEL
from sgnet_ros.compat.distributions import EXECUTORS
from sgnet_ros.conversions.masks import CONFIDENCE_ENCODINGS
from sgnet_ros.sync.pairing import DEFAULT_SLOP_S, MODES
from sgnet_ros.topics import FRAME_OUTPUTS, RAW, TRANSPORTS

QUEUE_CAPACITY = {'latest': 1, 'all': 100}
"""`queue.policy` -> number of pairs that may wait. 100 pairs of 640x480 take 150 MB."""

TEMPORAL_OFF = 'off'
"""`temporal.mode`: each frame by itself."""


@dataclass(frozen=True)
class NodeParameter:
    """One parameter. Its type is the type of `default`; a float also accepts an integer.

    Lists have a fixed length, because rclpy rejects empty lists in files. Dynamic parameters may
    change while the node runs, the others while it is unconfigured, and read-only ones never.
    """

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    dynamic: bool = False
    read_only: bool = False

    def converted(self, value: Any) -> Any:
        """`value` with integers as floats if the parameter has floats."""
        if isinstance(self.default, float) and type(value) is int:
            return float(value)
        if value is False and 'off' in self.choices:
            return 'off'  # for YAML, off is a boolean
        if isinstance(self.default, list) and isinstance(value, (list, array.array)):
            kind = type(self.default[0])
            return [kind(number) if type(number) is int else number for number in value]
        return value

    def validated(self, value: Any) -> Any:
        """`value` in the type of the parameter; raises ConfigError if it is invalid."""
        value = self.converted(value)
        if isinstance(self.default, list):
            numbers = list(value) if isinstance(value, (list, tuple, array.array)) else []
            kind = type(self.default[0])
            valid = all(type(number) in (int, kind) and math.isfinite(number) for number in numbers)
            if valid and len(numbers) == len(self.default):
                return [kind(number) for number in numbers]
            required = f'{len(self.default)} {"whole numbers" if kind is int else "numbers"}'
        elif type(value) is not type(self.default):
            required = type(self.default).__name__
        elif self.choices and value not in self.choices:
            required = f'one of {", ".join(self.choices)}'
        elif self.range and not self.range[0] <= value <= self.range[1]:
            required = f'in [{self.range[0]}, {self.range[1]}]'
        else:
            return value
        raise ConfigError(f'parameter {self.name} must be {required}, got {value!r}')

    def descriptor(self) -> ParameterDescriptor:
        """The descriptor for `ros2 param describe`."""
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=f'one of {", ".join(self.choices)}' if self.choices else '',
            read_only=self.read_only,
        )
        if self.range and isinstance(self.default, float):
            low, high = self.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif self.range:
            low, high = (int(limit) for limit in self.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        return descriptor


NODE_PARAMETERS = (
    NodeParameter(
        'checkpoint',
        '',
        'Path to a checkpoint; empty uses the bundled model. ~/reload_model loads a changed one.',
        dynamic=True,
    ),
    NodeParameter('device', 'auto', 'Device of the network: auto, cpu, cuda or cuda:N.'),
    NodeParameter('precision', 'auto', 'Precision of inference.', ('auto', 'fp32', 'fp16', 'bf16')),
    NodeParameter('backend', 'auto', 'Inference engine.', ('auto', 'torch', 'onnxruntime')),
    NodeParameter(
        'input_size',
        [0, 0],
        'Height and width of the network input, multiples of 32; 0 uses those of the checkpoint.',
    ),
    NodeParameter(
        'warmup_iterations', 2, 'Inferences on blank frames at start-up.', range=(0, 100)
    ),
    NodeParameter(
        'sync.mode',
        'auto',
        'Stamps of a pair: equal (exact), within sync.slop (approximate), or detected from the '
        'streams (auto).',
        MODES,
    ),
    NodeParameter(
        'sync.slop',
        DEFAULT_SLOP_S,
        'Largest difference of the stamps of a pair in s; keep it below half a frame period.',
        range=(0.0, 10.0),
    ),
    NodeParameter(
        'sync.queue_size', 10, 'Unpaired messages kept for each stream.', range=(1, 1000)
    ),
    NodeParameter(
        'queue.policy',
        'latest',
        'Pairs that wait for the network: only the newest (latest), or all in order (all).',
        tuple(QUEUE_CAPACITY),
    ),
    NodeParameter(
        'max_rate', 0.0, 'Largest frame rate in Hz; 0 = no limit.', range=(0.0, 1e4), dynamic=True
    ),
    NodeParameter(
        'max_megapixels',
        MAX_PIXELS // MEGAPIXEL,
        'Largest compressed image that is decoded, in million pixels.',
        range=(1, 10_000),
        dynamic=True,
    ),
    *(
        NodeParameter(
            name,
            RAW,
            f'Transport of {topic}: {RAW}, or {compressed} on {topic}/{compressed}.',
            (RAW, compressed),
        )
        for topic, (name, (_, compressed)) in TRANSPORTS.items()
    ),
    NodeParameter(
        'depth.scale', 0.0, 'Metres per unit of depth; 0 = by encoding.', range=(0.0, 1e3)
    ),
    NodeParameter('depth.min', 0.0, 'Smallest valid depth in m.', range=(0.0, 1e4), dynamic=True),
    NodeParameter(
        'depth.max', 0.0, 'Largest valid depth in m; 0 = no limit.', range=(0.0, 1e4), dynamic=True
    ),
    NodeParameter('depth.register', False, 'Register depth to colour; needs depth/camera_info.'),
    NodeParameter(
        'depth.extrinsics',
        [0.0] * 7,
        'Pose x y z qx qy qz qw of the depth camera in the colour camera (optical frames, m); '
        'all 0 = from TF.',
    ),
    NodeParameter(
        'camera.fx',
        0.0,
        'Focal length in pixels; 0 takes all intrinsics from camera_info.',
        range=(0.0, 1e6),
    ),
    NodeParameter('camera.fy', 0.0, 'Focal length in pixels.', range=(0.0, 1e6)),
    NodeParameter('camera.cx', 0.0, 'Principal point in 0-based pixels.', range=(-1e6, 1e6)),
    NodeParameter('camera.cy', 0.0, 'Principal point in 0-based pixels.', range=(-1e6, 1e6)),
    NodeParameter(
        'hha.gravity_source',
        'estimate',
        'Source of gravity for HHA: estimated from surfaces, TF, a level camera, or '
        'hha.gravity_vector.',
        ('estimate', 'tf', 'level', 'vector'),
    ),
    NodeParameter(
        'hha.gravity_frame', 'odom', 'Source tf: a frame with z up and z = 0 on the ground.'
    ),
    NodeParameter(
        'hha.gravity_vector', [0.0, 1.0, 0.0], 'Source vector: down, in the optical frame.'
    ),
    NodeParameter(
        'hha.camera_height',
        0.0,
        'Height of the camera above the ground in m; 0 = from TF (source tf) or from the lowest '
        'point.',
        range=(0.0, 1e3),
    ),
    NodeParameter(
        'classes.groups',
        '',
        'YAML file that merges the classes of the network to groups; empty keeps the classes.',
        dynamic=True,
    ),
    NodeParameter(
        'temporal.mode',
        TEMPORAL_OFF,
        'Average the class probabilities with those of the frames before (scores).',
        (TEMPORAL_OFF, 'scores'),
    ),
    NodeParameter(
        'temporal.fixed_frame',
        'odom',
        'Mode scores: TF frame in which the motion of the camera is measured.',
    ),
    NodeParameter(
        'confidence_threshold',
        0.0,
        'Pixels of lower confidence become 255, unlabelled.',
        range=(0.0, 1.0),
        dynamic=True,
    ),
    NodeParameter(
        'output.stride',
        1,
        'Step between the rows and columns of all images, points and intrinsics that are '
        'published (nearest neighbour); it must divide the image.',
        range=(1, 100),
        dynamic=True,
    ),
    NodeParameter(
        'overlay.alpha', 0.5, 'Opacity of the classes in ~/overlay.', range=(0.0, 1.0), dynamic=True
    ),
    NodeParameter('overlay.legend', True, 'Write class names into ~/overlay.', dynamic=True),
    NodeParameter(
        'confidence.encoding',
        CONFIDENCE_ENCODINGS[0],
        'Encoding of ~/confidence: mono8 (0-255) or 32FC1 (0.0-1.0).',
        CONFIDENCE_ENCODINGS,
        dynamic=True,
    ),
    NodeParameter(
        'points.stride',
        1,
        'Step between the rows and columns of the published images that become points of ~/points: '
        'at 1 the cloud has the size of the mask.',
        range=(1, 100),
        dynamic=True,
    ),
    NodeParameter(
        'points.color',
        'camera',
        'Colours of ~/points: the colour image (camera), or the class colours (class).',
        ('camera', 'class'),
        dynamic=True,
    ),
    NodeParameter(
        'selected.classes',
        '',
        'Classes of ~/selected and ~/depth_without_selected, by name: person, chair.',
        dynamic=True,
    ),
    NodeParameter(
        'probabilities.classes',
        '',
        'Classes of ~/probabilities, in this order; empty = not published.',
        dynamic=True,
    ),
    NodeParameter(
        'objects.classes',
        '',
        'Classes of ~/objects; empty = those of NYU40 and NYU13 that can be counted.',
        dynamic=True,
    ),
    NodeParameter(
        'objects.min_pixels',
        500,
        'Smallest region of ~/objects, in pixels of the colour image.',
        range=(1, 1e9),
        dynamic=True,
    ),
    *(
        NodeParameter(topic.switch, True, f'Publish {topic.name} to its subscribers.', dynamic=True)
        for topic in FRAME_OUTPUTS
    ),
    NodeParameter(
        'snapshot.folder',
        '',
        'Folder for ~/save_snapshot; empty uses $ROS_HOME/sgnet_snapshots (~/.ros by default).',
        dynamic=True,
    ),
    NodeParameter(
        'diagnostics.period',
        1.0,
        'Period of /diagnostics in s; 0 = only the final message.',
        range=(0.0, 3600.0),
        read_only=True,
    ),
    NodeParameter(
        'watchdog.timeout',
        5.0,
        'Time without output in s until the log says why; 0 = never.',
        range=(0.0, 3600.0),
    ),
    NodeParameter(
        'autostart', True, 'Configure and activate automatically at start-up.', read_only=True
    ),
    NodeParameter(
        'executor',
        EXECUTORS[0],
        'Executor of rclpy for the callbacks of the node; events needs Jazzy or later.',
        EXECUTORS,
        read_only=True,
    ),
    NodeParameter(
        'qos.input',
        'sensor_data',
        'Reliability of the subscriptions: best effort (sensor_data), reliable, or reliable if '
        'every publisher is (auto).',
        ('sensor_data', 'reliable', 'auto'),
    ),
)


CLASS_LISTS = ('selected.classes', 'probabilities.classes', 'objects.classes')
"""Parameters with names of classes, separated by commas: rclpy rejects empty lists in files."""
KNOWN = {parameter.name: parameter for parameter in NODE_PARAMETERS}


def listed(text: str) -> list[str]:
    """The names in the value of a parameter of `CLASS_LISTS`."""
    return [name.strip() for name in text.split(',') if name.strip()]


def converted(changes: list[Parameter]) -> list[Parameter]:
    """`changes` in the type of the parameter, as in `depth.max 5` and `temporal.mode off`.

    rclpy rejects them by the type.
    """
    types = Parameter.Type
    return [
        Parameter(change.name, value=KNOWN[change.name].converted(change.value))
        if change.name in KNOWN and change.type_ in (types.INTEGER, types.INTEGER_ARRAY, types.BOOL)
        else change
        for change in changes
    ]
