# SPDX-License-Identifier: Apache-2.0
"""Registered depth against loops, hand-computed values and rooms rendered from both cameras."""

from dataclasses import replace

import torch
import cv2
import numpy as np
import pytest

from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.data.synthetic.ray_casting import cast
from sgnet_core.errors import InputError
from sgnet_core.geometry.depth_registration import register_depth
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(width=13, height=9, fx=10.0, fy=11.0, cx=6.2, cy=3.9)


def moved(x=0.0, y=0.0, z=0.0, degrees=(0.0, 0.0, 0.0)):
    transform = np.eye(4)
    transform[:3, :3] = cv2.Rodrigues(np.deg2rad(degrees))[0]
    transform[:3, 3] = x, y, z
    return transform


def naive_registration(depth_m, camera, rgb_camera, transform):
    """One measurement, one pixel of its patch, one empty pixel after the other."""
    seen = np.full(rgb_camera.size, np.inf)
    wide = max(1, int(np.ceil(rgb_camera.fx / camera.fx - 0.1)))
    high = max(1, int(np.ceil(rgb_camera.fy / camera.fy - 0.1)))
    for v, u in np.ndindex(*camera.size):
        depth = depth_m[v, u]
        if not 0 < depth < np.inf:
            continue
        point = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1]) * depth
        x, y, z = transform[:3, :3] @ point + transform[:3, 3]
        if z <= 0:
            continue
        left = int(np.ceil(x / z * rgb_camera.fx + rgb_camera.cx - wide / 2))
        top = int(np.ceil(y / z * rgb_camera.fy + rgb_camera.cy - high / 2))
        for row in range(max(top, 0), min(top + high, rgb_camera.height)):
            for column in range(max(left, 0), min(left + wide, rgb_camera.width)):
                seen[row, column] = min(seen[row, column], z)
    closed = seen.copy()
    for v, u in np.argwhere(np.isinf(seen)):
        squares = [
            seen[max(v + dv, 0) : v + dv + 2, max(u + du, 0) : u + du + 2].min()
            for dv in (-1, 0)
            for du in (-1, 0)
        ]
        closed[v, u] = max(squares)
    return np.where(np.isinf(closed), np.nan, closed)


@pytest.mark.parametrize('scale', [0.6, 1.0, 1.4, 2.0, 3.3])
def test_registration_equals_naive_loops(scale):
    rng = np.random.default_rng(int(scale * 10))
    depth_m = rng.uniform(0.3, 3.0, CAMERA.size)
    invalid = [np.nan, np.inf, -np.inf, 0.0, -1.0, -0.05]
    depth_m[rng.integers(0, 9, 30), rng.integers(0, 13, 30)] = rng.choice(invalid, 30)
    rgb_camera = CameraIntrinsics(19, 14, 10 * scale, 10.7 * scale, 8.8, 7.3)
    # Points nearer than half a metre end up behind the colour camera.
    transform = moved(0.2, -0.1, -0.5, (4, -7, 11))
    expected = naive_registration(depth_m, CAMERA, rgb_camera, transform)
    registered = register_depth(depth_m, CAMERA, rgb_camera, transform)
    assert 0.05 < np.isnan(expected).mean() < 0.95
    np.testing.assert_allclose(registered, expected, rtol=1e-12)


def test_identical_cameras_keep_the_depth():
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(0.5, 9, (37, 53)).astype(np.float32)
    depth_m[10:12, 20:23] = np.nan
    camera = CameraIntrinsics(53, 37, 41.3, 42.7, 25.9, 18.3)
    registered = register_depth(depth_m, camera, camera, np.eye(4))
    assert registered.dtype == np.float32
    np.testing.assert_allclose(registered, depth_m, rtol=3e-7)


def test_sideways_offset_equals_hand_computed_depth():
    # The colour camera stands 0.2 m to the left: the wall at 2 m moves by one pixel of f = 10, the
    # post before it by two (at 1 m) or by four (at 0.5 m).
    camera = CameraIntrinsics(9, 5, 10.0, 10.0, 3.0, 2.0)
    depth_m = np.full((5, 9), 2.0, np.float32)
    depth_m[:, 2:4] = 0.5
    far = register_depth(depth_m, camera, camera, moved(x=0.2))
    # It hides the wall where it stands now, and nobody measured what it hid before.
    np.testing.assert_allclose(far, [[np.nan, 2, 2, np.nan, np.nan, 2, 0.5, 0.5, 2]] * 5)
    depth_m[:, 2:4] = 1.0
    near = register_depth(depth_m, camera, camera, moved(x=0.2))
    # A gap of one pixel belongs to what is behind.
    np.testing.assert_allclose(near, [[np.nan, 2, 2, 2, 1, 1, 2, 2, 2]] * 5)


@pytest.fixture(scope='module')
def room():
    """A generated room and where its camera stands."""
    room = RoomDataset(1, (48, 64), seed=5, frames_per_room=1).room(0)
    trajectory = room.trajectory
    return room.scene, trajectory.pose(0.0)


@pytest.mark.parametrize('width', [107, 160, 213])
def test_registration_agrees_with_a_rendered_room(room, width):
    scene, pose = room
    transform = moved(0.05, -0.004, 0.006, (0.4, -0.7, 0.3))
    camera = CameraIntrinsics(160, 120, 131.0, 130.0, 79.0, 60.5).resized(width * 3 // 4, width)
    rgb_camera = CameraIntrinsics(161, 118, 134.0, 133.0, 81.0, 58.0)
    rgb_pose = pose @ np.linalg.inv(transform)
    measured, truth = (
        1 / cast(scene, p[:3, :3], p[:3, 3], k)[0]
        for p, k in ((pose, camera), (rgb_pose, rgb_camera))
    )
    registered = register_depth(measured, camera, rgb_camera, transform)

    # Which pixels of the colour camera the depth camera sees as well.
    back = np.linalg.inv(transform)
    x, y, z = np.tensordot(back[:3, :3], depth_to_xyz(truth, rgb_camera), 1) + back[:3, 3:, None]
    columns = np.rint(x / z * camera.fx + camera.cx).astype(int)
    rows = np.rint(y / z * camera.fy + camera.cy).astype(int)
    within = (columns > 1) & (columns < width - 2) & (rows > 1) & (rows < camera.height - 2)
    seen = measured[rows.clip(0, camera.height - 1), columns.clip(0, width - 1)]
    visible = within & (np.abs(seen - z) < 0.03 * z)
    # An edge may be a pixel of either camera away.
    margin = np.ones((5, 5))
    smooth = cv2.dilate(truth, margin) - cv2.erode(truth, margin) < 0.1 * truth
    assert np.isfinite(registered[visible]).mean() > 0.995
    wrong = np.abs(registered - truth)[visible & smooth] > 0.05 * truth[visible & smooth]
    assert wrong.mean() < 0.005


def test_batches_and_arrays_register_alike():
    rng = np.random.default_rng(3)
    depth_m = rng.uniform(0.5, 4, (2, 3, 9, 13)).astype(np.float32)
    depth_m[rng.random(depth_m.shape) < 0.2] = np.nan
    rgb_camera = CameraIntrinsics(17, 11, 14.0, 15.0, 8.1, 5.2)
    batch = torch.from_numpy(depth_m)
    kept = batch.clone()
    registered = register_depth(batch, CAMERA, rgb_camera, moved(0.1))
    assert registered.shape == (2, 3, 11, 17)
    assert torch.equal(batch.nan_to_num(-1), kept.nan_to_num(-1)), 'the input is not written to'
    for index in np.ndindex(2, 3):
        alone = register_depth(depth_m[index], CAMERA, rgb_camera, moved(0.1))
        np.testing.assert_array_equal(registered[index].numpy(), alone)
    # An image that is not contiguous.
    turned = np.asfortranarray(depth_m[0, 0])
    np.testing.assert_array_equal(
        register_depth(turned, CAMERA, rgb_camera, moved(0.1)), registered[0, 0].numpy()
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU')
def test_gpu_registers_like_the_cpu():
    depth_m = torch.rand(3, 9, 13, generator=torch.Generator().manual_seed(0)) + 1
    args = CAMERA, CameraIntrinsics(17, 11, 14.0, 15.0, 8.1, 5.2), moved(0.1)
    on_gpu = register_depth(depth_m.cuda(), *args)
    torch.testing.assert_close(on_gpu.cpu(), register_depth(depth_m, *args), equal_nan=True)


@pytest.mark.parametrize(
    ('transform', 'message'),
    [
        (np.eye(3), r'4x4 finite'),
        (np.full((4, 4), np.nan), r'4x4 finite'),
        (np.diag([2.0, 2.0, 2.0, 1.0]), r'off by 3 .*determinant 8'),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), r'determinant -1'),
        (np.diag([1.0, 1.0, 1.0, 2.0]), r'last row .* 0.0, 2.0'),
    ],
)
def test_registration_rejects_transforms_that_are_not_rigid(transform, message):
    with pytest.raises(InputError, match=message):
        register_depth(np.ones(CAMERA.size), CAMERA, CAMERA, transform)


@pytest.mark.parametrize('focal', [1e-300, 1e-3, 1e9])
def test_focal_lengths_that_are_no_pair_are_an_error_and_wide_patches_are_fast(focal):
    wrong = replace(CAMERA, fx=focal)
    for cameras in ((wrong, CAMERA), (CAMERA, wrong)):
        with pytest.raises(InputError, match='differ by more than a factor of 128.*camera_info'):
            register_depth(np.ones(CAMERA.size), *cameras, np.eye(4))
    coarse, fine = replace(CAMERA, fx=0.1, fy=0.1), replace(CAMERA, fx=12.7, fy=12.7)
    assert register_depth(np.ones(CAMERA.size), coarse, fine, np.eye(4)).max() == 1.0


def test_registration_rejects_depth_of_another_size_or_type():
    with pytest.raises(InputError, match='depth is 9x13, the intrinsics are for 13x9'):
        register_depth(np.ones((13, 9)), CAMERA, CAMERA, np.eye(4))
    with pytest.raises(InputError, match='uint16'):
        register_depth(np.ones(CAMERA.size, np.uint16), CAMERA, CAMERA, np.eye(4))
    huge = CameraIntrinsics(6000, 4000, 5000.0, 5000.0, 3000.0, 2000.0)
    with pytest.raises(InputError, match='6000x4000'):
        register_depth(np.ones(CAMERA.size), CAMERA, huge, np.eye(4))
