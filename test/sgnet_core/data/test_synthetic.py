# SPDX-License-Identifier: Apache-2.0
"""Synthetic rooms: exact, deterministic, varied, and consistent between views."""

import cv2
import numpy as np
import pytest

from sgnet_core.cli.runner import run_command
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.data.synthetic.camera import room_camera
from sgnet_core.data.synthetic.furniture import LABEL
from sgnet_core.data.synthetic.materials import Material
from sgnet_core.data.synthetic.ray_casting import assemble, cast
from sgnet_core.data.synthetic.solids import box, cone, rotation
from sgnet_core.errors import InputError
from sgnet_core.evaluation.temporal_consistency import STRIDE, TemporalConsistency
from sgnet_core.labels import NYU40

SIZE = (90, 122)
PAINT = Material('plain', np.full((3, 3), 0.5, np.float32))
# A camera that looks along world +y with its image upright.
LOOK_ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def naive_depth(solids, pose, position, camera):
    """Rays clipped by every plane of every solid in float64; the first solid is the room."""
    v, u = np.indices(camera.size)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, u * 0 + 1], -1)
    depth = np.full(camera.size, np.inf)
    for index, solid in enumerate(solids):
        # Adding 0.0 turns -0.0 into 0.0, so parallel planes are at +inf, or -inf if outside.
        along = rays @ (solid.normals @ pose).T + 0.0
        with np.errstate(divide='ignore'):
            distance = (solid.offsets - solid.normals @ position) / along
        enter = np.where(along < 0, distance, 0).max(axis=-1)
        leave = np.where(along >= 0, distance, np.inf).min(axis=-1)
        hit = np.where(enter <= leave, enter if index else leave, np.inf)
        depth = np.minimum(depth, hit)
    return depth


def test_cast_equals_clipping_of_single_rays():
    camera = room_camera((33, 46))
    room = box((0, 0, 0), (4.0, 4.5, 2.6), 0, PAINT)
    solids = [
        box((1.0, 2.5, 0.0), (2.1, 3.4, 0.8), 3, PAINT),
        box((-0.4, -0.3, 0.0), (0.4, 0.3, 1.4), 4, PAINT, 0.1).placed(
            rotation(2, 0.7), np.array([2.8, 3.0, 0])
        ),
        cone((1.4, 2.0), (0.3, 0.15), (0.0, 1.1), 5, PAINT),
        # Reaches behind the camera.
        box((2.3, 0.0, 0.0), (2.5, 4.0, 0.9), 6, PAINT),
    ]
    position = np.array([1.9, 0.6, 1.25])
    pose = rotation(2, 0.2) @ LOOK_ALONG_Y
    inverse, _ = cast(assemble(solids, [room]), pose, position, camera)
    expected = naive_depth([room, *solids], pose, position, camera)
    different = np.abs(1 / inverse - expected) > 1e-4
    # A ray that grazes an edge may fall to either side of it in float32.
    assert different.mean() < 0.002


def assert_same(one, other):
    """Equal but for depth."""
    assert one.id == other.id
    np.testing.assert_array_equal(one.frame.rgb, other.frame.rgb)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.pose, other.pose)


def test_frame_does_not_depend_on_frames_read_before():
    forwards = RoomDataset(7, SIZE, seed=3, frames_per_room=2, sensor_noise=True)
    backwards = RoomDataset(7, SIZE, seed=3, frames_per_room=2, sensor_noise=True)
    expected = [forwards[i] for i in range(7)]
    for i in (6, 0, 5, 3):
        assert_same(backwards[i], expected[i])
        np.testing.assert_array_equal(backwards[i].frame.depth_m, expected[i].frame.depth_m)
    assert_same(backwards[-1], expected[6])
    other_seed = RoomDataset(1, SIZE, seed=4, frames_per_room=2)[0]
    for other in (expected[2], other_seed):
        assert (expected[0].labels != other.labels).mean() > 0.1


def test_frame_is_a_valid_sample():
    rooms = RoomDataset(2, SIZE, seed=5)
    sample = rooms[1]
    assert rooms.class_names == NYU40.class_names
    assert sample.frame.intrinsics == rooms.intrinsics
    assert sample.labels.max() < 40
    assert np.isfinite(sample.frame.depth_m).all() and sample.frame.depth_m.min() > 0.1
    rotation = sample.pose[:3, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    # y points down: the camera is held upright and looks a little down.
    assert rotation[2, 1] < -0.7 and -0.6 < rotation[2, 2] < 0.1


def test_shell_normals_point_inwards():
    # They once had their outer sides lit, and every room was gloomy.
    room = RoomDataset(1, SIZE, seed=1).room(0)
    shell_faces = room.scene.shell
    centre = np.array(room.layout.plan.size_m) / 2
    gap = room.scene.offsets[-shell_faces:] - room.scene.normals[-shell_faces:] @ centre
    outwards = gap[:, None] * room.scene.normals[-shell_faces:]
    assert (np.sum(outwards * room.surfaces.normal[:, -shell_faces:].T, axis=1) < -0.5).all()


def test_rooms_show_many_classes():
    rooms = RoomDataset(24, (60, 80), seed=11, frames_per_room=1)
    seen = [set(np.unique(sample.labels)) for sample in rooms]
    assert len(set.union(*seen)) >= 22
    assert np.mean([len(classes) for classes in seen]) >= 5
    assert all(LABEL['wall'] in classes for classes in seen)


@pytest.mark.parametrize('seed', [0, 1, 2, 3])
def test_depth_and_poses_carry_labels_from_frame_to_frame(seed):
    rooms = RoomDataset(2, (120, 160), seed=seed, frames_per_room=2, rate_hz=10)
    first, second = rooms
    consistency = TemporalConsistency()
    for sample in (first, second):
        consistency.update(sample, sample.labels)
    _, pixels, agreeing = consistency.counts
    assert pixels > 0.5 * first.labels[::STRIDE, ::STRIDE].size
    assert agreeing > 0.98 * pixels
    # And the views do differ.
    assert (first.labels != second.labels).mean() > 0.001


def test_sensor_noise_changes_depth_only():
    exact = RoomDataset(4, SIZE, seed=9, frames_per_room=1)
    noisy = RoomDataset(4, SIZE, seed=9, frames_per_room=1, sensor_noise=True)
    for truth, sample in zip(exact, noisy, strict=True):
        assert_same(sample, truth)
    depth, expected = (np.array([s.frame.depth_m for s in rooms]) for rooms in (noisy, exact))
    assert 0.005 < np.isnan(depth).mean() < 0.5
    assert np.nanmin(depth) >= 0.5 and np.nanmax(depth) <= 8.0
    error = np.abs(depth - expected)
    near, far = (np.nanmedian(error[chosen]) for chosen in (expected < 2, expected > 3))
    assert 0 < near < 0.01
    assert far > 2 * near


def test_other_sizes_show_the_same_scene():
    small = RoomDataset(1, (60, 80), seed=4)[0]
    large = RoomDataset(1, (180, 240), seed=4)[0]
    np.testing.assert_array_equal(small.pose, large.pose)
    # The middle pixel of each 3x3 block looks along the very ray of the small pixel.
    same = small.labels == large.labels[1::3, 1::3]
    assert same.mean() > 0.995
    ratio = small.frame.depth_m / large.frame.depth_m[1::3, 1::3]
    assert np.median(ratio[same]) == pytest.approx(1, abs=1e-3)
    shrunk = cv2.resize(large.frame.rgb, (80, 60), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shrunk - small.frame.rgb).mean() < 10


def test_camera_moves_smoothly_and_avoids_furniture():
    rooms = RoomDataset(20, SIZE, seed=21, frames_per_room=1)
    for index in range(20):
        room = rooms.room(index)
        poses = np.array([room.trajectory.pose(i / 30) for i in range(600)])
        low, high = np.split(np.array(room.layout.plan.taken), 2, axis=1)
        positions = poses[::15, None, :3, 3]
        apart = np.maximum(np.maximum(low - positions, positions - high), 0)
        assert np.linalg.norm(apart, axis=-1).min() > 0.1
        assert (positions > (0.2, 0.2, 0.8)).all()
        assert (positions < (*np.array(room.layout.plan.size_m[:2]) - 0.2, 1.8)).all()
        steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
        assert 0 < steps.max() < 0.04
        turns = np.einsum('nij,nij->n', poses[:-1, :3, :3], poses[1:, :3, :3])
        assert np.rad2deg(np.arccos(np.clip((turns - 1) / 2, -1, 1))).max() < 2.5


def test_invalid_values_are_rejected():
    invalid = {'frames': 0, 'size': (8, 640), 'seed': -1, 'frames_per_room': 0, 'rate_hz': 0}
    for name, value in invalid.items():
        with pytest.raises(InputError, match='must be'):
            RoomDataset(**{'frames': 1, name: value})
    with pytest.raises(IndexError):
        RoomDataset(3, SIZE)[3]


def test_prepare_dataset_writes_the_frames_of_the_dataset(tmp_path, capsys):
    out = tmp_path / 'rooms'
    options = ['--frames', '5', '--seed', '6', '--size', '60x82', '--frames-per-room', '2']
    argv = ['rooms', str(out), *options, '--val-rooms', '1', '--png']
    assert run_command('sgnet_core', 'prepare_dataset', argv) == 0
    rooms = RoomDataset(5, (60, 82), seed=6, frames_per_room=2)
    folder = FolderDataset(out)
    assert folder.ids == rooms.ids and folder.class_names == rooms.class_names
    assert folder.intrinsics == rooms.intrinsics and folder.rate_hz == 30
    for written, expected in zip((folder[i] for i in range(5)), rooms, strict=True):
        assert_same(written, expected)
        np.testing.assert_allclose(written.frame.depth_m, expected.frame.depth_m, atol=5.1e-4)
    assert FolderDataset(out, split='val').ids == ('000004',)
    # A second run must not touch it.
    assert run_command('sgnet_core', 'prepare_dataset', argv) == 2
    assert 'not an empty folder' in capsys.readouterr().err


def test_prepare_dataset_rejects_a_size_without_width(capsys):
    with pytest.raises(SystemExit, match='2'):
        run_command('sgnet_core', 'prepare_dataset', ['rooms', 'out', '--size', '480'])
    assert 'HEIGHTxWIDTH' in capsys.readouterr().err


def test_prepare_dataset_keeps_finished_frames_after_ctrl_c(tmp_path, monkeypatch):
    original = RoomDataset.__getitem__

    def interrupted(self, index):
        if index == 2:
            raise KeyboardInterrupt
        return original(self, index)

    monkeypatch.setattr(RoomDataset, '__getitem__', interrupted)
    argv = ['rooms', str(tmp_path / 'out'), '--frames', '4', '--size', '60x80']
    assert run_command('sgnet_core', 'prepare_dataset', argv) == 130
    assert FolderDataset(tmp_path / 'out').ids == ('000000', '000001')
