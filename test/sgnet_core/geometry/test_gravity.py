# SPDX-License-Identifier: Apache-2.0
"""Gravity in known rooms, for single frames and for sequences."""

import math

import torch
import numpy as np
import pytest
from planes import CAMERA, room, rotation

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.data.synthetic.ray_casting import cast
from sgnet_core.errors import InputError
from sgnet_core.geometry import estimate_gravity
from sgnet_core.geometry.gravity import (
    GRAVITY_RADIUS_PX,
    GravityTracker,
    _smallest_eigenvector,
    estimate_down,
)
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.types import CameraIntrinsics


def degrees_between(one, other):
    return math.degrees(math.acos(min(float(np.dot(one, other)), 1.0)))


def coarse_normals(depth_m):
    return surface_normals(torch.from_numpy(depth_m).float(), CAMERA, GRAVITY_RADIUS_PX, step=4)


@pytest.fixture(scope='module')
def furnished_rooms():
    data = RoomDataset(4, (48, 64), seed=5, frames_per_room=1)
    return [(r.scene, r.trajectory.pose(0.0)) for r in map(data.room, range(len(data)))]


@pytest.mark.parametrize(
    ('pitch_deg', 'roll_deg'), [(0.0, 0.0), (-30.0, 0.0), (30.0, 0.0), (0.0, 30.0), (20.0, -20.0)]
)
def test_gravity_is_accurate_in_furnished_rooms(furnished_rooms, pitch_deg, roll_deg):
    camera = CameraIntrinsics(640, 480, 520.0, 525.0, 318.0, 241.0)
    down = np.array([0.0, 0.0, -1.0])
    for scene, pose in furnished_rooms:
        right = np.cross(down, pose[:3, 2])
        right /= np.linalg.norm(right)
        level = np.stack([right, down, np.cross(right, down)], axis=1)
        tilted = level @ rotation(pitch_deg, roll_deg)
        depth_m = 1 / cast(scene, tilted, pose[:3, 3], camera)[0]
        estimate = estimate_gravity(depth_m, camera)
        assert estimate.camera_height_m is None
        assert degrees_between(estimate.down, tilted.T @ down) < 1


def test_wall_alone_keeps_the_start():
    wall = coarse_normals(np.full(CAMERA.size, 2.0))
    np.testing.assert_allclose(estimate_down(wall), [0, 1, 0], atol=1e-6)
    before = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    np.testing.assert_allclose(estimate_down(wall, before), before, atol=1e-6)


def test_tracker_follows_an_ambiguous_tilt():
    """Tilted by 45 degrees and more, a wall looks as much like a floor as the floor does."""
    tracker = GravityTracker()
    for pitch_deg in np.arange(30.0, 56.0, 5.0):
        depth_m, _, gravity = room(pitch_deg)
        assert degrees_between(tracker.update(depth_m, CAMERA).down, gravity) < 1
    assert degrees_between(estimate_down(coarse_normals(depth_m)).numpy(), gravity) > 30
    tracker.reset()
    assert degrees_between(tracker.update(depth_m, CAMERA).down, gravity) > 30


def test_tracker_restarts_if_the_previous_estimate_does_not_fit():
    tracker = GravityTracker()
    for pitch_deg, roll_deg in [(-25.0, 0.0), (20.0, 18.0)]:
        depth_m, _, gravity = room(pitch_deg, roll_deg)
        assert degrees_between(tracker.update(depth_m, CAMERA).down, gravity) < 1


def test_tracker_keeps_its_estimate_without_depth():
    tracker = GravityTracker()
    nothing = np.full(CAMERA.size, np.nan, np.float32)
    np.testing.assert_array_equal(tracker.update(nothing, CAMERA).down, [0, 1, 0])
    before = tracker.update(room(20.0)[0], CAMERA).down
    np.testing.assert_allclose(tracker.update(nothing, CAMERA).down, before, atol=1e-12)
    with pytest.raises(InputError, match='117x90'):
        tracker.update(nothing[1:], CAMERA)


@pytest.mark.parametrize('scale', [1e-9, 1.0, 1e9])
def test_smallest_eigenvector_equals_eigh(scale):
    generator = torch.Generator().manual_seed(2)
    matrix = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64) * scale
    matrix = matrix + matrix.mT
    expected = torch.linalg.eigh(matrix).eigenvectors[..., 0]
    found = _smallest_eigenvector(matrix, torch.tensor([0.0, 1.0, 0.0]).double().expand(5, 3))
    torch.testing.assert_close(found, expected * expected[:, 1:2].sign())


def test_tracked_gravity_is_stable_in_a_real_sequence(research_data):
    data = FolderDataset(research_data / 'kinect_sequence')
    tracker = GravityTracker()
    samples = [data[index] for index in range(100, 103)]
    down = [
        sample.pose[:3, :3] @ tracker.update(sample.frame.depth_m, sample.frame.intrinsics).down
        for sample in samples
    ]
    assert np.degrees(np.arccos(np.clip(np.dot(down, down[0]), -1, 1))).max() < 2
