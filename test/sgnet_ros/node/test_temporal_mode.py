# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS with `temporal.mode: scores`. The fake is sure of its class by 60 %."""

import fake_tf2
import numpy as np
import pytest
from fake_node import FakeSegmenter
from fake_tf2 import stamped
from ros_harness import SECOND, T0, image
from std_srvs.srv import Trigger

from sgnet_core.types import UNLABELLED
from sgnet_ros.input import tf_lookup

NEAR, FAR = 0, 1
NEAR_M, FAR_M = 1.96, 2.02
"""On both sides of the border of the fake, but the same surface."""


def mask_of(camera, stamp_ns, depth_m):
    """The mask (4, 6) of an image with this depth."""
    millimetres = np.rint(np.broadcast_to(1000 * np.array(depth_m), (4, 6))).astype(np.uint16)
    camera.send(stamp_ns, depth=image('16UC1', millimetres.tobytes()))
    return np.frombuffer(camera.output_at(stamp_ns).data, np.uint8).reshape(4, 6)


@pytest.fixture
def tf(monkeypatch):
    monkeypatch.setattr(tf_lookup, 'tf2_ros', fake_tf2)
    return lambda: fake_tf2.Buffer.latest


@pytest.mark.parametrize(
    ('mode', 'event', 'expected'),
    [
        ('off', None, FAR),
        (False, None, FAR),  # what `temporal.mode:=off` is in YAML
        ('scores', None, NEAR),
        ('scores', 'time jumps back', FAR),
        ('scores', 'reload', FAR),
    ],
)
def test_the_past_counts_until_time_jumps_or_the_model_is_reloaded(ros, mode, event, expected):
    node, camera = ros.node_and_camera(temporal__mode=mode)
    assert (mask_of(camera, T0, NEAR_M) == NEAR).all()
    if event == 'reload':
        assert ros.call(camera, Trigger, '/segmentation/reload_model').success
    stamp_ns = T0 + SECOND // 10 * (-1 if event == 'time jumps back' else 1)
    assert (mask_of(camera, stamp_ns, FAR_M) == expected).all()
    assert (mask_of(camera, stamp_ns + SECOND // 10, 2.5) == FAR).all(), 'another surface'
    warned = [line for line in ros.log() if 'temporal.mode: the camera is taken to stand' in line]
    assert len(warned) == (mode == 'scores')


@pytest.mark.parametrize('known', [False, True])
def test_the_past_moves_with_the_camera_if_tf_knows_it(ros, tf, known):
    """0.4 m at 2 m are one pixel of this camera."""
    node, camera = ros.node_and_camera(temporal__mode='scores', temporal__fixed_frame='map')
    later_ns = T0 + SECOND // 10
    if known:
        for stamp_ns, x_m in ((T0, 1.0), (later_ns, 1.4)):
            pose = stamped('map', 'optical frame', (x_m, 0, 0), stamp_ns=stamp_ns)
            tf().set_transform(pose, 'test')
    mask_of(camera, T0, [NEAR_M] * 3 + [FAR_M] * 3)
    near = 2 if known else 3
    expected = [NEAR] * near + [FAR] * (6 - near)
    assert (mask_of(camera, later_ns, FAR_M) == expected).all()
    text = "no transform from 'optical frame' to 'map'"
    warned = [line for line in ros.log() if text in line and 'set temporal.fixed_frame' in line]
    assert len(warned) == (not known)


def test_pixels_without_depth_have_no_past(ros):
    node, camera = ros.node_and_camera(FakeSegmenter(), temporal__mode='scores')
    mask_of(camera, T0, NEAR_M)
    mask = mask_of(camera, T0 + SECOND // 10, [0.0] * 3 + [FAR_M] * 3)
    assert (mask[:, 3:] == NEAR).all()
    assert (mask[:, :3] == FAR).all(), 'the fake scores holes as far'
    assert UNLABELLED not in mask
