# SPDX-License-Identifier: Apache-2.0
"""Missing depth, interpolated from the measurements around it."""

import torch
import pytest

from sgnet_core.geometry.hole_filling import fill_missing_depth

NAN = float('nan')


def depth_with_missing(*shape, share=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    depth_m = torch.rand(shape, generator=generator) * 5 + 0.5
    return torch.where(torch.rand(shape, generator=generator) < share, torch.tensor(NAN), depth_m)


@pytest.mark.parametrize('shape', [(45, 61), (3, 33, 20), (2, 2, 7, 5), (1, 9)])
def test_filling_keeps_measurements_and_interpolates_missing_depth(shape):
    depth_m = depth_with_missing(*shape)
    filled = fill_missing_depth(depth_m)
    measured = depth_m.isfinite()
    assert filled.shape == depth_m.shape
    torch.testing.assert_close(filled[measured], depth_m[measured], rtol=0, atol=0)
    lowest, highest = depth_m[measured].min(), depth_m[measured].max()
    assert ((filled >= lowest) & (filled <= highest)).all()


def test_batch_equals_single_images():
    depth_m = depth_with_missing(3, 37, 50)
    one_by_one = torch.stack([fill_missing_depth(image) for image in depth_m])
    torch.testing.assert_close(fill_missing_depth(depth_m), one_by_one, rtol=0, atol=0)


def test_missing_depth_takes_the_values_around_it():
    depth_m = torch.full((64, 96), 1.0)
    depth_m[:, 48:] = 4.0
    depth_m[20:30, 10:20] = depth_m[20:30, 75:85] = NAN
    filled = fill_missing_depth(depth_m)
    torch.testing.assert_close(filled[20:30, 10:20], torch.full((10, 10), 1.0))
    torch.testing.assert_close(filled[20:30, 75:85], torch.full((10, 10), 4.0))


def test_single_measurement_fills_the_image_and_none_leaves_nan():
    depth_m = torch.full((2, 13, 30), NAN)
    depth_m[0, 4, 17] = 2.5
    depth_m[1, 3, 3] = float('inf')
    filled = fill_missing_depth(depth_m)
    torch.testing.assert_close(filled[0], torch.full((13, 30), 2.5))
    assert filled[1].isnan().all()
