# SPDX-License-Identifier: Apache-2.0
"""Colours of near, far and missing depth."""

import torch  # noqa: F401  before cv2
import numpy as np
import pytest

from sgnet_core.visualization.depth_colors import NO_DEPTH, depth_to_rgb


def test_near_is_blue_far_is_red_missing_is_grey():
    depth_m = np.tile(np.linspace(0.5, 8, 40, dtype=np.float32), (3, 1))
    depth_m[1] = np.nan
    depth_m[2, 5] = np.inf
    picture = depth_to_rgb(depth_m)
    near, far = picture[0, 0].astype(int), picture[0, -1].astype(int)
    assert near[2] > near[0] + 50
    assert far[0] > far[2] + 50
    np.testing.assert_array_equal(picture[1], np.broadcast_to(NO_DEPTH, (40, 3)))
    np.testing.assert_array_equal(picture[2, 5], NO_DEPTH)


def test_measured_depth_differs_from_missing_depth():
    picture = depth_to_rgb(np.linspace(0, 1, 1000, dtype=np.float32)[None])
    assert np.abs(picture.astype(int) - NO_DEPTH).max(-1).min() > 60


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('shape', [(4, 5), (0, 5)])
def test_depth_without_measurements_is_grey(shape):
    picture = depth_to_rgb(np.full(shape, np.nan, np.float32))
    assert picture.shape == (*shape, 3)
    assert (picture == NO_DEPTH).all()


def test_depth_range_can_be_fixed():
    one, two = np.full((2, 3), 2.0, np.float32), np.full((2, 3), 4.0, np.float32)
    np.testing.assert_array_equal(depth_to_rgb(one), depth_to_rgb(two))
    assert (depth_to_rgb(one, 1, 5) != depth_to_rgb(two, 1, 5)).any()
    np.testing.assert_array_equal(depth_to_rgb(one, 3, 5), depth_to_rgb(one - 1, 3, 5))
