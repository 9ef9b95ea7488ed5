# SPDX-License-Identifier: Apache-2.0
"""TF look-ups with the fake and, if installed, the real tf2_ros."""

import fake_tf2
import numpy as np
import pytest
from fake_tf2 import stamped
from scipy.spatial.transform import Rotation

from sgnet_ros.compat import ros_api
from sgnet_ros.conversions.poses import rigid_transform
from sgnet_ros.input import tf_lookup
from sgnet_ros.input.tf_lookup import NoTransformError, TfLookup

SECOND = 10**9
T0 = 1_700_000_000 * SECOND + 7
TURN = Rotation.from_euler('xyz', [100.0, -20.0, 65.0], degrees=True)


@pytest.fixture(params=['fake', 'real'])
def tf(request, ros, monkeypatch):
    """(TfLookup, its buffer)."""
    from rclpy.node import Node

    if request.param == 'fake':
        monkeypatch.setattr(tf_lookup, 'tf2_ros', fake_tf2)
    elif ros_api.tf2_ros is None:
        pytest.skip(f'tf2_ros: {ros_api.CHOICES["tf2_ros"]}')
    node = ros.add(Node('listener', context=ros.context))
    reader = TfLookup(node)
    yield reader, reader._buffer
    reader.close()


def by_hand(translation, rotation):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation.as_matrix(), translation
    return matrix


def test_static_transforms_hold_at_any_time_in_both_directions(tf):
    reader, buffer = tf
    buffer.set_transform_static(stamped('rgb', 'depth', (0.05, -0.01, 0.002), TURN), 'test')
    expected = by_hand((0.05, -0.01, 0.002), TURN)
    for stamp_ns in (T0, 0, 5):
        np.testing.assert_allclose(reader.lookup('rgb', 'depth', stamp_ns), expected, atol=1e-12)
    back = reader.lookup('depth', 'rgb', T0)
    np.testing.assert_allclose(back @ expected, np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(reader.lookup('depth', 'depth', T0), np.eye(4))
    np.testing.assert_allclose(reader.lookup('/rgb', '/depth', T0), expected, atol=1e-12)
    assert reader.not_at_stamp == 0


def test_lookup_logs_if_it_uses_the_latest_transform(tf, ros):
    reader, buffer = tf
    for i in range(3):
        buffer.set_transform(stamped('odom', 'camera', (i, 0, 0), TURN, T0 + i * SECOND), 'test')
    for i in range(3):
        assert reader.lookup('odom', 'camera', T0 + i * SECOND)[0, 3] == pytest.approx(i)
    assert reader.not_at_stamp == 0
    near, far = T0 + 2 * SECOND + 30_000_000, T0 + 9 * SECOND
    for count, stamp_ns in enumerate((near, near, far), start=1):
        np.testing.assert_allclose(
            reader.lookup('odom', 'camera', stamp_ns), by_hand((2, 0, 0), TURN), atol=1e-12
        )
        assert reader.not_at_stamp == count
    log = [line for line in ros.log() if "from 'camera' to 'odom' is not available" in line]
    assert ['INFO' in log[0], '30 ms older' in log[0]] == [True, True]
    assert ['WARN' in log[1], '7000 ms older' in log[1]] == [True, True]
    assert len(log) == 2, 'small differences are logged once'


def test_unconnected_frames_are_reported(tf):
    reader, buffer = tf
    with pytest.raises(NoTransformError, match="no transform from 'camera' to 'odom' "):
        reader.lookup('odom', 'camera', T0)
    buffer.set_transform_static(stamped('rgb', 'depth'), 'test')
    for target, source in (('rgb', 'map'), ('', 'depth'), ('rgb', '')):
        with pytest.raises(NoTransformError, match=f'from {source!r} to {target!r}') as caught:
            reader.lookup(target, source, T0)
        assert caught.value.cause == 'no_transform'


def test_clear_keeps_static_transforms_only(tf):
    reader, buffer = tf
    buffer.set_transform_static(stamped('rgb', 'depth', (1, 2, 3)), 'test')
    buffer.set_transform(stamped('odom', 'rgb', stamp_ns=T0), 'test')
    reader.clear()
    assert reader.lookup('rgb', 'depth', T0)[:3, 3].tolist() == [1, 2, 3]
    with pytest.raises(NoTransformError, match="from 'rgb' to 'odom'"):
        reader.lookup('odom', 'rgb', T0)
    # After the jump of a looping bag, stamps are older.
    buffer.set_transform(stamped('odom', 'rgb', (4, 5, 6), stamp_ns=T0 - 3600 * SECOND), 'test')
    assert reader.lookup('odom', 'rgb', T0 - 3600 * SECOND)[:3, 3].tolist() == [4, 5, 6]


def test_rigid_transform_equals_scipy():
    rng = np.random.default_rng(3)
    for _ in range(20):
        translation, rotation = rng.normal(size=3), Rotation.random(random_state=rng)
        quaternion = rotation.as_quat() * rng.uniform(0.99, 1.01)
        np.testing.assert_allclose(
            rigid_transform([*translation, *quaternion]), by_hand(translation, rotation), atol=1e-12
        )
