# SPDX-License-Identifier: Apache-2.0
"""Class masks, confidence and class names to messages and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from sgnet_core.io.text_files import parse_json
from sgnet_core.types import UNLABELLED
from sgnet_ros.compat.ros_api import elevation_map_msgs, semantic_inference_msgs, vision_msgs
from sgnet_ros.conversions.images import MessageError, image_to_msg, pixel_rows

CONFIDENCE_ENCODINGS = ('mono8', '32FC1')


def mask_to_msg(labels: np.ndarray, header: Header) -> Image:
    """(H, W) uint8 class ids, 255 = unlabelled, to mono8."""
    return image_to_msg(labels, 'mono8', header)


def mask_from_msg(msg: Image) -> np.ndarray:
    """(H, W) uint8 class ids of a mono8 or 8UC1 image; MessageError if it is invalid."""
    if msg.encoding not in ('mono8', '8UC1'):
        raise MessageError(f'a class mask must be mono8 or 8UC1, got {msg.encoding!r}')
    return pixel_rows(msg, msg.width).copy()


def confidence_to_msg(
    confidence: np.ndarray, header: Header, encoding: str = CONFIDENCE_ENCODINGS[0]
) -> Image:
    """(H, W) float32 in [0, 1] to 32FC1 unchanged, or to mono8 where 255 is 1."""
    if encoding == '32FC1':
        return image_to_msg(confidence, encoding, header)
    grey = cv2.convertScaleAbs(np.clip(confidence, 0.0, 1.0), alpha=255)  # NaN becomes 0
    return image_to_msg(grey, 'mono8', header)


def label_names_to_msg(class_names: Sequence[str], palette: np.ndarray) -> String:
    """The message of `~/labels`: a JSON list of `{"id": 0, "name": "wall", "rgb": [r, g, b]}`."""
    entries = [
        {'id': index, 'name': name, 'rgb': [int(value) for value in palette[index]]}
        for index, name in enumerate(class_names)
    ]
    return String(data=json.dumps(entries))


def label_names_from_msg(msg: String) -> tuple[str, ...]:
    """The class names of `label_names_to_msg`, by id; MessageError if it is not of this form."""
    try:
        entries = sorted(parse_json(msg.data, 'class names'), key=lambda entry: entry['id'])
        names = tuple(str(entry['name']) for entry in entries)
        ids = [entry['id'] for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise MessageError(f'not a JSON list of id and name: {msg.data[:80]!r}') from error
    if ids != list(range(len(ids))):
        raise MessageError(f'class ids must be 0, 1, 2, ..., got {ids}')
    return names


def labelspace_to_msg(class_names: Sequence[str], objects: Sequence[str]) -> Any:
    """semantic_inference_msgs/Labelspace of the classes. Needs `semantic_inference_msgs`.

    Args:
        objects: the classes whose regions are objects.
    """
    metadata = {'object_labels': [at for at, name in enumerate(class_names) if name in objects]}
    return semantic_inference_msgs.Labelspace(
        names=list(class_names), invalid=[UNLABELLED], metadata=json.dumps(metadata)
    )


def probabilities_to_msg(probabilities: np.ndarray, header: Header) -> Image:
    """(H, W, n) float32 in [0, 1] to 32FC(n), one channel for each class."""
    return image_to_msg(probabilities, f'32FC{probabilities.shape[2]}', header)


def channel_info_to_msg(class_names: Sequence[str], header: Header) -> Any:
    """elevation_map_msgs/ChannelInfo of `probabilities_to_msg`. Needs `elevation_map_msgs`."""
    return elevation_map_msgs.ChannelInfo(header=header, channels=list(class_names))


def label_info_to_msg(class_names: Sequence[str], header: Header) -> Any:
    """vision_msgs/LabelInfo of the classes. Needs `vision_msgs`."""
    classes = enumerate(class_names)
    class_map = [vision_msgs.VisionClass(class_id=at, class_name=name) for at, name in classes]
    return vision_msgs.LabelInfo(header=header, class_map=class_map)
