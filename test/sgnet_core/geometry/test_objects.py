# SPDX-License-Identifier: Apache-2.0
"""Objects of a generated scene with known boxes."""

import numpy as np
import pytest

from sgnet_core.geometry.objects import find_objects
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, SegmentationResult

CAMERA = CameraIntrinsics(90, 60, 50.0, 60.0, 44.5, 29.5)
CHAIR, WALL = 1, 0


@pytest.fixture
def scene():
    """A wall at 4 m, and two chairs at 2 and 3 m with a seam of background at their outlines."""
    labels = np.full(CAMERA.size, WALL, np.uint8)
    depth_m = np.full(CAMERA.size, 4.0, np.float32)
    confidence = np.full(CAMERA.size, 0.5, np.float32)
    for rows, columns, z, score in (
        (slice(10, 40), slice(10, 40), 2, 0.75),
        (slice(20, 50), slice(60, 80), 3, 1),
    ):
        labels[rows, columns], depth_m[rows, columns] = CHAIR, z
        confidence[rows, columns] = score
        depth_m[rows.start, columns] = depth_m[rows, columns.start] = 4.0
        depth_m[rows.start + 5, columns] = np.nan
    labels[0, :4] = UNLABELLED
    frame = RgbdFrame(np.zeros((*CAMERA.size, 3), np.uint8), depth_m, CAMERA)
    return frame, SegmentationResult(labels, confidence, ('wall', 'chair'))


def test_boxes_are_those_of_the_scene(scene):
    objects = find_objects(*scene, [CHAIR], 100)
    assert [item.class_id for item in objects] == [CHAIR, CHAIR]
    assert [item.score for item in objects] == pytest.approx([0.75, 1.0])
    for item, z, u, v in zip(
        objects, (2, 3), ((11, 39), (61, 79)), ((11, 39), (21, 49)), strict=True
    ):
        low = [(u[0] - 44.5) / 50 * z, (v[0] - 29.5) / 60 * z, z]
        high = [(u[1] - 44.5) / 50 * z, (v[1] - 29.5) / 60 * z, z]
        pixel = [2 * z / 50, 2 * z / 60, 1e-6]  # percentiles leave the outermost points out
        assert (np.abs(item.center_m - np.add(low, high) / 2) <= pixel).all()
        assert (np.abs(item.size_m - np.subtract(high, low)) <= pixel).all()


def test_small_regions_and_those_without_depth_are_no_objects(scene):
    frame, result = scene
    assert len(find_objects(frame, result, [CHAIR], 700)) == 1
    assert find_objects(frame, result, [CHAIR], 901) == []
    assert find_objects(frame, result, [7], 1) == []
    frame.depth_m[:, 50:] = np.nan
    assert len(find_objects(frame, result, [CHAIR], 1)) == 1


def test_diagonal_neighbours_are_one_region(scene):
    frame, result = scene
    result.labels[:] = WALL
    result.labels[5:15, 5:15] = result.labels[15:25, 15:25] = CHAIR
    assert len(find_objects(frame, result, [CHAIR], 1)) == 1
