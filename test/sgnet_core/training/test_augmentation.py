# SPDX-License-Identifier: Apache-2.0
"""Augmentation: consistent geometry, mild colour changes, class mix."""

import dataclasses

import torch
import numpy as np
import pytest

from sgnet_core.data import depth_noise
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.preprocessing import InputSpec, resize_rgbd
from sgnet_core.training import augmentation
from sgnet_core.training.augmentation import (
    augment,
    class_mix,
    degrade_colour,
    flip_crop,
    jitter_colour,
    random_crop,
    resize_crop,
)
from sgnet_core.training.config import TrainConfig
from sgnet_core.types import UNLABELLED, CameraIntrinsics, RgbdFrame, Sample

CAMERA = CameraIntrinsics(168, 120, 150.0, 145.0, 80.5, 62.0)
CONFIG = TrainConfig(crop_size=(64, 96), scale=(0.6, 1.5))
SPEC = InputSpec(64, 96, 'rgb', (127.0,) * 3, (128.0,) * 3, 'depth')
NORMAL, DISTANCE_M = np.array([0.4, -0.3, 1.0]), 2.0


@pytest.fixture
def plane() -> Sample:
    """A tilted plane, NORMAL @ point = DISTANCE_M; smooth colour and labels encode the column."""
    rays = depth_to_xyz(np.ones(CAMERA.size, np.float32), CAMERA)
    depth_m = (DISTANCE_M / np.tensordot(NORMAL, rays, 1)).astype(np.float32)
    column = np.broadcast_to(np.arange(168, dtype=np.uint8), CAMERA.size)
    rgb = np.stack([column, column // 2, 200 - column], axis=2)
    return Sample('plane', RgbdFrame(rgb, depth_m, CAMERA), np.ascontiguousarray(column))


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('zoom', [0.4, 1.0, 2.3])
def test_zoom_and_flip_keep_the_points_of_a_plane(plane, zoom, flip):
    frame, labels = random_crop(plane, (64, 96), zoom, np.random.default_rng(2))
    assert (labels[np.isnan(frame.depth_m)] == UNLABELLED).all()
    frame, labels = resize_crop(frame, labels, (64, 96))
    assert frame.size == labels.shape == (64, 96)
    normal = NORMAL.copy()
    if flip:
        frame, labels = flip_crop(frame, labels)
        normal[0] *= -1
    points = depth_to_xyz(frame.depth_m, frame.intrinsics)
    distance = np.tensordot(normal, points, 1)[~np.isnan(frame.depth_m)]
    # Depth from the nearest pixel is off by half a pixel of the coarser image.
    assert np.abs(distance / DISTANCE_M - 1).max() < 0.01
    # A camera that is half a pixel off would add a systematic error.
    assert abs(distance.mean() / DISTANCE_M - 1) < 0.0005


def test_colour_depth_and_labels_stay_registered(plane):
    frame, labels = resize_crop(plane.frame, plane.labels, (60, 84))
    frame, labels = flip_crop(frame, labels)
    inside = np.s_[:, 4:-4]
    error = frame.rgb[..., 0].astype(int) - labels
    assert np.abs(error[inside]).max() <= 1
    assert labels[0, 0] > labels[0, -1]
    np.testing.assert_array_equal(flip_crop(*flip_crop(frame, labels))[1], labels)


@pytest.mark.parametrize('size', [(64, 96), (160, 224)])
def test_training_resizes_like_inference(plane, size):
    rng = np.random.default_rng(3)
    noisy = RgbdFrame(
        rng.integers(0, 256, (*CAMERA.size, 3), np.uint8), plane.frame.depth_m, CAMERA
    )
    ours, _ = resize_crop(noisy, plane.labels, size)
    rgb, depth_m = resize_rgbd(
        torch.from_numpy(noisy.rgb).permute(2, 0, 1).float(), torch.from_numpy(noisy.depth_m), size
    )
    # uint8 rounds once along each axis.
    assert np.abs(ours.rgb - rgb.permute(1, 2, 0).numpy()).max() < 1.5
    np.testing.assert_array_equal(ours.depth_m, depth_m.numpy())


def test_sensor_effects_keep_the_labels(plane, monkeypatch):
    """All effects and no effect differ in depth and colour, not in labels."""
    seen = []
    for probability in (0.0, 1.0):
        for module in (augmentation, depth_noise):
            for name in [n for n in vars(module) if n.endswith('_PROBABILITY')]:
                if name not in ('FLIP_PROBABILITY', 'TOTAL_LOSS_PROBABILITY'):
                    monkeypatch.setattr(module, name, probability)
        seen.append(augment(plane, SPEC, CONFIG, np.random.default_rng(6)))
    (image, spatial, labels), (worse_image, worse_spatial, same_labels) = seen
    assert torch.equal(labels, same_labels)
    assert not torch.equal(spatial, worse_spatial)
    assert (worse_spatial == 0).sum() > (spatial == 0).sum()
    assert not torch.equal(image, worse_image)


def test_degrade_depth_false_keeps_measured_depth(plane, monkeypatch):
    monkeypatch.setattr(
        augmentation, 'degrade_depth', lambda depth_m, *_: np.full_like(depth_m, np.nan)
    )
    degraded, measured = (
        augment(plane, SPEC, config, np.random.default_rng(6))[1]
        for config in (CONFIG, dataclasses.replace(CONFIG, degrade_depth=False))
    )
    assert (degraded == degraded[0, 0, 0]).all()
    assert len(measured.unique()) > 100


def test_jitter_applies_gain_contrast_and_saturation():
    rgb = np.random.default_rng(1).integers(60, 150, (30, 44, 3), np.uint8)
    rng = np.random.default_rng(7)
    gain = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.7, 1.3)
    contrast, saturation = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.4)
    wanted = rgb * gain
    wanted = wanted.mean() + contrast * (wanted - wanted.mean())
    grey = wanted.mean(axis=2, keepdims=True)
    wanted = np.clip(grey + saturation * (wanted - grey), 0, 255)
    jittered = jitter_colour(rgb, np.random.default_rng(7))
    assert jittered.dtype == np.uint8
    # OpenCV uses ten-bit coefficients for uint8.
    assert np.abs(jittered - wanted).max() < 1


@pytest.mark.parametrize('effect', ['BLUR', 'GRAIN', 'JPEG', None])
def test_each_colour_effect_is_mild_and_reproducible(plane, monkeypatch, effect):
    rgb = plane.frame.rgb.copy()
    rgb[40:80, 60:100] = (250, 20, 90)
    for name in ('BLUR', 'GRAIN', 'JPEG'):
        monkeypatch.setattr(augmentation, f'{name}_PROBABILITY', float(name == effect))
    for seed in range(6):
        worse, again = (degrade_colour(rgb, np.random.default_rng(seed)) for _ in '12')
        np.testing.assert_array_equal(worse, again)
        assert (worse.shape, worse.dtype) == (rgb.shape, np.uint8)
        difference = np.abs(worse.astype(int) - rgb).mean()
        assert difference == 0 if effect is None else 0 < difference < 8


SIZE = (21, 34)
NEAR, FAR = 1, 2
RNG = np.random.default_rng(0)


def uniform(depth_m, labels, grey=0, fx=30.0):
    """A crop of one colour; `depth_m` and `labels` may be one number for all pixels."""
    frame = RgbdFrame(
        np.full((*SIZE, 3), grey, np.uint8),
        np.broadcast_to(np.float32(depth_m), SIZE).copy(),
        CameraIntrinsics(SIZE[1], SIZE[0], fx, fx, 17.0, 10.0),
    )
    return frame, np.broadcast_to(np.uint8(labels), SIZE).copy()


def test_class_mix_copies_nearer_pixels_only():
    depth_m = np.full(SIZE, 4.0)
    depth_m[5:9, 7:20] = 1.5
    frame, labels = class_mix(uniform(3.0, FAR), uniform(depth_m, NEAR, 200), RNG)
    nearer = depth_m < 3
    np.testing.assert_array_equal(labels, np.where(nearer, NEAR, FAR))
    np.testing.assert_array_equal(frame.depth_m, np.where(nearer, 1.5, 3).astype(np.float32))
    np.testing.assert_array_equal(frame.rgb[..., 1], np.where(nearer, 200, 0))


@pytest.mark.parametrize(('focal_px', 'copied'), [(15.0, False), (60.0, True)])
def test_class_mix_keeps_the_metric_size(focal_px, copied):
    """At half the focal length, the same pixels have the same size at half the distance."""
    target, source = uniform(2.0, FAR, fx=30.0), uniform(3.0, NEAR, fx=focal_px)
    frame, labels = class_mix(target, source, np.random.default_rng(0))
    assert (labels == (NEAR if copied else FAR)).all()
    assert np.allclose(frame.depth_m, 1.5 if copied else 2.0)
    assert frame.intrinsics == target[0].intrinsics


def test_class_mix_ignores_pixels_without_depth_or_label():
    missing = np.full(SIZE, 3.0)
    missing[:4] = np.nan
    unlabelled = np.full(SIZE, NEAR)
    unlabelled[-3:] = UNLABELLED
    _, labels = class_mix(uniform(missing, FAR), uniform(1.0, unlabelled), RNG)
    assert (labels[4:-3] == NEAR).all()
    assert (labels[:4] == FAR).all() and (labels[-3:] == FAR).all()
    _, labels = class_mix(uniform(3.0, FAR), uniform(missing / 3, NEAR), RNG)
    assert (labels[:4] == FAR).all()


def test_class_mix_chooses_half_of_the_classes_at_random():
    bands = np.repeat(np.arange(7, dtype=np.uint8), 3)[:, None]
    counts = np.zeros(7, int)
    for seed in range(60):
        _, labels = class_mix(uniform(3.0, 40), uniform(1.0, bands), np.random.default_rng(seed))
        chosen = np.setdiff1d(labels, [40])
        assert len(chosen) == 4
        counts[chosen] += 1
    assert counts.min() > 20
