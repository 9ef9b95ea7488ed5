# SPDX-License-Identifier: Apache-2.0
"""Depth to XYZ: hand-computed points, NumPy and torch alike."""

import torch
import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(width=7, height=5, fx=50.0, fy=40.0, cx=3.0, cy=1.5)


def test_points_equal_hand_computed_ones():
    depth_m = np.full((5, 7), 2.0, np.float32)
    xyz = depth_to_xyz(depth_m, CAMERA)
    assert xyz.shape == (3, 5, 7)
    assert xyz.dtype == np.float32
    np.testing.assert_allclose(xyz[:, 0, 0], [-0.12, -0.075, 2.0], rtol=1e-6)
    np.testing.assert_allclose(xyz[:, 4, 6], [0.12, 0.125, 2.0], rtol=1e-6)


def test_numpy_and_torch_agree_and_keep_nan():
    depth_m = np.random.default_rng(1).uniform(0.5, 8, (5, 7)).astype(np.float32)
    depth_m[2, 3] = np.nan
    ours = depth_to_xyz(torch.from_numpy(depth_m), CAMERA).numpy()
    np.testing.assert_array_equal(ours, depth_to_xyz(depth_m, CAMERA))
    assert np.isnan(ours[:, 2, 3]).all()
    assert np.isnan(ours).sum() == 3


def test_depth_to_xyz_rejects_intrinsics_of_another_size():
    with pytest.raises(InputError, match='depth is 7x4, the intrinsics are for 7x5'):
        depth_to_xyz(np.ones((4, 7), np.float32), CAMERA)
