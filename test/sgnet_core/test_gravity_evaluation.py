# SPDX-License-Identifier: Apache-2.0
"""Errors of gravity against known rotations, and flicker along a video with poses."""

import json

import cv2
import numpy as np
import pytest
from test_hha import CAMERA, room, rotation

from sgnet_core.__main__ import COMMANDS
from sgnet_core.cli import main
from sgnet_core.data.folder import FolderDataset
from sgnet_core.data.folder_writer import FolderWriter
from sgnet_core.data.sample import Sample
from sgnet_core.errors import DataError
from sgnet_core.gravity import GravityTracker
from sgnet_core.gravity_evaluation import read_rotations
from sgnet_core.types import CameraIntrinsics, RgbdFrame

TILTS = [(10.0, 4.0), (16.0, -3.0), (-12.0, 8.0)]


@pytest.fixture
def video(tmp_path):
    """Three views of a room, from one place, with poses; and the file of their rotations."""
    rows = []
    with FolderWriter(tmp_path / 'video', 'video', CAMERA, with_pose=True) as writer:
        for number, tilt in enumerate(TILTS, start=1):
            depth_m = room(*tilt)[0].astype(np.float32)
            rgb = np.zeros((*CAMERA.size, 3), np.uint8)
            pose = np.eye(4)
            pose[:3, :3] = rotation(*tilt).T
            writer.write(Sample(str(number), RgbdFrame(rgb, depth_m, CAMERA), None, pose))
            # Their camera looks along y, and z is up.
            axes = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
            rows.append(axes @ rotation(*tilt).T @ axes.T)
    np.savetxt(tmp_path / 'rotations.txt', np.concatenate(rows))
    return tmp_path


def figures(video, *options):
    arguments = ['--data', str(video / 'video'), *options, '--json', str(video / 'figures.json')]
    assert main('sgnet_core', COMMANDS, ['evaluate_gravity', *arguments]) == 0
    return json.loads((video / 'figures.json').read_text())


def test_errors_are_angles_with_known_rotations(video):
    found = figures(video, '--rotations', str(video / 'rotations.txt'))
    assert found['frames'] == 3
    assert found['estimate']['largest_deg'] < 1
    assert found['estimate']['share_within_5_deg'] == 1
    down = np.stack([rotation(*tilt)[:, 1] for tilt in TILTS])
    np.testing.assert_allclose(read_rotations(video / 'rotations.txt'), down, atol=1e-6)
    tilt_deg = np.degrees(np.arccos(down[:, 1]))
    assert found['level']['median_deg'] == pytest.approx(np.median(tilt_deg), abs=0.01)


def test_what_does_not_move_in_the_world_does_not_flicker(video):
    found = figures(video)
    assert found['single']['largest_deg'] < 1
    assert found['tracked']['largest_deg'] < 1


def test_what_evaluate_gravity_refuses(video, capsys):
    (video / 'rotations.txt').write_text('1 0 0\n0 1 0\n0 0 2\n')
    with pytest.raises(DataError, match='not all of its 1 matrices'):
        read_rotations(video / 'rotations.txt')
    (video / 'rotations.txt').write_text('1 0 0\n0 1 0\n0 0 1\n')
    options = ['--data', str(video / 'video'), '--rotations', str(video / 'rotations.txt')]
    assert main('sgnet_core', COMMANDS, ['evaluate_gravity', *options]) == 2
    assert "frame '2' is not a number from 1 to 1" in capsys.readouterr().err


def test_estimates_of_real_frames_are_near_the_published_rotations(research_data):
    """Depth at full precision; those rotations are by others."""
    down = read_rotations(research_data / 'nyuv2_meta' / 'camera_rotations_NYU.txt')
    camera = CameraIntrinsics(640, 480, 518.858, 519.470, 324.582, 252.736)
    for number in (1, 4):
        path = research_data / 'golden' / 'depth16' / f'nyu000{number}.depth.png'
        depth_m = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        cosine = GravityTracker().update(depth_m, camera).down @ down[number - 1]
        assert np.degrees(np.arccos(cosine)) < 2


def test_a_tracked_video_of_a_real_camera_holds_still(research_data):
    data = FolderDataset(research_data / 'kinect_sequence')
    tracker = GravityTracker()
    samples = [data[index] for index in range(100, 103)]
    down = [
        sample.pose[:3, :3] @ tracker.update(sample.frame.depth_m, sample.frame.intrinsics).down
        for sample in samples
    ]
    assert np.degrees(np.arccos(np.clip(np.dot(down, down[0]), -1, 1))).max() < 2
