# SPDX-License-Identifier: Apache-2.0
"""Preprocessing: what the network sees of a frame."""

import torch
import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.geometry.hha import encode_hha
from sgnet_core.preprocessing import InputSpec, resize_rgbd
from sgnet_core.types import CameraIntrinsics, Gravity, RgbdFrame

SPEC = {
    'height': 64,
    'width': 96,
    'channel_order': 'rgb',
    'mean': (10.0, 20.0, 30.0),
    'std': (2.0, 4.0, 8.0),
    'spatial': 'depth',
}


def frame(height, width, depth=2.0):
    return RgbdFrame(
        np.full((height, width, 3), (50, 100, 150), np.uint8),
        np.full((height, width), depth, np.float32),
        CameraIntrinsics(width, height, 100.0, 110.0, width / 2, height / 2),
    )


@pytest.mark.parametrize('size', [(64, 96), (48, 72), (241, 321)])
def test_colour_is_normalised_and_resized(size):
    image, spatial = InputSpec(**SPEC).preprocess(frame(*size))
    assert image.shape == (1, 3, 64, 96)
    assert spatial.shape == (1, 1, 64, 96)
    for channel, value in enumerate([20.0, 20.0, 15.0]):
        torch.testing.assert_close(image[0, channel], torch.full((64, 96), value))
    torch.testing.assert_close(spatial, torch.full_like(spatial, 2.0))


def test_missing_depth_becomes_the_fill_value():
    """A bilinear resize would turn one NaN into a patch, and an edge into depth in mid-air."""
    depth_m = np.full((128, 192), 1.0, np.float32)
    depth_m[:, 96:] = 3.0
    depth_m[40:60, 40:60] = np.nan
    incomplete = RgbdFrame(np.zeros((128, 192, 3), np.uint8), depth_m, frame(128, 192).intrinsics)
    _, spatial = InputSpec(**SPEC | {'depth_fill_m': -1.0}).preprocess(incomplete)
    assert set(spatial.unique().tolist()) == {-1.0, 1.0, 3.0}
    assert (spatial == -1).sum() == 10 * 10


def test_xyz_uses_the_intrinsics_of_the_resized_image():
    big = frame(128, 192)
    _, xyz = InputSpec(**SPEC | {'spatial': 'xyz'}).preprocess(big)
    camera = big.intrinsics.resized(64, 96)
    assert xyz.shape == (1, 3, 64, 96)
    torch.testing.assert_close(xyz[0, 0, 0, 0].item(), -camera.cx / camera.fx * 2.0)
    torch.testing.assert_close(xyz[0, 1, 63, 5].item(), (63 - camera.cy) / camera.fy * 2.0)


def test_hha_equals_that_of_the_resized_depth(tiny_samples):
    big = tiny_samples[0].frame
    spec = InputSpec(**SPEC | {'spatial': 'hha', 'depth_fill_m': 2.0})
    _, hha = spec.preprocess(big)
    _, depth_m = resize_rgbd(
        *(torch.from_numpy(a) for a in (big.rgb.transpose(2, 0, 1), big.depth_m)), spec.size
    )
    expected = encode_hha(depth_m.numpy(), big.intrinsics.resized(*spec.size)).transpose(2, 0, 1)
    assert hha.shape == (1, 3, 64, 96)
    # Gravity is estimated from fewer pixels here.
    assert np.abs(hha[0].numpy() * 255 - expected).mean() < 2
    assert not hha[0, :, depth_m.isnan()].any()
    assert depth_m.isnan().any()


def test_spatial_none_needs_no_depth():
    assert InputSpec(**SPEC | {'spatial': 'none'}).preprocess(frame(64, 96, np.nan))[1] is None


@pytest.mark.parametrize(
    'wrong',
    [{'height': 65}, {'width': 0}, {'channel_order': 'gbr'}, {'spatial': 'normals'},
     {'std': (1.0, 0.0, 1.0)}, {'mean': (1.0, 2.0)}],
)  # fmt: skip
def test_input_spec_rejects_invalid_values(wrong):
    with pytest.raises(InputError):
        InputSpec(**SPEC | wrong)


def test_hha_uses_the_gravity_of_the_frame():
    """A wall says nothing of gravity: only what is known makes it a floor."""
    wall = frame(64, 96, 2.0)
    floor = RgbdFrame(wall.rgb, wall.depth_m, wall.intrinsics, Gravity(np.array([0, 0, 1.0])))
    spec = InputSpec(**SPEC | {'spatial': 'hha'})
    angles = [spec.preprocess(seen)[1][0, 2] * 255 for seen in (wall, floor)]
    torch.testing.assert_close(angles[0], torch.full((64, 96), 128.0))
    torch.testing.assert_close(angles[1], torch.full((64, 96), 38.0), atol=0.1, rtol=0)


@pytest.mark.parametrize('spatial', ['depth', 'xyz', 'hha'])
def test_smooth_fill_interpolates_missing_depth(spatial):
    whole = frame(64, 96, 2.0)
    incomplete = frame(64, 96, 2.0)
    incomplete.depth_m[10:30, 20:50] = np.nan
    spec = InputSpec(**SPEC | {'spatial': spatial, 'depth_fill': 'smooth'})
    torch.testing.assert_close(spec.preprocess(incomplete)[1], spec.preprocess(whole)[1])
    assert not torch.allclose(
        InputSpec(**SPEC | {'spatial': spatial}).preprocess(incomplete)[1],
        spec.preprocess(whole)[1],
    )
    nothing = spec.preprocess(frame(64, 96, np.nan))[1]
    assert not nothing.any()
