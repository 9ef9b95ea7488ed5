# SPDX-License-Identifier: Apache-2.0
"""Camera poses from the TF of a bag."""

import numpy as np
import pytest
from fake_tf2 import stamped
from scipy.spatial.transform import Rotation

from sgnet_core.errors import DataError
from sgnet_ros.bag.frames import BagFrames
from sgnet_ros.bag.reader import Bag, standard_types
from sgnet_ros.bag.transforms import TF, TF_MESSAGE, TF_STATIC, BagTransforms
from sgnet_ros.bag.writer import BagWriter
from sgnet_ros.conversions.poses import pose_of, rigid_transform

MS = 1_000_000


def test_poses_of_a_written_bag_are_those_of_the_samples(bag_path, tiny_samples):
    with Bag(bag_path) as bag:
        read = list(BagFrames(bag, transforms=BagTransforms(bag, 'odom')))
    for sample, expected in zip(read, tiny_samples, strict=True):
        np.testing.assert_allclose(sample.pose, expected.pose, atol=1e-9)


@pytest.mark.parametrize('turn', [(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180), (20, -70, 150)])
def test_pose_and_matrix_are_inverse(turn):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', turn, degrees=True).as_matrix()
    matrix[:3, 3] = 1.0, -2.0, 3.0
    np.testing.assert_allclose(rigid_transform(pose_of(matrix)), matrix, atol=1e-12)


@pytest.fixture
def robot(tmp_path):
    """odom -> base at 100 ms and 200 ms; base -> mast -> camera is static. Leading slashes."""
    turn = Rotation.from_euler('z', 20, degrees=True)
    later = stamped('odom', '/base', (1, 0, 0), turn, 200 * MS)
    quaternion = later.transform.rotation
    for axis in 'xyzw':  # the same rotation
        setattr(quaternion, axis, -getattr(quaternion, axis))
    messages = [
        (TF_STATIC, stamped('base', 'mast', (0, 0, 2))),
        (TF_STATIC, stamped('mast', 'camera', (0.5, 0, 0))),
        (TF, stamped('/odom', 'base', (0, 0, 0), None, 100 * MS)),
        (TF, later),
    ]
    with BagWriter(tmp_path / 'robot') as writer:
        for topic in (TF, TF_STATIC):
            writer.add_topic(topic, TF_MESSAGE, latched=topic == TF_STATIC)
        types = standard_types()
        for topic, transform in messages:
            message = types.types[TF_MESSAGE]([transform])
            writer.write_cdr(topic, 100 * MS, types.serialize_cdr(message, TF_MESSAGE))
    with Bag(tmp_path / 'robot') as bag:
        yield bag


@pytest.mark.parametrize(('ms', 'share'), [(100, 0.0), (150, 0.5), (200, 1.0)])
def test_poses_are_interpolated_along_the_tree(robot, ms, share):
    pose = BagTransforms(robot, 'odom').pose('/camera', ms * MS)
    turn = Rotation.from_euler('z', 20 * share, degrees=True)
    np.testing.assert_allclose(pose[:3, :3], turn.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(pose[:3, 3], turn.apply([0.5, 0, 2]) + [share, 0, 0], atol=1e-9)


@pytest.mark.parametrize(('frame', 'ms'), [('camera', 99), ('camera', 201), ('other', 150)])
def test_unknown_poses_are_none(robot, frame, ms):
    assert BagTransforms(robot, 'odom').pose(frame, ms * MS) is None


def test_missing_fixed_frame_names_those_of_the_bag(robot):
    with pytest.raises(DataError, match="no transform from 'map' in TF; .*base, mast, odom"):
        BagTransforms(robot, 'map')
