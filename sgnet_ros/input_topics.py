# SPDX-License-Identifier: Apache-2.0
"""The topics that the node listens to: by what name, which type, and compressed or not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sgnet_ros.interface import CAMERA_INFO, DEPTH, DEPTH_CAMERA_INFO, RGB

STREAMS = {
    RGB: 'rgb',
    DEPTH: 'depth',
    CAMERA_INFO: 'camera_info',
    DEPTH_CAMERA_INFO: 'depth_camera_info',
}
"""Topic, before remapping -> its name in statistics."""
RAW = 'raw'
TRANSPORTS = {
    RGB: ('image_transport', (RAW, 'compressed')),
    DEPTH: ('depth_transport', (RAW, 'compressedDepth')),
}
"""Topic of images -> the parameter that says how they come, and what it may say."""
MOST_NAMED = 3


def declared_topic(node: Node, topic: str) -> str:
    """`rgb/image`, or `rgb/image/compressed` where that is how images come."""
    return _of_transport(topic, _transport(node, topic))


def resolved_topic(node: Node, topic: str) -> str:
    """The name after remapping, `/camera/color/image_raw/compressed`.

    As with image_transport, the suffix follows the remapping of the raw topic. The compressed
    topic may be remapped by itself, too.
    """
    return _resolved(node, topic, _transport(node, topic))


def topic_text(node: Node, topic: str) -> str:
    """`rgb/image (-> /camera/camera/color/image_raw)`: as declared and as resolved."""
    return f'{declared_topic(node, topic)} (-> {resolved_topic(node, topic)})'


def message_type(node: Node, topic: str) -> type:
    """The class of the messages of `topic`."""
    if topic not in TRANSPORTS:
        return CameraInfo
    return Image if _transport(node, topic) == RAW else CompressedImage


def published_otherwise(node: Node, topic: str) -> str:
    """Where and how else images of `topic` are published, for people; '' = nowhere."""
    parameter, transports = TRANSPORTS.get(topic, ('', ()))
    for transport in transports:
        name = _resolved(node, topic, transport)
        if transport != _transport(node, topic) and node.count_publishers(name):
            return f'{name} is published: {parameter}:={transport}'
    return ''


def published_alike(node: Node, topic: str) -> str:
    """Where else images, or camera_infos, are published, the nearest names first; '' = nowhere.

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
    return ', '.join(others[:MOST_NAMED])


def foreign_types(node: Node, topic: str, publishers: Iterable[TopicEndpointInfo]) -> str:
    """Which other types these publish, which it should be, and what to do; '' = none does."""
    expected = _type_name(node, topic)
    foreign = sorted({publisher.topic_type for publisher in publishers} - {expected})
    remedy = ''
    if expected == 'sensor_msgs/msg/Image' and any(
        name.endswith('/CompressedImage') for name in foreign
    ):
        parameter, (_, transport) = TRANSPORTS[topic]
        remedy = (
            f'; remap {topic} to the raw topic, without its suffix, and {parameter}:={transport}'
        )
    return f'{", ".join(foreign)}, not {expected}{remedy}' if foreign else ''


def _type_name(node: Node, topic: str) -> str:
    return f'sensor_msgs/msg/{message_type(node, topic).__name__}'


def _transport(node: Node, topic: str) -> str:
    return node.get_parameter(TRANSPORTS[topic][0]).value if topic in TRANSPORTS else RAW


def _of_transport(topic: str, transport: str) -> str:
    return topic if transport == RAW else f'{topic}/{transport}'


def _resolved(node: Node, topic: str, transport: str) -> str:
    name = _of_transport(topic, transport)
    resolved = node.resolve_topic_name(name)
    if transport == RAW or resolved != node.resolve_topic_name(name, only_expand=True):
        return resolved
    return node.resolve_topic_name(_of_transport(node.resolve_topic_name(topic), transport))
