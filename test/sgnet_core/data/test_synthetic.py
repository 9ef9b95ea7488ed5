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
from sgnet_core.labels import NYU40

SIZE = (90, 122)
PAINT = Material('plain', np.full((3, 3), 0.5, np.float32))
# A camera that looks along world +y with its image upright.
LOOK_ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def naive_depth(solids, room_size, rotation, position, camera):
    """Depth of one ray after the other, clipped by every plane of every solid, in float64."""
    depth = np.zeros(camera.size)
    for v, u in np.ndindex(*camera.size):
        ray = rotation @ [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0]
        with np.errstate(divide='ignore'):
            walls = np.where(ray > 0, (np.array(room_size) - position) / ray, -position / ray)
        walls[ray == 0] = np.inf
        nearest = walls.min()
        for solid in solids:
            enter, leave = 0.0, np.inf
            for normal, offset in zip(solid.normals, solid.offsets, strict=True):
                along, gap = normal @ ray, offset - normal @ position
                if along < 0:
                    enter = max(enter, gap / along)
                elif along > 0:
                    leave = min(leave, gap / along)
                elif gap < 0:
                    leave = -1.0
            if enter <= leave:
                nearest = min(nearest, enter)
        depth[v, u] = nearest
    return depth


def test_cast_equals_clipping_of_single_rays():
    camera = room_camera((33, 46))
    size_m = (4.0, 4.5, 2.6)
    turned = rotation(2, 0.7)
    solids = [
        box((1.0, 2.5, 0.0), (2.1, 3.4, 0.8), 3, PAINT),
        box((-0.4, -0.3, 0.0), (0.4, 0.3, 1.4), 4, PAINT, 0.1).placed(
            turned, np.array([2.8, 3.0, 0])
        ),
        cone((1.4, 2.0), (0.3, 0.15), (0.0, 1.1), 5, PAINT),
        # Reaches behind the camera.
        box((2.3, 0.0, 0.0), (2.5, 4.0, 0.9), 6, PAINT),
    ]
    position = np.array([1.9, 0.6, 1.25])
    pose = rotation(2, 0.2) @ LOOK_ALONG_Y
    inverse, _ = cast(assemble(solids, [box((0, 0, 0), size_m, 0, PAINT)]), pose, position, camera)
    expected = naive_depth(solids, size_m, pose, position, camera)
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
        sample = backwards[i]
        assert_same(sample, expected[i])
        np.testing.assert_array_equal(sample.frame.depth_m, expected[i].frame.depth_m)
    assert_same(backwards[-1], expected[6])
    assert_same(backwards.load('000004'), expected[4])
    other_seed = RoomDataset(1, SIZE, seed=4, frames_per_room=2)[0]
    for other in (expected[2], other_seed):
        assert (expected[0].labels != other.labels).mean() > 0.1


def test_frame_is_a_valid_sample():
    rooms = RoomDataset(2, SIZE, seed=5)
    sample = rooms[1]
    assert rooms.ids == ('000000', '000001')
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
    planes = centre + gap[:, None] * room.scene.normals[-shell_faces:]
    towards_middle = np.sum((centre - planes) * room.surfaces.normal[:, -shell_faces:].T, axis=1)
    assert (towards_middle > 0.5).all()


def test_rooms_show_many_classes():
    rooms = RoomDataset(24, (60, 80), seed=11, frames_per_room=1)
    seen = [set(np.unique(sample.labels)) for sample in rooms]
    assert len(set.union(*seen)) >= 22
    assert np.mean([len(classes) for classes in seen]) >= 5
    assert all(LABEL['wall'] in classes for classes in seen)


@pytest.mark.parametrize('seed', [0, 1, 2, 3])
def test_depth_and_poses_carry_labels_from_frame_to_frame(seed):
    rooms = RoomDataset(2, (120, 160), seed=seed, frames_per_room=2, rate_hz=10)
    first, second = rooms[0], rooms[1]
    camera = rooms.intrinsics
    v, u = np.mgrid[: camera.height, : camera.width]
    z = first.frame.depth_m.astype(float)
    points = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], -1)
    world = points @ first.pose[:3, :3].T + first.pose[:3, 3]
    there = (world - second.pose[:3, 3]) @ second.pose[:3, :3]
    # The nearest pixel of the other view sees a point up to half a pixel beside this one.
    column = np.rint(there[..., 0] / there[..., 2] * camera.fx + camera.cx)
    row = np.rint(there[..., 1] / there[..., 2] * camera.fy + camera.cy)
    inside = (there[..., 2] > 0.1) & (column >= 0) & (row >= 0)
    inside &= (column < camera.width) & (row < camera.height)
    assert inside.mean() > 0.7
    at = row[inside].astype(int), column[inside].astype(int)
    seen = np.abs(second.frame.depth_m[at] - there[..., 2][inside]) < 0.02
    assert seen.mean() > 0.8
    agree = second.labels[at][seen] == first.labels[inside][seen]
    assert agree.mean() > 0.98
    # And the views do differ.
    assert (first.labels != second.labels).mean() > 0.001


def test_sensor_noise_changes_depth_only():
    exact = RoomDataset(4, SIZE, seed=9, frames_per_room=1)
    noisy = RoomDataset(4, SIZE, seed=9, frames_per_room=1, sensor_noise=True)
    shares, near, far = [], [], []
    for truth, sample in zip(exact, noisy, strict=True):
        assert_same(sample, truth)
        depth, expected = sample.frame.depth_m, truth.frame.depth_m
        hole = np.isnan(depth)
        shares.append(hole.mean())
        assert depth[~hole].min() >= 0.5 and depth[~hole].max() <= 8.0
        error = np.abs(depth - expected)
        near.append(error[~hole & (expected < 2)])
        far.append(error[~hole & (expected > 3)])
    assert 0.005 < np.mean(shares) < 0.5
    assert 0 < np.median(np.concatenate(near)) < 0.01
    assert np.median(np.concatenate(far)) > 2 * np.median(np.concatenate(near))


def test_other_sizes_show_the_same_scene():
    small = RoomDataset(1, (60, 80), seed=4)[0]
    large = RoomDataset(1, (180, 240), seed=4)[0]
    np.testing.assert_array_equal(small.pose, large.pose)
    # The middle pixel of each 3x3 block looks along the very ray of the small pixel.
    middle = np.s_[1::3, 1::3]
    assert (small.labels == large.labels[middle]).mean() > 0.995
    same = small.labels == large.labels[middle]
    np.testing.assert_allclose(
        np.median(small.frame.depth_m[same] / large.frame.depth_m[middle][same]), 1, atol=1e-3
    )
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
    rooms = RoomDataset(3, SIZE)
    with pytest.raises(IndexError):
        rooms[3]
    with pytest.raises(InputError, match='000002'):
        rooms.load('000003')


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
