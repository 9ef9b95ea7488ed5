# SPDX-License-Identifier: Apache-2.0
"""Averages over frames follow surfaces, and labels of moving things do not smear."""

import torch
import numpy as np
import pytest

from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import InputError
from sgnet_core.evaluation.temporal_consistency import TemporalConsistency
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.inference.temporal_fusion import (
    MAX_GAP_S,
    MAX_TRANSLATION_M,
    PAST_WEIGHT,
    TemporalFusion,
)
from sgnet_core.types import CameraIntrinsics, RgbdFrame

SIZE, GRID = (45, 65), (12, 17)
STEP = 4
"""Pixels between scores: 44 / 11 and 64 / 16."""
CAMERA = CameraIntrinsics(SIZE[1], SIZE[0], 80.0, 82.0, 30.0, 22.0)
WALL, THING = 0, 1


def frame(depth_m, camera=CAMERA):
    depth_m = np.broadcast_to(np.float32(depth_m), camera.size).copy()
    return RgbdFrame(np.zeros((*camera.size, 3), np.uint8), depth_m, camera)


def scores(labels, certainty=0.6):
    """Scores of two classes with the probability `certainty` for `labels` (h, w)."""
    thing = torch.from_numpy(np.where(labels == THING, certainty, 1 - certainty)).float()
    return torch.stack([1 - thing, thing])[None].log()


def at(x_m=0.0):
    """The pose of a camera moved to the right."""
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


def fused(fusion, labels, *arguments, certainty=0.6, **known):
    return fusion.fuse(scores(labels, certainty), *arguments, **known).argmax(1)[0].numpy()


def scene(step, thing_m, moved_px=0):
    """Labels and depth of a wall at 3 m, and of a thing that moves by two scores each step."""
    columns = np.arange(SIZE[1]) + moved_px
    inside = (columns >= 8 * step) & (columns < 8 * step + 24)
    depth_m = np.where(inside, thing_m, 3.0) * np.ones((SIZE[0], 1))
    labels = np.where(inside[::STEP], THING, WALL) * np.ones((GRID[0], 1), int)
    return labels, depth_m


@pytest.mark.parametrize('certainty', [0.6, 0.9, 0.999])
@pytest.mark.parametrize('moving_camera', [False, True])
def test_places_that_a_thing_leaves_take_the_new_label_at_once(certainty, moving_camera):
    """Depth tells wall and thing apart. The thing itself has its label at once, too."""
    fusion = TemporalFusion()
    for step in range(8):
        # 4 px are 0.15 m at 3 m: the wall moves by a score.
        pose, moved_px = (at(0.15 * step), 4 * step) if moving_camera else (at(), 0)
        labels, depth_m = scene(step, 2.0, moved_px)
        now = fused(fusion, labels, frame(depth_m), pose, certainty=certainty)
        np.testing.assert_array_equal(now, labels, str(step))


@pytest.mark.parametrize(('certainty', 'frames'), [(0.6, 3), (0.7, 2), (0.8, 1), (0.999, 1)])
def test_flat_things_take_the_new_label_within_three_frames(certainty, frames):
    """A sheet on the wall moves away: no depth tells them apart."""
    fusion = TemporalFusion()
    sheet, wall = np.full(GRID, THING), np.full(GRID, WALL)
    for _ in range(30):
        fused(fusion, sheet, frame(3.0), certainty=certainty)
    history = [fused(fusion, wall, frame(3.0), certainty=certainty)[5, 5] for _ in range(4)]
    assert history == [THING] * (frames - 1) + [WALL] * (5 - frames)


def test_uncertain_labels_do_not_flicker():
    fusion, flicker = TemporalFusion(), np.random.default_rng(1)
    noisy = [np.where(flicker.random(GRID) < 0.2, THING, WALL) for _ in range(30)]
    masks = [fused(fusion, labels, frame(3.0)) for labels in noisy]
    wrong = [np.mean(np.stack(part[5:]) == THING) for part in (noisy, masks)]
    assert wrong[1] < wrong[0] / 3


@pytest.mark.parametrize('poses', [(at(), at(0.3)), (None, at(0.3)), (at(), None)])
def test_the_past_follows_the_surface_if_both_poses_are_known(poses):
    """0.3 m at 3 m are 8 pixels: two scores."""
    labels = np.where(np.arange(GRID[1]) % 6 < 3, THING, WALL) * np.ones((GRID[0], 1), int)
    fusion, uniform = TemporalFusion(), torch.zeros(1, 2, *GRID)
    fusion.fuse(scores(labels, 0.9), frame(3.0), poses[0])
    now = fusion.fuse(uniform, frame(3.0), poses[1]).softmax(1)[0, THING].numpy()
    shift = 0 if any(pose is None for pose in poses) else 2
    # The overlap of (0.5, 0.5) and (0.9, 0.1) is 0.6.
    weight = PAST_WEIGHT * 0.6 / 0.7
    expected = np.where(labels == THING, 0.5 + 0.4 * weight, 0.5 - 0.4 * weight)
    np.testing.assert_allclose(now[:, : 17 - shift], expected[:, shift:], atol=1e-4)
    np.testing.assert_allclose(now[:, 17 - shift :], 0.5, atol=1e-6)


@pytest.mark.parametrize(
    'change',
    [
        {'stamp_ns': 10**9 - 1},
        {'stamp_ns': 10**9},
        {'stamp_ns': round((1 + MAX_GAP_S) * 1e9) + 1},
        {'pose': at(1.1 * MAX_TRANSLATION_M)},
        {'frame': frame(3.0, CAMERA.cropped(0, 1, *SIZE))},
        {'frame': frame(3.0, CameraIntrinsics(70, 50, 80.0, 82.0, 30.0, 22.0))},
        {'frame': frame(3.2)},
        {'frame': frame(np.nan)},
        {'scores': torch.zeros(1, 2, 9, 14)},
        {'scores': torch.zeros(1, 3, *GRID)},
        None,
    ],
)
def test_the_past_is_forgotten(change):
    """If time or the camera jumps, or if sizes, classes or the surface change."""
    fusion, known = TemporalFusion(), {'frame': frame(3.0), 'pose': at(), 'stamp_ns': 10**9}
    fusion.fuse(scores(np.full(GRID, THING)), **known)
    if change is None:
        fusion.reset()
    known |= {'scores': torch.zeros(1, 2, *GRID), 'stamp_ns': 2 * 10**9} | (change or {})
    probabilities = fusion.fuse(**known).softmax(1)
    np.testing.assert_allclose(probabilities, 1 / probabilities.shape[1], atol=1e-6)


def test_invalid_scores_last_one_frame():
    fusion, labels = TemporalFusion(), np.full(GRID, THING)
    invalid = scores(labels)
    invalid[:, :, 3, 4] = np.nan
    fusion.fuse(scores(labels), frame(3.0))
    assert fusion.fuse(invalid, frame(3.0)).isnan().any(1).sum() == 1
    assert (fused(fusion, labels, frame(3.0)) == THING).all()


def test_pose_must_be_rigid():
    with pytest.raises(InputError, match='must be rigid'):
        TemporalFusion().fuse(scores(np.zeros(GRID)), frame(3.0), np.diag([2.0, 2, 2, 1]))


def test_masks_of_a_kinect_sequence_are_steadier(research_data):
    """By the bundled network, on frames where it flickers most."""
    data = FolderDataset(research_data / 'kinect_sequence')
    segmenter = Segmenter.from_checkpoint(backend='torch')  # needs no export
    off, on, fusion = TemporalConsistency(), TemporalConsistency(), TemporalFusion()
    for sample in (data[index] for index in range(180, 188)):
        off.update(sample, segmenter.segment(sample.frame).labels)
        result = segmenter.segment(
            sample.frame, lambda s, f, sample=sample: fusion.fuse(s, f, sample.pose)
        )
        on.update(sample, result.labels)
    off, on = (1 - c.to_json()['agreement'] for c in (off, on))
    assert on < 0.5 * off
