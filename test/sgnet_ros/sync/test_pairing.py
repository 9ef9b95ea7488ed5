# SPDX-License-Identifier: Apache-2.0
"""Properties of the pairing policy on random streams, and the traps of message_filters."""

import random
from types import SimpleNamespace

import pytest

from sgnet_core.errors import ConfigError
from sgnet_ros.compat.ros_api import SimpleFilter
from sgnet_ros.sync.pairing import RgbdPairing
from sgnet_ros.sync.pairing_filter import RgbdPairingFilter

MS = 1_000_000
PERIOD = 33 * MS


def feed(pairing, events):
    """Add ('rgb' | 'depth', stamp) events in order; returns the pairs of stamps."""
    pairs = []
    for kind, stamp in events:
        add = pairing.add_rgb if kind == 'rgb' else pairing.add_depth
        pairs += add(stamp, stamp)
    return pairs


def interleaved(rng, rgb, depth, lag=3):
    """Both streams, each in order, arriving with random delays of up to `lag` places."""
    events = [('rgb', s) for s in rgb] + [('depth', s) for s in depth]
    keyed = {'rgb': 0, 'depth': 0}
    order = []
    for kind, stamp in sorted(events, key=lambda e: e[1]):
        keyed[kind] = max(keyed[kind], stamp + rng.randrange(lag * PERIOD // 2 + 1))
        order.append((keyed[kind], rng.random(), kind, stamp))
    # The random second key must not swap two messages of one stream.
    result = [(kind, stamp) for _, _, kind, stamp in sorted(order, key=lambda o: (o[0], o[3]))]
    for name, stamps in (('rgb', rgb), ('depth', depth)):
        assert [s for kind, s in result if kind == name] == sorted(stamps)
    return result


def assert_bookkeeping(pairing, events, pairs):
    """Every message is in one pair, counted as dropped, or waiting."""
    assert pairing.pairs == len(pairs)
    assert 2 * pairing.pairs + sum(pairing.dropped.values()) + pairing.waiting == len(events)


@pytest.mark.parametrize('seed', range(30))
@pytest.mark.parametrize('mode', ['auto', 'exact', 'approximate'])
@pytest.mark.parametrize('slop_ms', [0, 15, 100])
def test_equal_stamps_pair_despite_losses(seed, mode, slop_ms):
    rng = random.Random(seed)
    stamps = [i * PERIOD for i in range(100)]
    rgb = [s for s in stamps if rng.random() > 0.2]
    depth = [s for s in stamps if rng.random() > 0.2]
    pairing = RgbdPairing(slop_ms / 1000, 10, mode)
    events = interleaved(rng, rgb, depth)
    pairs = feed(pairing, events)
    common = sorted(set(rgb) & set(depth))
    if mode != 'exact' and slop_ms == 100:
        # A slop of three frames allows pairs of neighbours where the equal one was lost.
        assert [p for p in pairs if p[0] == p[1]] == [(s, s) for s in common]
    else:
        assert pairs == [(s, s) for s in common]
    assert_bookkeeping(pairing, events, pairs)


def mutually_nearest(rgb, depth, slop):
    """Naive twin, with all stamps known: both are each other's nearest, within the slop."""
    pairs = []
    for c in rgb:
        d = min(depth, key=lambda d: abs(d - c))
        if abs(c - d) <= slop and min(rgb, key=lambda c: abs(d - c)) == c:
            pairs.append((c, d))
    return pairs


@pytest.mark.parametrize('seed', range(40))
def test_near_stamps_pair_with_the_nearest(seed):
    """Two free-running cameras: an offset, jitter, losses, random arrival."""
    rng = random.Random(seed)
    offset = rng.randrange(-12 * MS, 12 * MS)
    jitter = [rng.randrange(-1 * MS, 1 * MS) for _ in range(200)]
    rgb = [i * PERIOD + jitter[i] for i in range(100) if rng.random() > 0.1]
    depth = [i * PERIOD + offset + jitter[100 + i] for i in range(100) if rng.random() > 0.1]
    pairs = feed(RgbdPairing(0.015, 10, 'approximate'), interleaved(rng, rgb, depth))
    assert pairs == mutually_nearest(rgb, depth, 15 * MS)


def one_stream(rng, kind, start, count):
    """(kind, stamp) of a stream with an offset, jitter, drift, losses, duplicates, late messages
    and stamps of zero."""
    offset, jitter = rng.randrange(12 * MS), rng.randrange(1, 4 * MS)
    drift, share = rng.uniform(-0.01, 0.01), rng.choice([0, 0.02, 0.2])
    stamps = []
    for i in range(count):
        stamp = start + round(i * PERIOD * (1 + drift)) + offset + rng.randrange(jitter)
        lost, twice, late, zero = (rng.random() < share for _ in range(4))
        stamps += [0 if zero else stamp] * ((not lost) + twice)
        if late and len(stamps) > 1:
            stamps[-2:] = stamps[:-3:-1]
    return [(kind, stamp) for stamp in stamps]


def merged(rng, streams):
    """The events of both streams, either up to three messages ahead, also across loops."""
    events, lead = [], 0
    while any(streams.values()):
        kind = 'rgb' if lead < 3 and (lead < -2 or rng.random() < 0.5) else 'depth'
        if not streams[kind]:
            kind = 'depth' if kind == 'rgb' else 'rgb'
        lead += 1 if kind == 'rgb' else -1
        events.append(streams[kind].pop(0))
    return events


def disturbed(rng, loops=3):
    """Both streams of `loops` rounds of a bag."""
    rounds = [rng.randrange(1, 60) for _ in range(loops)]
    streams = {
        kind: [e for count in rounds for e in one_stream(rng, kind, 100 * PERIOD, count)]
        for kind in ('rgb', 'depth')
    }
    return merged(rng, streams)


@pytest.mark.parametrize('seed', range(60))
@pytest.mark.parametrize('mode', ['auto', 'exact', 'approximate'])
def test_disturbed_streams_keep_the_invariants_and_recover_within_one_frame(seed, mode):
    rng = random.Random(seed)
    slop_ms, queue_size = rng.choice([1, 5, 15, 40]), rng.choice([1, 2, 5, 10])
    pairing = RgbdPairing(slop_ms / 1000, queue_size, mode)
    events = disturbed(rng)
    # Messages are told apart by their place: stamps come again.
    pairs = []
    for place, (kind, stamp) in enumerate(events):
        pairs += (pairing.add_rgb if kind == 'rgb' else pairing.add_depth)(stamp, place)
        assert pairing.waiting <= 2 * queue_size
    assert_bookkeeping(pairing, events, pairs)
    max_gap = 0 if mode == 'exact' else slop_ms * MS
    for colour, depth in pairs:
        assert (events[colour][0], events[depth][0]) == ('rgb', 'depth')
        assert abs(events[colour][1] - events[depth][1]) <= max_gap
    for side in zip(*pairs, strict=True):
        assert len(side) == len(set(side)), 'a message twice'
    # Now time goes back once more, to clean streams.
    clean = [i * PERIOD for i in range(1, 12)]
    first, second = rng.sample(['rgb', 'depth'], 2)
    after = feed(pairing, [(kind, stamp) for stamp in clean for kind in (first, second)])
    assert after[-10:] == [(stamp, stamp) for stamp in clean[-10:]]


@pytest.mark.parametrize('seed', range(40))
def test_late_message_costs_two_pairs_at_most(seed):
    """Its stamp is a jump back: nothing tells it from a bag that loops."""
    rng = random.Random(seed)
    stamps = [i * PERIOD for i in range(100)]
    events = interleaved(rng, stamps, stamps)
    late = 0
    for kind in ('rgb', 'depth'):
        places = [place for place, event in enumerate(events) if event[0] == kind]
        for one, other in zip(places[::4], places[1::4], strict=True):
            if rng.random() < 0.2:
                events[one], events[other] = events[other], events[one]
                late += 1
    pairs = feed(RgbdPairing(0.015, 10, 'auto'), events)
    assert all(colour == depth for colour, depth in pairs)
    assert len(pairs) >= len(stamps) - 2 * late


def test_constant_offset_pairs_without_the_next_frame():
    for offset in (-5 * MS, 5 * MS):
        pairing = RgbdPairing(0.015, 10, 'auto')
        for i in range(10):
            first, second = sorted([('rgb', i * PERIOD), ('depth', i * PERIOD + offset)], key=str)
            assert len(feed(pairing, [first, second])) == 1


def test_lost_depth_does_not_shift_later_pairs():
    """Trap 1 of message_filters: 89 of 89 pairs were off by one."""
    for mode in ('auto', 'approximate'):
        pairing = RgbdPairing(0.040, 10, mode)
        events = []
        for i in range(90):
            events.append(('rgb', i * PERIOD))
            if i != 20:
                events.append(('depth', i * PERIOD))
        pairs = feed(pairing, events)
        assert pairs == [(i * PERIOD, i * PERIOD) for i in range(90) if i != 20]


def test_stamps_beyond_the_slop_do_not_pair_and_the_gap_is_known():
    pairing = RgbdPairing(0.015, 10, 'auto')
    events = [
        (kind, i * PERIOD + (16 * MS if kind == 'depth' else 0))
        for i in range(20)
        for kind in ('rgb', 'depth')
    ]
    assert feed(pairing, events) == []
    assert pairing.nearest_gap_ns == 16 * MS
    assert pairing.dropped['rgb_unmatched'] >= 19
    assert pairing.dropped['depth_unmatched'] >= 18


@pytest.mark.parametrize('mode', ['auto', 'exact', 'approximate'])
@pytest.mark.parametrize('seed', range(20))
def test_every_loop_of_a_bag_pairs_completely(mode, seed):
    """Trap 1 of message_filters: 85 pairs in the first loop, then none for ever."""
    rng = random.Random(seed)
    pairing = RgbdPairing(0.015, 10, mode)
    loops = 4 * [i * PERIOD for i in range(85)]
    order = merged(rng, {kind: [(kind, s) for s in loops] for kind in ('rgb', 'depth')})
    pairs = feed(pairing, order)
    assert all(c == d for c, d in pairs)
    # What waited for its partner when time went back is lost: at most the lead of one stream.
    assert len(pairs) >= 4 * 85 - 3 * 3
    assert_bookkeeping(pairing, order, pairs)


def test_messages_do_not_pair_across_a_jump():
    pairing = RgbdPairing(0.015, 10, 'auto')
    assert feed(pairing, [('rgb', 100 * MS), ('rgb', 133 * MS)]) == []
    assert feed(pairing, [('rgb', 67 * MS), ('depth', 100 * MS), ('depth', 133 * MS)]) == []
    assert pairing.dropped['time_jump'] == 2
    assert feed(pairing, [('rgb', 166 * MS), ('depth', 166 * MS)]) == [(166 * MS, 166 * MS)]


def test_auto_mode_switches_to_exact_and_back():
    pairing = RgbdPairing(0.015, 3, 'auto')
    assert feed(pairing, [('rgb', 0), ('depth', 0)]) == [(0, 0)]
    assert feed(pairing, [('rgb', PERIOD), ('depth', PERIOD + 5 * MS)]) == []
    for i in range(2, 12):
        pairs = feed(pairing, [('rgb', i * PERIOD), ('depth', i * PERIOD + 5 * MS)])
    assert pairs == [(11 * PERIOD, 11 * PERIOD + 5 * MS)]


def test_duplicate_stamps_are_counted():
    pairing = RgbdPairing()
    assert feed(pairing, [('rgb', 0), ('rgb', 0), ('depth', 0), ('depth', 0)]) == [(0, 0)]
    assert pairing.dropped['duplicate_stamp'] == 2


@pytest.mark.parametrize(
    'arguments', [{'mode': 'near'}, {'slop_s': -1.0}, {'queue_size': 0}, {'slop_s': float('nan')}]
)
def test_values_out_of_range_are_rejected(arguments):
    with pytest.raises(ConfigError):
        RgbdPairing(**arguments)


def stamped(stamp):
    nanoseconds = {'sec': stamp // 10**9, 'nanosec': stamp % 10**9}
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(**nanoseconds)))


def test_filter_survives_a_callback_that_raises():
    """Trap 1 of message_filters: after an exception the next message blocks for ever."""
    rgb, depth = SimpleFilter(), SimpleFilter()
    pairs = RgbdPairingFilter(rgb, depth, RgbdPairing())
    seen = []

    def callback(colour_msg, depth_msg):
        seen.append((colour_msg, depth_msg))
        if len(seen) == 1:
            raise RuntimeError('a defect downstream')

    pairs.registerCallback(callback)
    first, second = stamped(3 * 10**9 + 5), stamped(4 * 10**9)
    rgb.signalMessage(first)
    with pytest.raises(RuntimeError):
        depth.signalMessage(first)
    rgb.signalMessage(second)
    depth.signalMessage(second)
    assert seen == [(first, first), (second, second)]
