# SPDX-License-Identifier: Apache-2.0
"""Runs the nodes of a test in one executor, with a camera that also subscribes."""

import array
import re
import struct
import time
from collections import defaultdict

import pytest
import rclpy
from fake_node import FakeSegmenter
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sgnet_ros.node.segmentation_node import SegmentationNode

DEADLINE_S = 90.0
SECOND = 10**9
T0 = 1_700_000_000 * SECOND + 7
MASK = '/segmentation/mask'
INPUT_NAMES = {
    'rgb/image': 'rgb',
    'depth/image': 'depth',
    'rgb/camera_info': 'info',
    'depth/camera_info': 'depth_info',
}


class RosHarness:
    """The nodes of a test, spun in the thread of the test."""

    def __init__(self, context, executor, read_stderr):
        self.context = context
        self.executor = executor
        self.nodes = []
        self.external_nodes = []
        self._read_stderr = read_stderr
        self._stderr = ''

    def log(self):
        """The log messages so far, as they appear on stderr."""
        self._stderr += self._read_stderr()
        # A message may have several lines (a traceback); the next one starts with its severity.
        return re.split(r'\n(?=\[(?:DEBUG|INFO|WARN|ERROR|FATAL)\])', self._stderr)

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def external_node(self, name):
        """A node with its own context, like one of another process; it is not spun."""
        context = Context()
        rclpy.init(context=context, domain_id=self.context.get_domain_id())
        self.external_nodes.append(Node(name, context=context))
        return self.external_nodes[-1]

    def spin_until(self, happened, what):
        """Let callbacks run until `happened()` is true; fail at the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not happened():
            if time.monotonic() > deadline:
                pytest.fail(f'after {DEADLINE_S:.0f} s: {what} did not happen')
            self.executor.spin_once(timeout_sec=0.05)

    def segmentation(
        self,
        segmenter,
        name='segmentation',
        namespace='/',
        camera='/cam',
        inputs=None,
        **parameters,
    ):
        """The node under test, called `name`; parameter names have `__` for a dot.

        Its inputs are topics of `camera`, or `inputs`: rgb, depth, camera_info.
        """
        overrides = [
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()
        ]
        names = {'__node': name, '__ns': namespace}
        names |= {topic: f'{camera}/{name}' for topic, name in INPUT_NAMES.items()}
        names |= zip(INPUT_NAMES, inputs or (), strict=False)
        arguments = [word for old, new in names.items() for word in ('-r', f'{old}:={new}')]
        node = self.add(
            SegmentationNode(
                lambda *options: segmenter,
                context=self.context,
                parameter_overrides=overrides,
                cli_args=['--ros-args', *arguments],
            )
        )
        node.start()
        return node

    def camera(self, reliable=True, name='/cam'):
        return Camera(self, reliable, name)

    def node_and_camera(self, segmenter=None, listen=(MASK,), **parameters):
        """Node and camera, connected, the camera listening to images or to `listen`: topic -> kind.

        Inputs are reliable unless told otherwise.
        """
        parameters = {'qos__input': 'reliable', **parameters}
        node = self.segmentation(segmenter or FakeSegmenter(), **parameters)
        camera = self.camera()
        for topic in listen:
            camera.listen(listen[topic] if isinstance(listen, dict) else Image, topic)
        camera.connect(*listen)
        self.subscribed(node, len(listen))
        return node, camera

    def subscribed(self, node, count=1):
        """Wait until `node` sees subscribers of `count` outputs."""
        self.spin_until(lambda: len(node._output_publishers.subscribed()) == count, 'subscribers')

    def wait_for_log(self, *texts):
        """Wait for a log message that contains all these texts; returns it."""

        def found():
            return [line for line in self.log() if all(text in line for text in texts)]

        self.spin_until(found, f'{texts} in the log')
        return found()[0]

    def wait_for_pairs(self, node, count):
        """Wait until `node` has made `count` pairs."""
        self.spin_until(lambda: node.counters.counts().pairs == count, f'{count} pairs')

    def wait_for_drops(self, node, **causes):
        """Wait until `node` has dropped exactly these numbers by cause."""
        self.spin_until(lambda: node.counters.counts().dropped == causes, f'{causes}')

    def call(self, camera, kind, service, request=None):
        """The response of a service."""
        client = camera.node.create_client(kind, service)
        self.spin_until(client.service_is_ready, service)
        answer = client.call_async(request or kind.Request())
        self.spin_until(answer.done, f'the answer of {service}')
        return answer.result()


class Camera:
    """Publishes the inputs of the node and stores its outputs by topic."""

    def __init__(self, world, reliable, name):
        self.world = world
        self.node = world.add(Node('camera', namespace=name, context=world.context))
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=20, reliability=reliability)
        self.rgb = self.node.create_publisher(Image, 'rgb', qos)
        self.depth = self.node.create_publisher(Image, 'depth', qos)
        self.info = self.node.create_publisher(CameraInfo, 'info', qos)
        self.depth_info = self.node.create_publisher(CameraInfo, 'depth_info', qos)
        self.frame = self.depth_frame = 'optical frame'
        self.received = defaultdict(list)

    def listen(self, kind, topic, qos=10):
        self.node.create_subscription(kind, topic, self.received[topic].append, qos)

    def wait(self, count=1, topic=MASK):
        """The first `count` messages of `topic`, when they have come."""
        messages = self.received[topic]
        self.world.spin_until(lambda: len(messages) >= count, f'{count} messages on {topic}')
        return messages

    def output_at(self, stamp_ns, topic=MASK):
        """The latest message of `topic`, when the one of this stamp has come."""
        messages = self.received[topic]
        self.world.spin_until(lambda: stamp_ns in stamps(messages), f'{topic} of {stamp_ns}')
        return messages[-1]

    def connect(self, *topics):
        """Wait until the node hears the camera and the camera the node's `topics`."""
        publishers = (self.rgb, self.depth, self.info)
        self.world.spin_until(
            lambda: (
                all(publisher.get_subscription_count() for publisher in publishers)
                and all(self.node.count_publishers(topic) for topic in topics)
            ),
            'discovery',
        )

    def send(self, stamp_ns, rgb=None, depth=None, info=None):
        """Publish camera_info and colour from `frame`, depth from `depth_frame`."""
        info = info or CameraInfo(width=6, height=4, k=[5.0, 0, 2.5, 0, 5.0, 1.5, 0, 0, 1.0])
        rgb = rgb or image('rgb8', bytes(range(72)))
        depth = depth or image('16UC1', struct.pack('<24H', *range(0, 4800, 200)))
        for publisher, message in ((self.info, info), (self.rgb, rgb), (self.depth, depth)):
            stamp = message.header.stamp
            stamp.sec, stamp.nanosec = divmod(stamp_ns, 10**9)
            message.header.frame_id = self.depth_frame if message is depth else self.frame
            publisher.publish(message)


def stamps(messages):
    return [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in messages]


def image(encoding, data, width=6, height=4):
    """An image with these bytes as data."""
    octets = array.array('B', data)
    return Image(
        height=height, width=width, encoding=encoding, step=len(data) // height, data=octets
    )


def camera_messages(width, height, depth_mm=1000):
    """Black colour, constant depth and camera_info of this size, arguments of `Camera.send`."""
    intrinsics = [5.0, 0, width / 2, 0, 5.0, height / 2, 0, 0, 1.0]
    return {
        'rgb': image('rgb8', bytes(3 * width * height), width, height),
        'depth': image('16UC1', struct.pack('<H', depth_mm) * width * height, width, height),
        'info': CameraInfo(width=width, height=height, k=intrinsics),
    }
