# SPDX-License-Identifier: Apache-2.0
"""HHA against the MATLAB program, scenes of known geometry, and naive plane fits."""

import math
import warnings

import torch
import cv2
import numpy as np
import pytest
from planes import CAMERA, planes_depth, rays, room, rotation

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.geometry.gravity import GRAVITY_RADIUS_PX
from sgnet_core.geometry.hha import (
    depth_to_hha,
    encode_hha,
)
from sgnet_core.geometry.normals import surface_normals
from sgnet_core.types import CameraIntrinsics, Gravity

# NYUv2's, as published for pixels that count from 1.
KINECT = CameraIntrinsics(640, 480, 518.857901, 519.469611, 325.582449 - 1, 253.736166 - 1)


def rounded(hha):
    return hha.nan_to_num(0.0).add(0.5).byte().permute(1, 2, 0).numpy().astype(int)


def test_hha_equals_the_matlab_output(research_data):
    folder = research_data / 'golden' / 'hha'
    depth_m = cv2.imread(str(folder / 'nyu0001_depth.png'), cv2.IMREAD_UNCHANGED) / 10000
    golden = cv2.imread(str(folder / 'nyu0001_hha_matlab.png'))[..., ::-1].astype(int)
    np.testing.assert_array_equal(encode_hha(depth_m, KINECT), golden)
    single = depth_to_hha(torch.from_numpy(depth_m).float(), KINECT, gravity_step=1)
    assert_nearly(rounded(single), golden)


def assert_nearly(image, expected):
    assert np.abs(image - expected).max() <= 1
    assert (image == expected).mean() > 0.999


@pytest.mark.parametrize('index', [0, 170])
def test_float32_is_accurate_for_a_real_sensor(research_data, index):
    frame = FolderDataset(research_data / 'kinect_sequence')[index].frame
    single = depth_to_hha(torch.from_numpy(frame.depth_m), frame.intrinsics, gravity_step=1)
    expected = encode_hha(frame.depth_m, frame.intrinsics)
    assert_nearly(rounded(single), expected.astype(int))
    holes = np.isnan(frame.depth_m)
    assert holes.any()
    np.testing.assert_array_equal((expected == 0).all(-1), holes)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
@pytest.mark.parametrize('radius', [3, 10])
def test_normals_of_a_plane_point_away_from_the_camera(dtype, tolerance, radius):
    normal = np.array([0.4, -0.3, 0.6])
    normal /= np.linalg.norm(normal)
    depth_m, _ = planes_depth(normal[None], [2.0])
    depth_m[np.random.default_rng(0).random(depth_m.shape) < 0.4] = np.nan
    normals = surface_normals(torch.from_numpy(depth_m).to(dtype), CAMERA, radius)
    error = (normals - torch.from_numpy(normal).to(dtype)[:, None, None]).abs()
    assert error.isfinite().all()
    assert error.max() < tolerance


def test_normals_equal_least_squares_fits():
    """Least squares of n . (X/Z, Y/Z, 1) = 1/Z, as published."""
    camera = CameraIntrinsics(width=13, height=9, fx=20.5, fy=19.5, cx=7.2, cy=3.9)
    rng = np.random.default_rng(1)
    depth_m = rng.uniform(1.0, 3.0, camera.size)
    depth_m[rng.random(camera.size) < 0.7] = np.nan
    ray = rays(camera)
    expected = np.full((3, *camera.size), np.nan)
    for v, u in np.ndindex(*camera.size):
        window = np.s_[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2]
        valid = np.isfinite(depth_m[window])
        left, right = ray[(slice(None), *window)][:, valid].T, 1 / depth_m[window][valid]
        if np.linalg.matrix_rank(left) == 3:
            normal = np.linalg.lstsq(left, right, rcond=None)[0]
            away = np.sign(normal @ ray[:, v, u])
            expected[:, v, u] = away * normal / np.linalg.norm(normal)
    assert 0 < np.isnan(expected[0]).sum() < expected[0].size
    normals = surface_normals(torch.from_numpy(depth_m), camera, radius_px=1)
    np.testing.assert_allclose(normals.numpy(), expected, atol=1e-9)


def test_strided_normals_equal_dense_ones():
    """One is computed by OpenCV, the other by PyTorch."""
    depth_m = torch.from_numpy(room(10.0)[0])
    depth_m[20:41, 30:77] = math.nan
    every = surface_normals(depth_m, CAMERA, GRAVITY_RADIUS_PX)
    fourth = surface_normals(depth_m, CAMERA, GRAVITY_RADIUS_PX, step=4)
    assert every.isnan().any()
    torch.testing.assert_close(fourth, every[:, ::4, ::4], equal_nan=True)


def test_channels_match_a_known_room():
    depth_m, plane, gravity = room(pitch_deg=20.0, roll_deg=-4.0)
    disparity, height, angle = encode_hha(depth_m, CAMERA).astype(float).transpose(2, 0, 1)
    np.testing.assert_allclose(disparity, np.minimum(310 / np.maximum(depth_m, 1), 255), atol=0.51)
    # Windows across an edge see neither of its planes.
    inside = [cv2.erode((plane == p).astype(np.uint8), np.ones((7, 7))) > 0 for p in range(4)]
    assert all(part.any() for part in inside)
    assert set(angle[inside[0]]) == {38}
    for wall in inside[1:]:
        assert set(angle[wall]) == {128}
    assert set(height[plane == 0]) <= {0, 1}
    points = rays() * depth_m
    expected = 150 - 100 * np.einsum('c,chw->hw', gravity, points)
    np.testing.assert_allclose(height, np.clip(expected, 0, 255), atol=1.1)


def test_given_gravity_and_camera_height_are_used():
    """A wall alone says nothing of either."""
    turn = rotation(15.0, 0.0)
    depth_m, _ = planes_depth(turn[:, 2][None], [3.0])
    hha = encode_hha(depth_m, CAMERA, Gravity(5 * turn[:, 1], 2.0)).astype(float)
    assert set(hha[..., 2].flat) == {128}
    below = np.einsum('c,chw->hw', turn[:, 1], rays() * depth_m)
    np.testing.assert_allclose(hha[..., 1], np.clip(200 - 100 * below, 0, 255), atol=0.51)


def test_camera_is_130_cm_high_without_visible_ground():
    depth_m = np.full(CAMERA.size, 1.0)
    height = encode_hha(depth_m, CAMERA)[..., 1].astype(float)
    np.testing.assert_allclose(height, 130 - 100 * rays()[1], atol=0.51)


@pytest.mark.parametrize('value', [np.nan, 0.0, -1.0, np.inf])
def test_missing_depth_is_black_and_changes_no_other_pixel(value):
    depth_m = room(20.0)[0].astype(np.float32)
    depth_m[10:30, 40:90] = value
    hole = np.full(CAMERA.size, False)
    hole[10:30, 40:90] = True
    nothing = np.full(CAMERA.size, value, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        hha, black = encode_hha(depth_m, CAMERA), encode_hha(nothing, CAMERA)
    np.testing.assert_array_equal((hha == 0).all(-1), hole)
    assert (hha[~hole][:, 2] >= 38).all()
    assert not black.any()
    depth_m[hole] = np.nan
    np.testing.assert_array_equal(hha, encode_hha(depth_m, CAMERA))


def test_isolated_pixels_have_no_angle():
    depth_m = np.full(CAMERA.size, np.nan)
    depth_m[20, 30] = depth_m[60, 80:86] = 2.0  # a pixel, and a line
    hha = encode_hha(depth_m, CAMERA)
    measured = np.isfinite(depth_m)
    assert (hha[measured][:, 0] == 155).all()
    assert not hha[measured][:, 2].any()
    assert not hha[~measured].any()


def test_far_and_high_points_saturate():
    hha = encode_hha(np.full(CAMERA.size, 1e6), CAMERA, Gravity(np.array([0.0, 1.0, 0.0]), 1.0))
    assert not hha[..., 0].any()
    assert set(hha[: int(CAMERA.cy) - 1, :, 1].flat) == {255}


def test_batch_equals_single_frames():
    """Frames (2, 1), each with its own gravity and ground."""
    depth_m = torch.from_numpy(np.stack([room(20.0)[0], room(-15.0, 9.0, 0.7)[0]])).float()[:, None]
    depth_m[0, 0, 20:50, 30:41] = math.nan
    batch = depth_to_hha(depth_m, CAMERA)
    assert batch.shape == (2, 1, 3, *CAMERA.size)
    for frame, alone in zip(batch, depth_m, strict=True):
        # In grey levels: on some CPUs a batch is summed in another order, and gravity turns a bit.
        torch.testing.assert_close(
            frame[0], depth_to_hha(alone[0], CAMERA), atol=0.02, rtol=0, equal_nan=True
        )


def test_torch_compile_finds_one_graph_and_the_same_image():
    """What compiles is also what a GPU computes; OpenCV is only faster."""
    depth_m = torch.from_numpy(np.stack([room(20.0)[0], room(-15.0, 9.0, 0.7)[0]])).float()
    depth_m[:, 20:50, 30:41] = math.nan
    compiled = torch.compile(depth_to_hha, fullgraph=True, backend='eager', dynamic=False)
    found, expected = compiled(depth_m, CAMERA), depth_to_hha(depth_m, CAMERA)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0, equal_nan=True)
