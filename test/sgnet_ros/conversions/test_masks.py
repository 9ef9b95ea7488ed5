# SPDX-License-Identifier: Apache-2.0
"""Confidence and class names as messages; masks: test_images.py."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header, String

from sgnet_core.errors import InputError
from sgnet_ros.conversions import masks
from sgnet_ros.conversions.masks import (
    channel_info_to_msg,
    confidence_to_msg,
    label_info_to_msg,
    label_names_from_msg,
    label_names_to_msg,
    labelspace_to_msg,
)

HEADER = Header(frame_id='camera')


def test_confidence_uses_the_full_byte():
    confidence = np.array([[0.0, 0.5, 1.0, np.nan, 1.5, -0.1]], np.float32)
    assert list(confidence_to_msg(confidence, HEADER).data) == [0, 128, 255, 0, 255, 0]


def test_label_names_are_json():
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    msg = label_names_to_msg(('wall', 'floor'), palette)
    assert json.loads(msg.data) == [
        {'id': 0, 'name': 'wall', 'rgb': [1, 2, 3]},
        {'id': 1, 'name': 'floor', 'rgb': [4, 5, 6]},
    ]
    assert label_names_from_msg(msg) == ('wall', 'floor')


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        *(
            (text, 'not a JSON list')
            for text in ('', 'nonsense', '{}5', '[{"id": 0}]', '[1]', '{"id": 3}')
        ),
        ('[{"id": 0, "name": "a"}, {"id": 2, "name": "b"}]', r'\[0, 2\]'),
    ],
)
def test_invalid_label_names_are_rejected(text, error):
    with pytest.raises(InputError, match=error):
        label_names_from_msg(String(data=text))


def test_label_info_has_the_fields_of_vision_msgs(monkeypatch):
    @dataclass
    class VisionClass:
        class_id: int
        class_name: str

    @dataclass
    class LabelInfo:
        header: Header
        class_map: list
        threshold: float = 0.0

    package = SimpleNamespace(VisionClass=VisionClass, LabelInfo=LabelInfo)
    monkeypatch.setattr(masks, 'vision_msgs', package)
    info = label_info_to_msg(('wall', 'floor'), HEADER)
    assert info == LabelInfo(HEADER, [VisionClass(0, 'wall'), VisionClass(1, 'floor')])


def test_labelspace_and_channels_have_the_fields_of_their_packages(monkeypatch):
    """Hydra parses the metadata as JSON, and masks have 255."""
    labelspace = SimpleNamespace(Labelspace=SimpleNamespace)
    monkeypatch.setattr(masks, 'semantic_inference_msgs', labelspace)
    msg = labelspace_to_msg(('wall', 'chair', 'floor'), {'chair', 'bed'})
    assert (msg.names, msg.invalid) == (['wall', 'chair', 'floor'], [255])
    assert json.loads(msg.metadata) == {'object_labels': [1]}
    monkeypatch.setattr(masks, 'elevation_map_msgs', SimpleNamespace(ChannelInfo=SimpleNamespace))
    info = channel_info_to_msg(('wall', 'chair'), HEADER)
    assert (info.header, info.channels) == (HEADER, ['wall', 'chair'])
