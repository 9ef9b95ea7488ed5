# SPDX-License-Identifier: Apache-2.0
"""Error of the gravity estimate where gravity is known, or its jumps along a video with poses.

Angles are in degrees.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgnet_core.cli.options import add_options
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import DataError, InputError
from sgnet_core.geometry.gravity import GravityTracker
from sgnet_core.io.files import write_json

Errors = dict[str, dict[str, float]]

LEVEL = np.array([0.0, 1.0, 0.0])
CLOSE_DEG = 5.0
PERCENTILES = {'median': 50, 'p90': 90, 'p95': 95, 'largest': 100}


def read_rotations(path: Path) -> np.ndarray:
    """The downward axes of a file of 3x3 matrices, (N, 3) in the optical frame.

    They rotate points from x right, y forward, z up until z is vertical: the third row is the
    upward axis.

    Raises:
        DataError: the file holds something else.
    """
    try:
        rows = np.array(path.read_text().split(), np.float64).reshape(-1, 3, 3)
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: not a text file of 3x3 matrices ({error})') from error
    if not len(rows) or not np.allclose(rows @ rows.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise DataError(f'{path}: not all of its {len(rows)} matrices are rotations')
    right, forward, up = rows[:, 2].T
    return np.stack([-right, up, -forward], axis=1)


def errors(data: FolderDataset, down: np.ndarray) -> Errors:
    """Angles between known directions and `estimate`, from single frames, or `level`, the image's
    own downward axis. The id of a frame is the number of its direction, from 1.

    Raises:
        InputError: an id is not the number of a direction.
    """
    numbers = [int(sample_id) if sample_id.isdecimal() else 0 for sample_id in data.ids]
    if not all(1 <= number <= len(down) for number in numbers):
        raise InputError(f'{data.root}: frame ids must be numbers from 1 to {len(down)}')
    truth = down[np.array(numbers) - 1]
    return {
        'estimate': _distribution(_estimates(data, tracked=False), truth),
        'level': _distribution(LEVEL[None], truth),
    }


def changes(data: FolderDataset) -> Errors:
    """Angles between the directions of consecutive frames in the world frame of the poses.

    `single`: each frame is estimated on its own; `tracked`: by a `GravityTracker`.

    Raises:
        InputError: the data set has no poses.
    """
    if not data.has_poses or len(data) < 2:
        raise InputError(f'{data.root} is not a video with poses; give --rotations')
    poses = np.array([sample.pose for sample in data])
    found = {}
    for name in ('single', 'tracked'):
        down = np.einsum('nij,nj->ni', poses[:, :3, :3], _estimates(data, name == 'tracked'))
        found[name] = _distribution(down[1:], down[:-1])
    return found


def _estimates(data: FolderDataset, tracked: bool) -> np.ndarray:
    """The downward axis of every frame, (N, 3)."""
    tracker = GravityTracker()
    found = []
    for sample in tqdm(data, 'gravity', unit='frame', disable=None):
        if not tracked:
            tracker.reset()
        found.append(tracker.update(sample.frame.depth_m, sample.frame.intrinsics).down)
    return np.array(found)


def _distribution(some: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Statistics of the angles between unit vectors."""
    # The sine is precise at small angles, the cosine is not.
    sine = np.linalg.norm(np.cross(some, others), axis=1)
    angles_deg = np.degrees(np.arctan2(sine, (some * others).sum(1)))
    values = {f'{name}_deg': np.percentile(angles_deg, q) for name, q in PERCENTILES.items()}
    values[f'share_within_{CLOSE_DEG:g}_deg'] = (angles_deg <= CLOSE_DEG).mean()
    return {name: round(float(value), 4) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, 'data', required=True)
    add_options(parser, 'split', 'json')
    parser.add_argument('--rotations', type=Path, help='camera_rotations_NYU.txt of NYUv2')
    args = parser.parse_args()
    data = FolderDataset(args.data, args.split, labels=False)
    found = errors(data, read_rotations(args.rotations)) if args.rotations else changes(data)
    if args.json != '-':
        print(f'{data.name}, split {args.split or "all"}, {len(data)} frames')
        for name, values in found.items():
            print(f'{name}: {", ".join(f"{key} {value:.3g}" for key, value in values.items())}')
    if args.json:
        write_json(args.json, {'frames': len(data), **found})


if __name__ == '__main__':
    main()
