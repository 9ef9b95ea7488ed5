# SPDX-License-Identifier: Apache-2.0
"""The node's topics and services, each declared once, and the names of its inputs at run time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from sgnet_core.errors import ConfigError
from sgnet_ros.compat.ros_api import elevation_map_msgs, semantic_inference_msgs, vision_msgs

RGB, DEPTH, CAMERA_INFO = 'rgb/image', 'depth/image', 'rgb/camera_info'
DEPTH_CAMERA_INFO = 'depth/camera_info'
STREAMS = {
    RGB: 'rgb',
    DEPTH: 'depth',
    CAMERA_INFO: 'camera_info',
    DEPTH_CAMERA_INFO: 'depth_camera_info',
}
"""Topic before remapping -> its name in the statistics."""
RAW = 'raw'
TRANSPORTS = {
    RGB: ('image_transport', (RAW, 'compressed')),
    DEPTH: ('depth_transport', (RAW, 'compressedDepth')),
}
"""Topic of images -> its transport parameter and the choices of that parameter."""
MAX_SUGGESTIONS = 3
RCLPY_TOPICS = {
    '/clock': 'rosgraph_msgs/msg/Clock',
    '/parameter_events': 'rcl_interfaces/msg/ParameterEvent',
    '/rosout': 'rcl_interfaces/msg/Log',
    '/tf': 'tf2_msgs/msg/TFMessage',
    '/tf_static': 'tf2_msgs/msg/TFMessage',
}
"""Topics that rclpy and tf2 use in every node -> type."""
HHA = '~/debug/hha'

SENSOR_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""REP 2003, unless `qos.input` says otherwise."""
OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
DIAGNOSTICS_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class Topic:
    """One topic or service of the node.

    Attributes:
        name: the name before remapping.
        kind: the message or service class, or its name if its package is not installed.
        content: the description in the documentation.
        qos: the QoS of the node; None for services.
    """

    name: str
    kind: type | str
    content: str
    qos: QoSProfile | None = None

    @property
    def type(self) -> str:
        """`sensor_msgs/Image`."""
        if isinstance(self.kind, str):
            return self.kind
        return f'{self.kind.__module__.partition(".")[0]}/{self.kind.__name__}'

    @property
    def is_available(self) -> bool:
        """Whether the package of the message is installed."""
        return not isinstance(self.kind, str)

    @property
    def switch(self) -> str:
        """The parameter that enables this output of frames."""
        return f'publish.{self.name.rpartition("/")[2]}'


INPUTS = (
    Topic(
        RGB, Image, 'Colour: rgb8 bgr8 rgba8 bgra8 mono8 yuv422 yuv422_yuy2 bayer_*8.', SENSOR_QOS
    ),
    Topic(
        DEPTH,
        Image,
        'Depth, registered to colour unless `depth.register` is true: 16UC1 or mono16 in '
        'millimetres, 0 invalid; 32FC1 in metres, NaN and ±Inf invalid.',
        SENSOR_QOS,
    ),
    Topic(
        CAMERA_INFO, CameraInfo, 'Intrinsics of colour, unless `camera.*` gives them.', SENSOR_QOS
    ),
    Topic(
        DEPTH_CAMERA_INFO,
        CameraInfo,
        'Intrinsics of depth, for `depth.register`. Otherwise the node compares the camera_info '
        'next to the depth topic with that of colour.',
        SENSOR_QOS,
    ),
)
COMPRESSED_INPUTS = (
    Topic(
        f'{RGB}/compressed',
        CompressedImage,
        f'Replaces `{RGB}` if `image_transport` is compressed: JPEG or PNG.',
        SENSOR_QOS,
    ),
    Topic(
        f'{DEPTH}/compressedDepth',
        CompressedImage,
        f'Replaces `{DEPTH}` if `depth_transport` is compressedDepth: PNG or RVL of 16UC1, mono16 '
        'or 32FC1.',
        SENSOR_QOS,
    ),
)

FRAME_OUTPUTS = (
    Topic('~/mask', Image, 'mono8: class id of every pixel, 255 = unlabelled.', OUTPUT_QOS),
    Topic('~/color', Image, 'rgb8: the class colours.', OUTPUT_QOS),
    Topic('~/overlay', Image, 'rgb8: the class colours over the colour image.', OUTPUT_QOS),
    Topic(
        '~/confidence',
        Image,
        'Probability of the chosen class, encoded by `confidence.encoding`.',
        OUTPUT_QOS,
    ),
    Topic(
        '~/points',
        PointCloud2,
        'Organised, in the optical frame of the colour camera: x y z (m, NaN without depth), rgb '
        '(`points.color`), label (uint8), confidence; every `points.stride`-th row and column.',
        OUTPUT_QOS,
    ),
    Topic('~/camera_info', CameraInfo, 'Intrinsics of the mask.', OUTPUT_QOS),
    Topic(
        '~/selected',
        Image,
        'mono8: 255 at pixels of `selected.classes`, 0 elsewhere.',
        OUTPUT_QOS,
    ),
    Topic(
        '~/depth_without_selected',
        Image,
        'Depth without the pixels of `selected.classes`, registered to colour, in encoding and '
        'unit of the input; no measurement is 0, or NaN in 32FC1.',
        OUTPUT_QOS,
    ),
    Topic(
        '~/probabilities',
        Image,
        '32FC(n): probabilities of `probabilities.classes`, a channel for each class; '
        'not published if it is empty.',
        OUTPUT_QOS,
    ),
    Topic(
        '~/channel_info',
        elevation_map_msgs.ChannelInfo if elevation_map_msgs else 'elevation_map_msgs/ChannelInfo',
        'Names of the channels of `~/probabilities`; needs elevation_map_msgs.',
        OUTPUT_QOS,
    ),
    Topic(
        '~/objects',
        vision_msgs.Detection3DArray if vision_msgs else 'vision_msgs/Detection3DArray',
        'Connected regions of `objects.classes`: class name, score, box in the optical frame of '
        'the colour camera; needs vision_msgs.',
        OUTPUT_QOS,
    ),
    Topic(
        HHA,
        Image,
        'rgb8: disparity, height, angle to gravity; 0 without depth.',
        OUTPUT_QOS,
    ),
)
"""In the order of publication: the mask never waits for the others."""
AVAILABLE_OUTPUTS = tuple(topic for topic in FRAME_OUTPUTS if topic.is_available)

LABELS = Topic('~/labels', String, 'JSON: id, name and rgb of every class.', LATCHED_QOS)
LABEL_INFO = Topic(
    '~/label_info',
    vision_msgs.LabelInfo if vision_msgs else 'vision_msgs/LabelInfo',
    'Id and name of every class; needs vision_msgs.',
    LATCHED_QOS,
)
LABELSPACE = Topic(
    '~/labelspace',
    semantic_inference_msgs.Labelspace
    if semantic_inference_msgs
    else 'semantic_inference_msgs/Labelspace',
    'Names of the classes, 255 as invalid, and `objects.classes` as object_labels; needs '
    'semantic_inference_msgs.',
    LATCHED_QOS,
)
CHANNELS = Topic(
    '~/channels', String, 'JSON: names of the channels of `~/probabilities`.', LATCHED_QOS
)
CLASS_OUTPUTS = (LABELS, LABEL_INFO, LABELSPACE, CHANNELS)
"""Published when the classes change."""
DIAGNOSTICS = Topic(
    '/diagnostics',
    DiagnosticArray,
    'Rates, drops by cause, latency and time of each stage, device, network.',
    DIAGNOSTICS_QOS,
)
BUNDLED_MODEL = 'bundled model'
"""The checkpoint in /diagnostics if the parameter is empty."""
OUTPUTS = (*FRAME_OUTPUTS, *CLASS_OUTPUTS, DIAGNOSTICS)

ENABLE = Topic(
    '~/enable',
    SetBool,
    'Activate or deactivate the node. The network stays loaded.',
)
RELOAD_MODEL = Topic(
    '~/reload_model',
    Trigger,
    'Load the checkpoint of the parameter, which may have changed. The present network works until '
    'then, and stays on failure. An unconfigured node is configured.',
)
SAVE_SNAPSHOT = Topic(
    '~/save_snapshot',
    Trigger,
    'Write the latest frame, its mask and the state of the node to a new folder in '
    '`snapshot.folder`: a dataset of one frame for a bug report.',
)
SERVICES = (ENABLE, RELOAD_MODEL, SAVE_SNAPSHOT)


def declared_topic(node: Node, topic: str) -> str:
    """`rgb/image`, or `rgb/image/compressed` for the compressed transport."""
    return _with_suffix(topic, _transport(node, topic))


def resolved_topic(node: Node, topic: str) -> str:
    """The name after remapping: `/camera/color/image_raw/compressed`.

    As in image_transport, the suffix is added after the remapping of the raw topic. A remapping of
    the compressed topic takes precedence.
    """
    return _resolved(node, topic, _transport(node, topic))


def topic_text(node: Node, topic: str) -> str:
    """Declared and resolved name: `rgb/image (-> /camera/camera/color/image_raw)`."""
    return f'{declared_topic(node, topic)} (-> {resolved_topic(node, topic)})'


def message_type(node: Node, topic: str) -> type:
    """The message class of `topic`."""
    if topic not in TRANSPORTS:
        return CameraInfo
    return Image if _transport(node, topic) == RAW else CompressedImage


def other_transport(node: Node, topic: str) -> str:
    """The other transport that is published, with the remedy; '' if none is."""
    parameter, transports = TRANSPORTS.get(topic, ('', ()))
    for transport in transports:
        name = _resolved(node, topic, transport)
        if transport != _transport(node, topic) and node.count_publishers(name):
            return f'{name} is published: {parameter}:={transport}'
    return ''


def same_type_topics(node: Node, topic: str) -> str:
    """Other published topics of the same type, most similar names first; '' if there are none.

    Drivers rename their topics from version to version.
    """
    name, expected = resolved_topic(node, topic), _type_name(node, topic)
    known = {resolved_topic(node, own) for own in STREAMS}
    others = [
        other
        for other, types in node.get_topic_names_and_types()
        if expected in types
        and other not in known
        and not other.startswith(f'{node.get_fully_qualified_name()}/')
        and node.count_publishers(other)
    ]
    others.sort(key=lambda other: -SequenceMatcher(None, name, other).ratio())
    return ', '.join(others[:MAX_SUGGESTIONS])


def other_types(node: Node, topic: str, publishers: Iterable[TopicEndpointInfo]) -> str:
    """Other types of these publishers, the expected type and the remedy; '' if all match."""
    expected = _type_name(node, topic)
    unexpected = sorted({publisher.topic_type for publisher in publishers} - {expected})
    remedy = ''
    if expected == 'sensor_msgs/msg/Image' and any(
        name.endswith('/CompressedImage') for name in unexpected
    ):
        parameter, (_, transport) = TRANSPORTS[topic]
        remedy = (
            f'; remap {topic} to the raw topic, without its suffix, and {parameter}:={transport}'
        )
    return f'{", ".join(unexpected)}, not {expected}{remedy}' if unexpected else ''


def check_topic_types(node: Node) -> None:
    """Raise ConfigError if remapping gives one topic to endpoints of different types.

    The middleware refuses the second endpoint without a reason.
    """
    used = {name: (name, kind) for name, kind in RCLPY_TOPICS.items()}
    wanted = [(topic, resolved_topic(node, topic), _type_name(node, topic)) for topic in STREAMS]
    wanted += [
        (topic.name, node.resolve_topic_name(topic.name), topic.type.replace('/', '/msg/'))
        for topic in OUTPUTS
    ]
    for topic, name, kind in wanted:
        other, other_kind = used.setdefault(name, (topic, kind))
        if kind != other_kind:
            raise ConfigError(
                f'{topic} (-> {name}) needs {kind}, but {other} has the same topic with '
                f'{other_kind}; remap {topic} to another topic'
            )


def _type_name(node: Node, topic: str) -> str:
    return f'sensor_msgs/msg/{message_type(node, topic).__name__}'


def _transport(node: Node, topic: str) -> str:
    return node.get_parameter(TRANSPORTS[topic][0]).value if topic in TRANSPORTS else RAW


def _with_suffix(topic: str, transport: str) -> str:
    return topic if transport == RAW else f'{topic}/{transport}'


def _resolved(node: Node, topic: str, transport: str) -> str:
    name = _with_suffix(topic, transport)
    resolved = node.resolve_topic_name(name)
    if transport == RAW or resolved != node.resolve_topic_name(name, only_expand=True):
        return resolved
    return node.resolve_topic_name(_with_suffix(node.resolve_topic_name(topic), transport))
