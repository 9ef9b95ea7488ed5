# SPDX-License-Identifier: Apache-2.0
"""Compares the declared topics and services with the ROS graph."""

import pytest
from fake_node import FakeSegmenter

from sgnet_ros.compat import ros_api
from sgnet_ros.topics import (
    COMPRESSED_INPUTS,
    DEPTH_CAMERA_INFO,
    INPUTS,
    OUTPUTS,
    SERVICES,
    STREAMS,
    declared_topic,
    resolved_topic,
)

OF_RCLPY = ('/parameter_events', '/rosout', '/segmentation/transition_event')


def full(kind, interface):
    package, name = kind.split('/')
    return f'{package}/{interface}/{name}'


@pytest.mark.parametrize('transports', [('raw', 'raw'), ('compressed', 'compressedDepth')])
def test_node_has_the_declared_topics_and_services(ros, transports):
    node = ros.segmentation(
        FakeSegmenter(),
        depth__register=True,
        depth__extrinsics=[0.0] * 6 + [1.0],
        image_transport=transports[0],
        depth_transport=transports[1],
    )
    assert {topic.name for topic in INPUTS} == set(STREAMS)
    by_name = {topic.name: topic for topic in (*INPUTS, *COMPRESSED_INPUTS)}
    inputs = {resolved_topic(node, name): by_name[declared_topic(node, name)] for name in STREAMS}
    declared = {}
    for topics, infos in (
        (inputs, node.get_subscriptions_info_by_topic),
        (
            {node.resolve_topic_name(topic.name): topic for topic in OUTPUTS},
            node.get_publishers_info_by_topic,
        ),
    ):
        for resolved, topic in topics.items():
            if isinstance(topic.kind, str):
                assert ros_api.vision_msgs is None
                assert infos(resolved) == []
                continue
            (info,) = infos(resolved)
            assert info.topic_type == full(topic.type, 'msg')
            for policy in ('reliability', 'durability'):
                wanted = getattr(topic.qos, policy)
                # Policies that are not set read SYSTEM_DEFAULT.
                if wanted.name != 'SYSTEM_DEFAULT':
                    assert getattr(info.qos_profile, policy) == wanted, topic
            declared[resolved] = topic
    found = {name for name, _ in node.get_topic_names_and_types()}
    assert found - set(OF_RCLPY) == set(declared)
    assert node.resolve_topic_name(DEPTH_CAMERA_INFO) in declared
    services = dict(node.get_service_names_and_types())
    for service in SERVICES:
        resolved = node.resolve_service_name(service.name)
        assert services[resolved] == [full(service.type, 'srv')]
