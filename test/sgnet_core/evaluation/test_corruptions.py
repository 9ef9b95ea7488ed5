# SPDX-License-Identifier: Apache-2.0
"""Corruptions, and robustness to them."""

import dataclasses
import json

import numpy as np
import pytest

from sgnet_core.data.synthetic import RoomDataset
from sgnet_core.evaluation import evaluate
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.evaluation.robustness import measure_robustness, relative_miou
from sgnet_core.labels import NYU40
from sgnet_core.types import SegmentationResult


@pytest.fixture(scope='module')
def sequence():
    rooms = RoomDataset(12, (150, 256), frames_per_room=12, seed=4, rate_hz=5.0)
    return [rooms[i] for i in range(12)]


def damage(sample, worse):
    """How far colour and depth are from the original, missing depth counted as a metre off."""
    colour = np.abs(sample.frame.rgb.astype(float) - worse.frame.rgb).mean()
    depth = np.abs(np.nan_to_num(sample.frame.depth_m - worse.frame.depth_m, nan=1.0)).mean()
    return colour, depth


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_severities_grow_and_change_one_image(sequence, name):
    index = 11
    sample, damages = sequence[index], []
    for severity in SEVERITIES:
        worse = CORRUPTIONS[name].apply(sequence, index, severity)
        colour, depth = damage(sample, worse)
        damages.append(colour if name.startswith('colour') else depth)
        assert (depth if name.startswith('colour') else colour) == 0
        for field in dataclasses.fields(sample):
            if field.name != 'frame':
                assert getattr(worse, field.name) is getattr(sample, field.name)
        assert worse.frame.intrinsics == sample.frame.intrinsics
        measured = worse.frame.depth_m[~np.isnan(worse.frame.depth_m)]
        assert (measured > 0).all()
        assert np.isfinite(measured).all()
    assert 0 < damages[0] < damages[1] < damages[2]
    again = CORRUPTIONS[name].apply(sequence, index, SEVERITIES[-1]).frame
    np.testing.assert_array_equal(worse.frame.rgb, again.rgb)
    np.testing.assert_array_equal(worse.frame.depth_m, again.depth_m)


@pytest.mark.parametrize('name', ['depth_holes', 'depth_noise'])
def test_random_corruptions_depend_on_the_id(sequence, name):
    twins = [sequence[5], dataclasses.replace(sequence[5], id='another')]
    first, second = (CORRUPTIONS[name].apply(twins, i, 2).frame.depth_m for i in range(2))
    assert not np.array_equal(first, second, equal_nan=True)


class NeedsDepth:
    """Returns the truth at pixels with the original depth."""

    class_names = NYU40.class_names

    def __init__(self, sequence):
        self._truth = {s.frame.rgb.tobytes(): s for s in sequence}

    def segment(self, frame):
        sample = self._truth[frame.rgb.tobytes()]
        same = frame.depth_m == sample.frame.depth_m
        labels = np.where(same, np.minimum(sample.labels, 39), np.uint8(39))
        return SegmentationResult(labels, np.ones(frame.size, np.float32), self.class_names)


def clean(sequence):
    """Counts of its truth."""
    return evaluate(NeedsDepth(sequence), sequence, progress=False)


def test_relative_miou_of_a_network_that_needs_exact_depth(sequence, monkeypatch):
    depth_only = {name: c for name, c in CORRUPTIONS.items() if name.startswith('depth')}
    monkeypatch.setattr('sgnet_core.evaluation.robustness.CORRUPTIONS', depth_only)
    network = NeedsDepth(sequence)
    rows = sum(
        measure_robustness(network, sequence, range(12), clean(sequence), progress=False), []
    )
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    accuracy = {(row['corruption'], row['severity']): row['pixel_accuracy'] for row in rows}
    kept = 1 - np.array(CORRUPTIONS['depth_holes'].levels)
    assert [accuracy['depth_holes', s] for s in SEVERITIES] == pytest.approx(kept, abs=0.1)
    assert accuracy['depth_blackout', 3] < 0.1
    shares = relative_miou(rows)
    assert shares['depth_scale'] < shares['depth_holes'] < 1
    assert relative_miou(rows, complete=False) == {**shares, 'mean': None}


def test_late_depth_needs_enough_earlier_frames(sequence, monkeypatch):
    monkeypatch.setattr(
        'sgnet_core.evaluation.robustness.CORRUPTIONS', {'depth_delay': CORRUPTIONS['depth_delay']}
    )
    seen = []

    class Watching(NeedsDepth):
        def segment(self, frame):
            seen.append(frame)
            return super().segment(frame)

    # Two sequences of five and seven frames; depth is one, three and ten frames late.
    moved = [dataclasses.replace(sample, pose=sample.pose + shift(9.0)) for sample in sequence[5:]]
    cut = sequence[:5] + moved
    counts = clean(cut)
    (rows,) = measure_robustness(Watching(cut), cut, range(12), counts, progress=False)
    assert [row['severity'] for row in rows] == [1, 2], 'no sequence has ten frames before any'
    assert len(seen) == (4 + 6) + (2 + 4)
    depths = {id(sample.frame.depth_m): i for i, sample in enumerate(cut)}
    late = [depths[id(frame.depth_m)] for frame in seen]
    assert late == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10] + [0, 1, 5, 6, 7, 8]
    assert all(row['clean_miou'] == 1 for row in rows)


def shift(distance_m):
    move = np.zeros((4, 4))
    move[0, 3] = distance_m
    return move


def test_relative_miou_without_rows_is_none():
    assert relative_miou([]) is None
    assert relative_miou([{'corruption': 'depth_holes', 'miou': 0.0, 'clean_miou': 0.0}]) is None
