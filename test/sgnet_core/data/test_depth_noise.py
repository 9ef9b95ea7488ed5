# SPDX-License-Identifier: Apache-2.0
"""Errors of depth cameras, as training draws them."""

import numpy as np
import pytest

from sgnet_core.data import depth_noise
from sgnet_core.data.depth_noise import (
    axial_noise_m,
    degrade_depth,
    disparity_steps,
    remove_depth,
    shift_depth,
)
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

SIZE = (60, 84)
EFFECTS = [n.removesuffix('_PROBABILITY') for n in vars(depth_noise) if 'PROBABILITY' in n]


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A receding floor, a box before it, a hole; a black, a white and a coloured patch."""
    depth_m = np.linspace(4, 3, SIZE[0], dtype=np.float32)[:, None].repeat(SIZE[1], axis=1)
    depth_m[10:30, 20:50] = 1.0
    depth_m[40:44, 60:70] = np.nan
    rgb = np.full((*SIZE, 3), (160, 90, 90), np.uint8)
    rgb[50:, :30] = 3
    rgb[50:, 40:] = 254
    return depth_m, rgb


@pytest.fixture
def only(monkeypatch):
    """Switch all effects off but those named, which then always happen."""

    def choose(*names: str) -> None:
        for effect in EFFECTS:
            monkeypatch.setattr(depth_noise, f'{effect}_PROBABILITY', float(effect in names))

    return choose


def test_degraded_depth_is_positive_or_missing_and_depends_on_the_seed_only(scene, only):
    depth_m, rgb = scene
    for image in (depth_m, rgb):
        image.flags.writeable = False
    for seed in range(60):
        first, again = (degrade_depth(depth_m, rgb, np.random.default_rng(seed)) for _ in '12')
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.float32 and first.shape == SIZE
        measured = first[~np.isnan(first)]
        assert np.isfinite(measured).all() and (measured > 0).all()
    only()
    np.testing.assert_array_equal(degrade_depth(depth_m, rgb, np.random.default_rng(1)), depth_m)


@pytest.mark.parametrize('effect', sorted({*EFFECTS} - {'SHIFT'}))
def test_missing_depth_stays_missing(scene, only, effect):
    only(effect)
    depth_m, rgb = scene
    for seed in range(10):
        degraded = degrade_depth(depth_m, rgb, np.random.default_rng(seed))
        assert np.isnan(degraded[np.isnan(depth_m)]).all()
        nothing = degrade_depth(np.full_like(depth_m, np.nan), rgb, np.random.default_rng(seed))
        assert np.isnan(nothing).all()


def test_scale_error_is_one_factor_for_all_pixels(scene, only):
    depth_m, rgb = scene
    for names, bound in ((('SCALE',), 0.03), (('SCALE', 'LARGE_SCALE'), 0.1)):
        only(*names)
        errors = []
        for seed in range(30):
            ratio = degrade_depth(depth_m, rgb, np.random.default_rng(seed)) / depth_m
            assert np.nanmax(ratio) - np.nanmin(ratio) < 1e-6
            errors.append(abs(np.nanmean(ratio) - 1))
        assert 0.6 * bound < max(errors) <= bound + 1e-6


def test_noise_grows_with_distance_as_published(only):
    """The mean over seeds of the random factor, 0..2, is 1."""
    only('NOISE')
    rgb = np.zeros((*SIZE, 3), np.uint8)
    for z in (1.0, 2.0, 4.0):
        flat = np.full(SIZE, z, np.float32)
        spreads = [degrade_depth(flat, rgb, np.random.default_rng(s)).std() for s in range(40)]
        assert np.mean(spreads) == pytest.approx(0.0012 + 0.0019 * (z - 0.4) ** 2, rel=0.25)
    assert axial_noise_m(np.float32([0.4]))[0] == pytest.approx(0.0012)


def test_steps_grow_with_the_square_of_depth():
    """A Kinect's step at 3 m is 26 mm (Khoshelham and Elberink 2012), a quarter of that at 1.5."""
    for z, step_m in ((1.5, 0.0065), (3.0, 0.026)):
        ramp = np.linspace(z - 0.3, z + 0.3, 4001, dtype=np.float32)[None]
        levels = np.unique(disparity_steps(ramp, 1.0))
        assert np.diff(levels).mean() == pytest.approx(step_m, rel=0.1)
    depth_m = np.float32([[0.3, 7.9, np.nan]])
    np.testing.assert_allclose(disparity_steps(depth_m, 0.0), depth_m, rtol=1e-3)


def test_shift_moves_pixels_and_inserts_missing_depth(scene, only):
    moved = shift_depth(scene[0], 2, -3)
    np.testing.assert_array_equal(moved[2:, :-3], scene[0][:-2, 3:])
    assert np.isnan(moved[:2]).all() and np.isnan(moved[:, -3:]).all()
    only('SHIFT')
    unique = np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE) + 1
    seen = set()
    for seed in range(60):
        moved = degrade_depth(unique, scene[1], np.random.default_rng(seed))
        # The value of the middle tells where it came from.
        row, column = divmod(int(moved[30, 42]) - 1, SIZE[1])
        seen.add((30 - row, 42 - column))
    assert np.abs([*seen]).max() == depth_noise.MAX_SHIFT_PX
    assert len(seen) > 20


def test_edge_shadow_lies_beside_edges(scene, only):
    only('EDGES')
    near = np.zeros(SIZE, bool)
    # The box, and as far from it as the widest band reaches.
    near[8:32, 20 - 8 : 50 + 8] = True
    near[12:28, 20 + 8 : 50 - 8] = False
    for seed in range(20):
        degraded = degrade_depth(*scene, np.random.default_rng(seed))
        missing = np.isnan(degraded) & ~np.isnan(scene[0])
        assert missing.any() and not missing[~near].any()


@pytest.mark.parametrize(('effect', 'columns'), [('DARK', slice(0, 30)), ('SHINY', slice(40, 84))])
def test_only_dark_or_shiny_patches_lose_depth(scene, only, effect, columns):
    only(effect)
    allowed = np.zeros(SIZE, bool)
    allowed[50:, columns] = True
    lost = np.zeros(SIZE, bool)
    for seed in range(12):
        lost |= np.isnan(degrade_depth(*scene, np.random.default_rng(seed))) & ~np.isnan(scene[0])
    assert not lost[~allowed].any()
    assert lost[allowed].mean() > 0.9


def test_blobs_pepper_and_rows_respect_their_shares(only):
    flat = np.ones((120, 168), np.float32)
    rgb = np.full((120, 168, 3), 120, np.uint8)
    for effect in ('BLOBS', 'PEPPER', 'ROWS'):
        limit = getattr(depth_noise, f'MAX_{effect}_SHARE')
        only(effect)
        lost = [np.isnan(degrade_depth(flat, rgb, np.random.default_rng(s))) for s in range(80)]
        shares = [pixels.mean() for pixels in lost]
        assert 0.6 * limit < max(shares) < limit + 0.06
        assert min(shares) < 0.05
    # The last effect removes complete rows.
    assert all((rows.all(axis=1) == rows.any(axis=1)).all() for rows in lost)


@pytest.mark.parametrize('share', [0.3, 1.0])
def test_remove_depth_removes_the_given_share(share):
    camera = CameraIntrinsics(width=168, height=120, fx=150, fy=151, cx=80, cy=60)
    frame = RgbdFrame(
        np.zeros((120, 168, 3), np.uint8), np.full(camera.size, 2, np.float32), camera
    )
    sample = Sample('0', frame, np.zeros(camera.size, np.uint8))
    changed = [remove_depth(sample, share, seed) for seed in (5, 5, 6)]
    for other in changed:
        assert np.isnan(other.frame.depth_m).mean() == pytest.approx(share, abs=0.03)
        assert other.labels is sample.labels and other.frame.rgb is frame.rgb
    first, again, different = (other.frame.depth_m for other in changed)
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, different, equal_nan=True) == (share == 1)
    assert np.isfinite(frame.depth_m).all()
