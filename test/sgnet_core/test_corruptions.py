# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in the robustness suite, and what does not change."""

import dataclasses
import json

import numpy as np
import pytest

from sgnet_core.data.rooms.dataset import RoomDataset
from sgnet_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from sgnet_core.evaluation.robustness import measure_robustness, retained
from sgnet_core.labels import NYU40
from sgnet_core.types import SegmentationResult


@pytest.fixture(scope='module')
def film():
    rooms = RoomDataset(12, (150, 256), frames_per_room=12, seed=4, rate_hz=5.0)
    return [rooms[i] for i in range(12)]


def damage(sample, worse):
    """How far colour and depth are from the original, missing depth counted as a metre off."""
    colour = np.abs(sample.frame.rgb.astype(float) - worse.frame.rgb).mean()
    depth = np.abs(np.nan_to_num(sample.frame.depth_m - worse.frame.depth_m, nan=1.0)).mean()
    return colour, depth


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_severities_grow_and_touch_only_what_they_name(film, name):
    index = 11
    sample, found = film[index], []
    for severity in SEVERITIES:
        worse = CORRUPTIONS[name].apply(film, index, severity)
        colour, depth = damage(sample, worse)
        found.append(colour if name.startswith('colour') else depth)
        assert (depth if name.startswith('colour') else colour) == 0
        for field in dataclasses.fields(sample):
            if field.name != 'frame':
                assert getattr(worse, field.name) is getattr(sample, field.name)
        assert worse.frame.intrinsics == sample.frame.intrinsics
        measured = worse.frame.depth_m[~np.isnan(worse.frame.depth_m)]
        assert (measured > 0).all()
        assert np.isfinite(measured).all()
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_the_same_every_time_and_another_for_another_frame(film, name):
    first, again = (CORRUPTIONS[name].apply(film, 5, 2).frame for _ in range(2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.depth_m, again.depth_m)


def test_holes_have_the_share_they_say(film):
    corruption = CORRUPTIONS['depth_holes']
    for severity, share in zip(SEVERITIES, corruption.levels, strict=True):
        missing = np.isnan(corruption.apply(film, 0, severity).frame.depth_m).mean()
        assert missing == pytest.approx(share, abs=0.1)


def test_late_depth_is_that_of_an_earlier_frame_of_the_film(film):
    late = CORRUPTIONS['depth_delay'].apply(film, 7, 2).frame
    assert late.rgb is film[7].frame.rgb
    assert late.depth_m is film[4].frame.depth_m
    assert CORRUPTIONS['depth_delay'].apply(film, 2, 3).frame.depth_m is film[0].frame.depth_m


class NeedsDepth:
    """Knows the truth of every frame, and tells it where the depth is as it should be."""

    class_names = NYU40.class_names

    def __init__(self, film):
        self._truth = {s.frame.rgb.tobytes(): s for s in film}

    def segment(self, frame):
        sample = self._truth[frame.rgb.tobytes()]
        same = frame.depth_m == sample.frame.depth_m
        labels = np.where(same, np.minimum(sample.labels, 39), np.uint8(39))
        return SegmentationResult(labels, np.ones(frame.size, np.float32), self.class_names)


def test_what_is_left_of_a_network_that_needs_exact_depth(film, monkeypatch):
    depth_only = {name: c for name, c in CORRUPTIONS.items() if name.startswith('depth')}
    monkeypatch.setattr('sgnet_core.evaluation.robustness.CORRUPTIONS', depth_only)
    rows = list(measure_robustness(NeedsDepth(film), film, range(4, 9), film=True, progress=False))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    accuracy = {(row['corruption'], row['severity']): row['pixel_accuracy'] for row in rows}
    kept = 1 - np.array(CORRUPTIONS['depth_holes'].levels)
    assert [accuracy['depth_holes', s] for s in SEVERITIES] == pytest.approx(kept, abs=0.1)
    assert accuracy['depth_blackout', 3] < 0.1
    # The clean score of this network is 1.
    shares = retained(rows, 1.0)
    assert shares['depth_scale'] < shares['depth_holes'] < 1
    without_film = measure_robustness(NeedsDepth(film), film, [5], film=False, progress=False)
    assert 'depth_delay' not in {row['corruption'] for row in without_film}


def test_nothing_is_left_of_nothing():
    assert retained([], 0.5) is None
    row = {'corruption': 'depth_holes', 'severity': 1, 'miou': 0.0, 'pixel_accuracy': 0.0}
    assert retained([row], 0.0) is None
    assert retained([row], None) is None
