# SPDX-License-Identifier: Apache-2.0
"""The metrics of a replay are consistent."""

import numpy as np
import pytest
from replay_results import STAMPS, mask, replay_result

from sgnet_ros.replay.result import label_ages_ms


def test_masks_and_drops_are_all_pairs():
    masks = {STAMPS[0]: mask(None, 30.0, 7.0), STAMPS[3]: mask(None, 50.0, 9.0)}
    dropped = {'newer_frame': 4, 'bad_depth': 1, 'rgb_unmatched': 6, 'stopped': 0}
    metrics = replay_result(masks, pairs=9, masks=3, dropped=dropped).metrics()
    added = {'not_recorded': 1, 'unfinished': 1}
    assert (metrics['pairs'], metrics['masks']) == (9, 2)
    assert metrics['dropped'] == {'newer_frame': 4, 'bad_depth': 1} | added
    assert metrics['unpaired'] == {'rgb_unmatched': 6}
    assert metrics['masks'] + sum(metrics['dropped'].values()) == metrics['pairs']
    assert metrics['fps'] == pytest.approx(0.5)
    assert metrics['latency_ms'] == {'p50': 30.0, 'p95': 50.0, 'p99': 50.0}


def test_masks_after_the_last_report_are_counted():
    """The node ended with Ctrl-C."""
    masks = {stamp: mask(None, 30.0, 7.0 + index) for index, stamp in enumerate(STAMPS[:3])}
    metrics = replay_result(masks, pairs=3, masks=1, dropped={'bad_depth': 1}).metrics()
    assert (metrics['pairs'], metrics['masks'], metrics['dropped']) == (4, 3, {'bad_depth': 1})


def test_metrics_without_masks_are_none():
    metrics = replay_result({}, pairs=0).metrics('/other/rgb')
    assert metrics['frames_sent'] == 3
    assert (metrics['masks'], metrics['fps']) == (0, None)
    assert (metrics['latency_ms'], metrics['label_age_ms']) == (None, None)


def test_label_age_counts_from_the_stamp_to_the_next_mask():
    # 80 ms old at arrival, replaced 100 ms later; then 20 ms old, replaced 300 ms later.
    masks = [mask(None, 20.0, 5.1), mask(None, 80.0, 5.0), mask(None, 50.0, 5.4)]
    ages = label_ages_ms(masks)
    assert len(ages) == pytest.approx(400, abs=1)
    assert ages[:100] == pytest.approx(80.0 + np.arange(100))
    assert ages[101:400] == pytest.approx(20.0 + np.arange(1, 300))
    assert len(label_ages_ms([mask(None, 10.0, 1.0), mask(None, 10.0, 1e9)])) <= 1e6 + 1
    older_frame = [mask(None, 10.0, 1.0), mask(None, 500.0, 1.1), mask(None, 10.0, 1.2)]
    assert label_ages_ms(older_frame).max() < 210.0
