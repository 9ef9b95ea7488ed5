# SPDX-License-Identifier: Apache-2.0
"""What is pasted from one view into another hides what is farther, and nothing else."""

import numpy as np
import pytest

from sgnet_core.training.augmentation import class_mix
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame

SIZE = (21, 34)
NEAR, FAR = 1, 2


def view(depth_m, labels, grey=0, fx=30.0):
    """A view of one colour; `depth_m` and `labels` may be one number for all pixels."""
    frame = RgbdFrame(
        np.full((*SIZE, 3), grey, np.uint8),
        np.broadcast_to(np.float32(depth_m), SIZE).copy(),
        CameraIntrinsics(SIZE[1], SIZE[0], fx, fx, 17.0, 10.0),
    )
    return frame, np.broadcast_to(np.uint8(labels), SIZE).copy()


def test_what_is_nearer_is_pasted_and_what_is_farther_stays_hidden():
    depth_m = np.full(SIZE, 4.0)
    depth_m[5:9, 7:20] = 1.5
    frame, labels = class_mix(view(3.0, FAR), view(depth_m, NEAR, 200), np.random.default_rng())
    nearer = depth_m < 3
    np.testing.assert_array_equal(labels, np.where(nearer, NEAR, FAR))
    np.testing.assert_array_equal(frame.depth_m, np.where(nearer, 1.5, 3).astype(np.float32))
    np.testing.assert_array_equal(frame.rgb[..., 1], np.where(nearer, 200, 0))


@pytest.mark.parametrize(('focal_px', 'pasted'), [(15.0, False), (60.0, True)])
def test_a_thing_keeps_its_size_in_metres(focal_px, pasted):
    """Half as wide an angle: as many pixels are as many metres at half the distance."""
    here, there = view(2.0, FAR, fx=30.0), view(3.0, NEAR, fx=focal_px)
    frame, labels = class_mix(here, there, np.random.default_rng(0))
    assert (labels == (NEAR if pasted else FAR)).all()
    assert np.allclose(frame.depth_m, 1.5 if pasted else 2.0)
    assert frame.intrinsics == here[0].intrinsics


def test_pixels_without_depth_and_without_label_change_nothing():
    missing = np.full(SIZE, 3.0)
    missing[:4] = np.nan
    unlabelled = np.full(SIZE, NEAR)
    unlabelled[-3:] = UNLABELLED
    _, labels = class_mix(view(missing, FAR), view(1.0, unlabelled), np.random.default_rng(0))
    assert (labels[4:-3] == NEAR).all()
    assert (labels[:4] == FAR).all() and (labels[-3:] == FAR).all()
    _, labels = class_mix(view(3.0, FAR), view(missing / 3, NEAR), np.random.default_rng(0))
    assert (labels[:4] == FAR).all()


def test_half_of_the_classes_are_chosen_at_random():
    """Of an odd number the larger half; over many draws each class has its turn."""
    bands = np.repeat(np.arange(7, dtype=np.uint8), 3)[:, None]
    turns = np.zeros(7, int)
    for seed in range(60):
        _, labels = class_mix(view(3.0, 40), view(1.0, bands), np.random.default_rng(seed))
        chosen = np.setdiff1d(labels, [40])
        assert len(chosen) == 4
        turns[chosen] += 1
    assert turns.min() > 20


def test_a_donor_without_any_label_changes_nothing():
    here = view(3.0, FAR)
    frame, labels = class_mix(here, view(1.0, UNLABELLED), np.random.default_rng(0))
    np.testing.assert_array_equal(labels, here[1])
    np.testing.assert_array_equal(frame.depth_m, here[0].depth_m)
