# SPDX-License-Identifier: Apache-2.0
"""Random views: geometry that stays consistent, and colour that stays colour."""

import dataclasses

import torch
import numpy as np
import pytest

from sgnet_core.data import depth_noise
from sgnet_core.geometry.point_map import depth_to_xyz
from sgnet_core.preprocessing import InputSpec, resize_rgbd
from sgnet_core.training import augmentation as views
from sgnet_core.training.augmentation import (
    augment,
    degrade_colour,
    flip_crop,
    jitter_colour,
    random_crop,
    resize_crop,
)
from sgnet_core.training.config import TrainConfig
from sgnet_core.types import CameraIntrinsics, RgbdFrame, Sample

CAMERA = CameraIntrinsics(168, 120, 150.0, 145.0, 80.5, 62.0)
CONFIG = TrainConfig(crop_size=(64, 96), scale=(0.6, 1.5))
NORMAL, DISTANCE_M = np.array([0.4, -0.3, 1.0]), 2.0


@pytest.fixture
def plane() -> Sample:
    """A tilted plane, NORMAL @ point = DISTANCE_M; colour, smooth, and labels say the column."""
    rays = depth_to_xyz(np.ones(CAMERA.size, np.float32), CAMERA)
    depth_m = (DISTANCE_M / np.tensordot(NORMAL, rays, 1)).astype(np.float32)
    column = np.broadcast_to(np.arange(168, dtype=np.uint8), CAMERA.size)
    rgb = np.stack([column, column // 2, 200 - column], axis=2)
    return Sample('plane', RgbdFrame(rgb, depth_m, CAMERA), np.ascontiguousarray(column))


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('zoom', [0.4, 1.0, 2.3])
def test_zoom_and_flip_leave_the_points_of_a_plane_on_it(plane, zoom, flip):
    """Depth stays metric, and depth and intrinsics together still mean the same points."""
    frame, labels = random_crop(plane, (64, 96), zoom, np.random.default_rng(2))
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
    # Without a systematic part: a camera that is half a pixel off would have one.
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
def test_training_resizes_as_the_node_does(plane, size):
    rng = np.random.default_rng(3)
    noisy = RgbdFrame(
        rng.integers(0, 256, (*CAMERA.size, 3), np.uint8), plane.frame.depth_m, CAMERA
    )
    ours, _ = resize_crop(noisy, plane.labels, size)
    rgb, depth_m = resize_rgbd(
        torch.from_numpy(noisy.rgb).permute(2, 0, 1), torch.from_numpy(noisy.depth_m), size
    )
    # uint8 arithmetic rounds once along each axis.
    assert np.abs(ours.rgb - rgb.permute(1, 2, 0).numpy()).max() < 1.5
    np.testing.assert_array_equal(ours.depth_m, depth_m.numpy())


def test_labels_know_nothing_of_sensors(plane, monkeypatch):
    """The same view with every effect and with none: other depth and colour, the same labels."""
    spec = InputSpec(64, 96, 'rgb', (127.0,) * 3, (128.0,) * 3, 'depth')
    seen = []
    for probability in (0.0, 1.0):
        for module in (views, depth_noise):
            for name in [n for n in vars(module) if n.endswith('_PROBABILITY')]:
                if name not in ('FLIP_PROBABILITY', 'TOTAL_LOSS_PROBABILITY'):
                    monkeypatch.setattr(module, name, probability)
        seen.append(augment(plane, spec, CONFIG, np.random.default_rng(6)))
    (image, spatial, labels), (worse_image, worse_spatial, same_labels) = seen
    assert torch.equal(labels, same_labels)
    assert not torch.equal(spatial, worse_spatial)
    assert (worse_spatial == 0).sum() > (spatial == 0).sum()
    assert not torch.equal(image, worse_image)


def test_depth_is_left_as_measured_where_the_recipe_says_so(plane, monkeypatch):
    monkeypatch.setattr(views, 'degrade_depth', lambda depth_m, *_: np.full_like(depth_m, np.nan))
    spec = InputSpec(64, 96, 'rgb', (127.0,) * 3, (128.0,) * 3, 'depth')
    degraded, measured = (
        augment(plane, spec, config, np.random.default_rng(6))[1]
        for config in (CONFIG, dataclasses.replace(CONFIG, degrade_depth=False))
    )
    assert (degraded == degraded[0, 0, 0]).all()
    assert len(measured.unique()) > 100


def test_jitter_is_gain_contrast_and_saturation_in_turn():
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
    # OpenCV transforms uint8 with coefficients of ten bits.
    assert np.abs(jittered - wanted).max() < 1


@pytest.mark.parametrize('effect', ['BLUR', 'GRAIN', 'JPEG', None])
def test_worse_colour_is_mild_and_each_effect_happens(plane, monkeypatch, effect):
    rgb = plane.frame.rgb.copy()
    rgb[40:80, 60:100] = (250, 20, 90)
    for name in ('BLUR', 'GRAIN', 'JPEG'):
        monkeypatch.setattr(views, f'{name}_PROBABILITY', float(name == effect))
    for seed in range(6):
        worse, again = (degrade_colour(rgb, np.random.default_rng(seed)) for _ in '12')
        np.testing.assert_array_equal(worse, again)
        assert worse.shape == rgb.shape
        assert worse.dtype == np.uint8
        difference = np.abs(worse.astype(int) - rgb).mean()
        assert difference == 0 if effect is None else 0 < difference < 8
