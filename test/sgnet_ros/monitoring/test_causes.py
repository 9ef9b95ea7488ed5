# SPDX-License-Identifier: Apache-2.0
"""Causes of missing output, warnings and counters."""

import ast
import random
import re
from pathlib import Path

import pytest

from sgnet_ros.monitoring.causes import InputFacts, diagnose, difference, warnings
from sgnet_ros.monitoring.counters import Counters, Counts, percentiles
from sgnet_ros.monitoring.messages import DROPS, NO_CAUSE, NOT_WANTED, SENTENCES
from sgnet_ros.monitoring.stage_timer import STAGES
from sgnet_ros.topics import STREAMS


def facts(topic, **changes):
    values = {'publishers': 1, 'received': 150, **changes}
    return InputFacts(topic, f'{topic} (-> /cam/{topic})', **values)


RGB, DEPTH, INFO = facts('rgb/image'), facts('depth/image'), facts('rgb/camera_info')


NO_MESSAGE = facts('rgb/image', received=0, publishers=2)
AT_RGB, AT_DEPTH = 'rgb/image (-> /cam/rgb/image)', 'depth/image (-> /cam/depth/image)'
RATES = 'rgb 30.0 Hz, depth 30.0 Hz, 0 pairs'
CASES = {
    'publisher': (
        (RGB, facts('depth/image', publishers=0, remedy='; OAK-D: do this')),
        {},
        f'{AT_DEPTH}: 0 publishers; OAK-D: do this',
    ),
    'QoS': (
        (facts('rgb/image', received=0, incompatible='RELIABILITY'), DEPTH),
        {},
        f'{AT_RGB}: 1 publisher, incompatible QoS (RELIABILITY)',
    ),
    'silence': ((NO_MESSAGE, DEPTH), {}, f'{AT_RGB}: 2 publishers, no message in 5.0 s'),
    'zeros': ((RGB, facts('depth/image', unstamped=True)), {}, f'{AT_DEPTH}: stamps are zero'),
    'gap': (
        (RGB, DEPTH),
        {'nearest_gap_ns': 41_000_000, 'slop_s': 0.015},
        f'{RATES}: nearest stamps 41.0 ms apart, sync.slop 15 ms',
    ),
    'gap of a known camera': (
        (RGB, DEPTH),
        {'nearest_gap_ns': 41_000_000, 'slop_s': 0.015, 'unsynchronised': '; OAK-D: do this'},
        f'{RATES}: nearest stamps 41.0 ms apart, sync.slop 15 ms; OAK-D: do this',
    ),
    'lost images': (
        (facts('rgb/image', received=3), DEPTH),
        {'nearest_gap_ns': 900_000_000, 'slop_s': 0.015},
        f'{AT_RGB}: 0.6 Hz, but rgb/camera_info 30.0 Hz: images are lost in transit; '
        'set qos.input:=auto, and the Fast DDS profile for the camera',
    ),
    'no gap': ((RGB, DEPTH), {'slop_s': 0.015}, f'{RATES}: no two stamps to compare'),
    'drops': (
        (RGB, DEPTH),
        {'since_last': Counts(pairs=150, dropped={'bad_depth': 148, 'newer_frame': 2})},
        'pairs 150, masks 0, dropped: bad_depth 148, newer_frame 2',
    ),
    'slow frame': (
        (RGB, DEPTH),
        {'since_last': Counts(pairs=3), 'busy_s': 7.25},
        'the current frame has taken 7.2 s so far',
    ),
    'transport': (
        (facts('rgb/image', publishers=0, other_transport='/cam/x is published: do this'), DEPTH),
        {},
        f'{AT_RGB}: 0 publishers; /cam/x is published: do this',
    ),
    'type': (
        (RGB, facts('depth/image', received=0, other_types='b/msg/B, not a/msg/A; do that')),
        {},
        f'{AT_DEPTH}: 1 publisher of b/msg/B, not a/msg/A; do that',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_diagnose_finds_each_cause(case):
    inputs, known, text = CASES[case]
    assert diagnose((*inputs, INFO), **{'since_last': Counts(), 'period_s': 5.0, **known}) == [text]


def test_missing_subscriber_is_not_a_cause():
    since = Counts(pairs=150, dropped={'no_subscriber': 150, 'rgb_unmatched': 1})
    assert diagnose((RGB, DEPTH, INFO), since, 5.0) == []
    missing = facts('rgb/camera_info', publishers=0)
    assert len(diagnose((RGB, DEPTH, missing), since, 5.0)) == 1


def test_silent_clock_is_the_first_cause():
    rgb = facts('rgb/image', publishers=0)
    causes = diagnose((rgb, DEPTH, INFO), Counts(), 5.0, clock_is_silent=True)
    assert causes[0] == 'use_sim_time is true but /clock is silent'
    assert len(causes) == 2


def test_second_type_on_a_received_topic_is_not_a_cause():
    heard = facts('depth/image', other_types='b/msg/B, not a/msg/A')
    assert 'b/msg/B' not in diagnose((RGB, heard, INFO), Counts(), 5.0)[0]


@pytest.mark.parametrize(
    ('nodes', 'ahead_s', 'about'),
    [(1, 0.0, set()), (1, 0.1, set()), (3, -900.0, {'name'}), (2, 0.2, {'name', 'clock'})],
)
def test_warnings(nodes, ahead_s, about):
    found = warnings('/robot/segmentation', nodes, ahead_s, {})
    assert set(found) == about
    if 'name' in about:
        assert f'{nodes} nodes have the name /robot/segmentation' in found['name']


def test_difference_omits_unchanged_counts():
    before = Counts(received={'rgb': 3, 'depth': 4}, pairs=2, masks=1, dropped={'newer_frame': 1})
    now = Counts(
        received={'rgb': 5, 'depth': 4}, pairs=4, masks=2, dropped={'newer_frame': 1, 'stopped': 1}
    )
    change = difference(now, before)
    assert change == Counts(received={'rgb': 2}, pairs=2, masks=1, dropped={'stopped': 1})


def test_counters_return_copies_and_summaries():
    counters = Counters()
    counters.received('rgb')
    counters.paired()
    counters.dropped('bad_rgb')
    counts = counters.counts()
    counters.dropped('bad_rgb', 4)
    counters.segmented(dict.fromkeys(STAGES, 5.0))
    assert counts.dropped == {'bad_rgb': 1}
    assert counts.line() == 'pairs 1, masks 0, dropped: bad_rgb 1'
    assert Counts().line() == 'pairs 0, masks 0, dropped: none'
    values = counters.counts().to_json()
    assert values['dropped'] == {'bad_rgb': 5}
    assert values['masks'] == 1
    assert values['latency_ms'] == {'p50': 25.0, 'p95': 25.0}
    assert values['processing_ms'] == {'p50': 15.0, 'p95': 15.0}, 'without arrive and wait'
    assert values['stages_ms']['segment'] == {'p50': 5.0, 'p95': 5.0}
    assert Counts().to_json()['latency_ms'] is None


@pytest.mark.parametrize('count', [1, 2, 19, 20, 21, 100, 137])
def test_percentiles_use_the_nearest_rank(count):
    """At least p percent of the values are not above it, and it is the least such value."""
    rng = random.Random(count)
    values = tuple(rng.random() for _ in range(count))
    for percent, value in ((50, percentiles(values)['p50']), (95, percentiles(values)['p95'])):
        assert sum(v <= value for v in values) * 100 >= percent * count
        assert sum(v < value for v in values) * 100 < percent * count


def all_messages():
    """An example of each cause and warning."""
    for inputs, known, _ in CASES.values():
        yield from diagnose((*inputs, INFO), **{'since_last': Counts(), 'period_s': 5.0, **known})
    yield from diagnose((facts('rgb/image', publishers=0),), Counts(), 5.0, clock_is_silent=True)
    yield from warnings('/segmentation', 2, 900.0, {'/segmentation/mask': 'why'}).values()


def test_troubleshooting_lists_exactly_the_messages():
    seen = set()
    for message in all_messages():
        (diagnosis,) = (one for one in SENTENCES if matches(one.sentence, message))
        seen.add(diagnosis)
    # The watchdog logs the other two.
    assert seen | {NO_CAUSE, NOT_WANTED} == set(SENTENCES)


def matches(sentence, message):
    return re.match(re.sub(r'\\\{\w+\\\}', '.+', re.escape(sentence)), message)


def test_frame_that_waits_for_max_rate_has_no_cause(ros):
    node, camera = ros.node_and_camera(max_rate=0.001, watchdog__timeout=3600.0)
    camera.send(10**9)
    camera.wait()
    node._watchdog._check()
    camera.send(2 * 10**9)
    ros.spin_until(lambda: node.counters.counts().pairs == 2, 'the second pair')
    ros.spin_until(lambda: node.counters.counts().received['camera_info'] == 2, 'its camera')
    node._watchdog._check()
    assert node.describe_problem() == NO_CAUSE.sentence


def test_troubleshooting_lists_exactly_the_causes_of_drops():
    """RosHarness checks it while tests run; here, that none is left over."""
    made = {f'bad_{stream}' for stream in STREAMS.values()} | {'bad_frame'}
    made |= {'rgb_unmatched', 'depth_unmatched'}
    package = Path(__file__).resolve().parents[3] / 'sgnet_ros'
    for path in set(package.rglob('*.py')) - {package / 'monitoring' / 'messages.py'}:
        nodes = ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        made |= {n.value for n in nodes if isinstance(n, ast.Constant) and n.value in DROPS}
    assert made == set(DROPS)
