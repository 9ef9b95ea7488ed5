# SPDX-License-Identifier: Apache-2.0
"""Masks of a sequence, carried from frame to frame by depth and poses."""

import dataclasses

import numpy as np
import pytest

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.errors import InputError
from sgnet_core.evaluation import Evaluation
from sgnet_core.evaluation.temporal_consistency import STRIDE, TemporalConsistency
from sgnet_core.inference.temporal_fusion import (
    DEPTH_TOLERANCE,
    MAX_ROTATION_RAD,
    MAX_TRANSLATION_M,
)
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample, SegmentationResult

SIZE = (40, 62)
CAMERA = CameraIntrinsics(SIZE[1], SIZE[0], 50.0, 52.0, 30.3, 19.1)


def wall(distance_m, moved_m=0.0):
    """A wall, seen by a camera that has moved to the right along it."""
    pose = np.eye(4)
    pose[0, 3] = moved_m
    rgb = np.zeros((*SIZE, 3), np.uint8)
    return Sample('0', RgbdFrame(rgb, np.full(SIZE, distance_m, np.float32), CAMERA), pose=pose)


def counted(*sequence):
    consistency = TemporalConsistency()
    for sample, labels in sequence:
        consistency.update(sample, labels)
    return consistency.to_json()


def labels_of(rng, share_unlabelled=0.0):
    labels = rng.integers(0, 5, SIZE).astype(np.uint8)
    labels[rng.random(SIZE) < share_unlabelled] = UNLABELLED
    return labels


def test_agreement_follows_the_surface_not_the_image():
    labels = labels_of(np.random.default_rng(3))
    # 0.2 m at 2 m are 5 pixels of this camera.
    still, moved = wall(2.0), wall(2.0, 0.2)
    carried = np.roll(labels, -5, axis=1)
    metrics = counted((still, labels), (moved, carried))
    columns = len(range(0, SIZE[1] - 5, STRIDE))
    assert metrics == {'frames': 1, 'pixels': SIZE[0] // STRIDE * columns, 'agreement': 1.0}
    assert counted((still, labels), (moved, labels))['agreement'] == pytest.approx(0.2, abs=0.05)


def test_hidden_surfaces_are_not_compared():
    labels = labels_of(np.random.default_rng(4))
    near = 2.0 * (1 - 1.1 * DEPTH_TOLERANCE)
    assert counted((wall(near), labels), (wall(2.0), labels)) is None
    back = wall(0.3)
    back.pose[2, 3] = -0.4
    assert counted((wall(0.3), labels), (back, labels)) is None


def test_missing_pose_ends_a_sequence():
    labels = labels_of(np.random.default_rng(5))
    lost = dataclasses.replace(wall(2.0), pose=None)
    assert counted((wall(2.0), labels), (lost, labels), (wall(2.0), labels)) is None


def turned(angle_rad):
    pose = np.eye(4)
    pose[:2, :2] = [
        [np.cos(angle_rad), -np.sin(angle_rad)],
        [np.sin(angle_rad), np.cos(angle_rad)],
    ]
    return dataclasses.replace(wall(2.0), pose=pose)


def test_camera_jump_ends_a_sequence():
    labels = labels_of(np.random.default_rng(8))
    for near, far in (
        (wall(2.0, 0.9 * MAX_TRANSLATION_M), wall(2.0, 1.1 * MAX_TRANSLATION_M)),
        (turned(0.9 * MAX_ROTATION_RAD), turned(-1.1 * MAX_ROTATION_RAD)),
    ):
        assert counted((wall(2.0), labels), (near, labels))['frames'] == 1
        assert counted((wall(2.0), labels), (far, labels)) is None


def test_invalid_pose_ends_a_sequence_and_is_an_error_without_labels(caplog):
    labels = labels_of(np.random.default_rng(9))
    bad = dataclasses.replace(wall(2.0), pose=np.diag([2.0, 2, 2, 1]))
    with pytest.raises(InputError, match='pose of frame 0 is not a rotation'):
        counted((wall(2.0), labels), (bad, labels))
    labelled = dataclasses.replace(bad, labels=labels)
    assert counted((wall(2.0), labels), (labelled, labels), (labelled, labels)) is None
    assert caplog.text.count('is not a rotation and translation') == 1


def naive(before, labels_before, sample, labels):
    """Loops over pixels, through world coordinates."""
    pixels = agreeing = 0
    camera = sample.frame.intrinsics
    for v in range(0, camera.height, STRIDE):
        for u in range(0, camera.width, STRIDE):
            z = float(sample.frame.depth_m[v, u])
            if np.isnan(z) or labels[v, u] == UNLABELLED:
                continue
            seen = [(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z, 1]
            x, y, z, _ = np.linalg.inv(before.pose) @ (sample.pose @ seen)
            if z <= 0:
                continue
            column = round(x / z * camera.fx + camera.cx)
            row = round(y / z * camera.fy + camera.cy)
            if not (0 <= column < camera.width and 0 <= row < camera.height):
                continue
            difference = abs(float(before.frame.depth_m[row, column]) - z)
            if difference <= DEPTH_TOLERANCE * z and labels_before[row, column] != UNLABELLED:
                pixels += 1
                agreeing += labels_before[row, column] == labels[v, u]
    return pixels, agreeing


def test_agreement_equals_loops_over_pixels():
    rng = np.random.default_rng(6)
    rooms = RoomDataset(3, frames_per_room=3, seed=5, size=(48, 64), rate_hz=4.0)
    sequence = [(sample, sample.labels) for sample in rooms]
    sequence = [(s, np.where(rng.random(t.shape) < 0.2, np.uint8(7), t)) for s, t in sequence]
    expected = np.sum([naive(*sequence[i], *sequence[i + 1]) for i in range(2)], axis=0)
    metrics = counted(*sequence)
    # Rounding in float32 may put a point into the next pixel.
    assert metrics['pixels'] == pytest.approx(expected[0], rel=0.005)
    assert metrics['agreement'] == pytest.approx(expected[1] / expected[0], abs=0.005)
    assert metrics['pixels'] > 1000


def test_parts_of_a_sequence_add_up():
    rng = np.random.default_rng(7)
    sequence = [(wall(2.0, 0.04 * i), labels_of(rng, 0.1)) for i in range(6)]
    confidence = np.ones(SIZE, np.float32)
    sequence = [(s, SegmentationResult(t, confidence, tuple('abcde'))) for s, t in sequence]
    whole, first, second = (Evaluation('abcde') for _ in range(3))
    second.start_after(*sequence[2])
    for i, pair in enumerate(sequence):
        whole.update(*pair)
        (first if i < 3 else second).update(*pair)
    first.add(second)
    metrics = first.to_json()
    assert metrics == whole.to_json()
    assert metrics['temporal_consistency']['frames'] == 5
    assert metrics['frames'] == 6
    assert metrics['miou'] is None


def test_depth_mask_of_a_kinect_sequence_agrees(research_data):
    """A mask of the pixels beyond 2 m."""
    data = FolderDataset(research_data / 'kinect_sequence')
    sequence = [data[i] for i in range(3)]
    metrics = counted(*((s, (s.frame.depth_m > 2).astype(np.uint8)) for s in sequence))
    assert metrics['agreement'] > 0.95
    assert metrics['pixels'] > 50_000
