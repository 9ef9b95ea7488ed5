# SPDX-License-Identifier: Apache-2.0
"""How good the estimate of gravity is; angles in degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.data.folder import FolderDataset
from sgnet_core.errors import DataError, InputError
from sgnet_core.gravity import GravityTracker

Figures = dict[str, dict[str, float]]

LEVEL = np.array([0.0, 1.0, 0.0])
CLOSE_DEG = 5.0


def read_rotations(path: Path) -> np.ndarray:
    """The downward axes of a file of 3x3 matrices, (N, 3) in the optical frame.

    They turn points of a frame with x right, y forward and z up until z is really up: a third row
    is the upward axis.

    Raises:
        DataError: it holds something else.
    """
    try:
        rows = np.array(path.read_text().split(), np.float64).reshape(-1, 3, 3)
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: no text file of 3x3 matrices ({error})') from error
    if not len(rows) or not np.allclose(rows @ rows.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise DataError(f'{path}: not all of its {len(rows)} matrices are rotations')
    right, forward, up = rows[:, 2].T
    return np.stack([-right, up, -forward], axis=1)


def errors(data: FolderDataset, down: np.ndarray) -> Figures:
    """Between estimates from single frames and known directions, whose number (from 1) is the id.

    `estimate`; and `level`, which takes the image's own downward axis.

    Raises:
        InputError: an id is no such number.
    """
    numbers = [int(sample_id) if sample_id.isdecimal() else 0 for sample_id in data.ids]
    for sample_id, number in zip(data.ids, numbers, strict=True):
        if not 1 <= number <= len(down):
            raise InputError(
                f'{data.root}: frame {sample_id!r} is not a number from 1 to {len(down)}, as '
                'those of NYUv2 are; give the rotations of this data set'
            )
    truth = down[np.array(numbers) - 1]
    estimates, _ = _estimates(data, tracked=False)
    return {
        'estimate': _distribution(_angles_deg(estimates, truth)),
        'level': _distribution(_angles_deg(LEVEL[None], truth)),
    }


def flicker(data: FolderDataset) -> Figures:
    """How far the direction jumps in the world from a frame to the next, which poses tell.

    `single`: each frame is estimated on its own; `tracked`: by a `GravityTracker`.

    Raises:
        InputError: the data set has no poses.
    """
    if not data.has_poses:
        raise InputError(f'{data.root} has no poses: give --rotations, or a video with poses')
    if len(data) < 2:
        raise InputError(f'{data.root}: a video has at least 2 frames, this has {len(data)}')
    figures = {}
    for name in ('single', 'tracked'):
        down, poses = _estimates(data, tracked=name == 'tracked')
        down = np.einsum('nij,nj->ni', np.array(poses)[:, :3, :3], down)
        figures[name] = _distribution(_angles_deg(down[1:], down[:-1]))
    return figures


def _estimates(data: FolderDataset, tracked: bool) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """The downward axis of every frame, (N, 3), and its pose."""
    tracker = GravityTracker()
    found, poses = [], []
    for sample in tqdm(data, 'gravity', unit='frame', disable=None):
        if not tracked:
            tracker.reset()
        found.append(tracker.update(sample.frame.depth_m, sample.frame.intrinsics).down)
        poses.append(sample.pose)
    return np.array(found), poses


def _angles_deg(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    # The sine is sharp where the cosine is not.
    sine = np.linalg.norm(np.cross(some, others), axis=1)
    return np.degrees(np.arctan2(sine, (some * others).sum(1)))


def _distribution(angles_deg: np.ndarray) -> dict[str, float]:
    median, p90, p95 = np.percentile(angles_deg, [50, 90, 95])
    return {
        'median_deg': round(float(median), 4),
        'p90_deg': round(float(p90), 4),
        'p95_deg': round(float(p95), 4),
        'largest_deg': round(float(angles_deg.max()), 4),
        f'share_within_{CLOSE_DEG:g}_deg': round(float((angles_deg <= CLOSE_DEG).mean()), 4),
    }
