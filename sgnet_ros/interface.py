# SPDX-License-Identifier: Apache-2.0
"""The node's topics and services, each declared once; the README's tables are made of this."""

from __future__ import annotations

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from sgnet_ros.ros_api import vision_msgs

RGB, DEPTH, CAMERA_INFO = 'rgb/image', 'depth/image', 'rgb/camera_info'
DEPTH_CAMERA_INFO = 'depth/camera_info'

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
    """One topic, or service, of the node.

    Attributes:
        name: before remapping.
        kind: its message or service class; the name of a class of a package that is not installed.
        content: for people.
        qos: of the node's end; None for services.
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
    def switch(self) -> str:
        """Of an output made of frames: the parameter that allows it."""
        return f'publish.{self.name.rpartition("/")[2]}'


INPUTS = (
    Topic(
        RGB, Image, 'colour: rgb8 bgr8 rgba8 bgra8 mono8 yuv422 yuv422_yuy2 bayer_*8', SENSOR_QOS
    ),
    Topic(
        DEPTH,
        Image,
        'depth, registered to colour unless `depth.register`: 16UC1 or mono16 in millimetres, 0 '
        'invalid; 32FC1 in metres, NaN and ±Inf invalid',
        SENSOR_QOS,
    ),
    Topic(CAMERA_INFO, CameraInfo, 'the colour camera; or the parameters `camera.*`', SENSOR_QOS),
    Topic(DEPTH_CAMERA_INFO, CameraInfo, 'the depth camera, with `depth.register`', SENSOR_QOS),
)
COMPRESSED_INPUTS = (
    Topic(
        f'{RGB}/compressed',
        CompressedImage,
        f'instead of `{RGB}`, where `image_transport` is compressed: JPEG or PNG',
        SENSOR_QOS,
    ),
    Topic(
        f'{DEPTH}/compressedDepth',
        CompressedImage,
        f'instead of `{DEPTH}`, where `depth_transport` is compressedDepth: PNG or RVL of 16UC1, '
        'mono16 or 32FC1',
        SENSOR_QOS,
    ),
)

FRAME_OUTPUTS = (
    Topic('~/mask', Image, 'mono8: class id of every pixel, 255 = unlabelled', OUTPUT_QOS),
    Topic('~/color', Image, 'rgb8: the class colours', OUTPUT_QOS),
    Topic('~/overlay', Image, 'rgb8: the class colours over the colour image', OUTPUT_QOS),
    Topic(
        '~/confidence',
        Image,
        'probability of the chosen class: mono8, 255 = 1; or 32FC1 (`confidence.encoding`)',
        OUTPUT_QOS,
    ),
    Topic(
        '~/points',
        PointCloud2,
        'organised, in the optical frame of the colour camera: x y z (m, NaN where there is no '
        'depth), rgb, label (uint8), confidence; every `points.stride`-th row and column',
        OUTPUT_QOS,
    ),
    Topic('~/camera_info', CameraInfo, 'goes with the mask', OUTPUT_QOS),
    Topic(
        '~/debug/hha',
        Image,
        'rgb8: disparity, height, angle with gravity; 0 where there is no depth',
        OUTPUT_QOS,
    ),
)
"""In the order in which they are published: the mask never waits for the others."""

LABELS = Topic('~/labels', String, 'JSON: id, name and rgb of every class', LATCHED_QOS)
LABEL_INFO = Topic(
    '~/label_info',
    vision_msgs.LabelInfo if vision_msgs else 'vision_msgs/LabelInfo',
    'id and name of every class, where vision_msgs is installed',
    LATCHED_QOS,
)
DIAGNOSTICS = Topic(
    '/diagnostics',
    DiagnosticArray,
    'rates, drops by cause, latency and the time of each stage, device, network',
    DIAGNOSTICS_QOS,
)
OUTPUTS = (*FRAME_OUTPUTS, LABELS, LABEL_INFO, DIAGNOSTICS)

ENABLE = Topic(
    '~/enable',
    SetBool,
    'activate or deactivate: the network stays loaded, nothing is received or computed',
)
RELOAD_MODEL = Topic(
    '~/reload_model',
    Trigger,
    'load the checkpoint again, while the present network works on; it stays where that fails',
)
SAVE_SNAPSHOT = Topic(
    '~/save_snapshot',
    Trigger,
    'write colour, depth, intrinsics and mask of the latest frame, and what is known about the '
    'node, to a new folder of `snapshot.folder`: a data set of one frame, for a bug report',
)
SERVICES = (ENABLE, RELOAD_MODEL, SAVE_SNAPSHOT)
