# SPDX-License-Identifier: Apache-2.0
"""The soak test finds broken promises, and a short one keeps them."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message, serialize_message

from sgnet_ros.benchmark.faulty_camera import SIZE, break_frame, frame_messages
from sgnet_ros.benchmark.soak import Soak

COUNTS = {'pairs': 10, 'masks': 7, 'dropped': {'newer_frame': 2, 'bad_rgb': 1, 'rgb_unmatched': 4}}


def soak(tmp_path, **seen):
    made = Soak(['module'], {}, tmp_path, 0, threading.Event(), print)
    good = {'recovered': True, 'exit_s': 0.3, 'node': COUNTS, 'response_s': {'enable': [0.1, 0.9]}}
    vars(made).update(good | seen)
    return made


@pytest.mark.parametrize(
    ('seen', 'broken'),
    [
        ({}, []),
        ({'exit_s': None}, ['node ended before SIGINT']),
        ({'exit_s': 1.1}, ['SIGINT to the end, s']),
        ({'node': {**COUNTS, 'pairs': 11}}, ['pairs - masks - drops']),
        ({'node': {**COUNTS, 'pairs': 9}}, ['pairs - masks - drops']),
        ({'response_s': {'enable': [1.1], 'configure': [9.0]}}, ['slowest response, s']),
        ({'rejected': ['enable']}, ['valid requests rejected']),
        (
            {'memory_mb': [(s, 500 + s / 10) for s in range(700)]},
            ['growth of memory after 60 s, MB'],
        ),
        ({'memory_mb': [(s, 500 + min(s, 60)) for s in range(700)]}, []),
        ({'recovered': False}, ['no mask for a valid camera at the end']),
    ],
)
def test_broken_promises(tmp_path, seen, broken):
    made = soak(tmp_path, **seen)
    assert [row['promise'] for row in made.promises() if row['kept'] is False] == broken
    json.dumps(made.to_json(), allow_nan=False)


def test_faults_reach_every_topic_and_can_be_sent():
    rng, valid = random.Random(0), frame_messages(SIZE, 7)
    broken = Counter()
    for _ in range(300):
        messages = frame_messages(SIZE, 7)
        break_frame(rng, messages, 7)
        for topic, message in messages.items():
            deserialize_message(serialize_message(message), type(message))
            broken[topic] += message != valid[topic]
    assert set(broken) == set(valid)
    assert min(broken.values()) > 30


def test_a_short_soak_keeps_the_promises(ros_domain_id, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'sgnet_ros', 'soak', '--minutes', '0.1', '--stand-in', '5']
        + ['--out', tmp_path],
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=240,
    )
    values = json.loads((tmp_path / 'soak.json').read_text())
    # The times are those of a busy machine.
    timeless = [row for row in values['promises'] if not row['promise'].endswith(', s')]
    assert all(row['kept'] is not False for row in timeless), done.stderr
    assert values['node']['masks'] > 0
    assert 'bad_' in str(values['node']['dropped']), 'no frame was broken'
    assert values['promises'][0]['promise'] in done.stdout
