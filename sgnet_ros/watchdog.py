# SPDX-License-Identifier: Apache-2.0
"""Says why no output comes: what is known about inputs and counts, to sentences. No ROS here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgnet_ros import troubles
from sgnet_ros.statistics import Counts

NO_SUBSCRIBER = 'no_subscriber'
"""Of what is dropped: pairs that nobody wanted. They came as far as they should."""
MOST_AHEAD_S = 0.1
"""Clocks of two machines may differ by so much before it is said."""


@dataclass(frozen=True)
class InputFacts:
    """What is known about one input.

    Attributes:
        topic: as declared, `rgb/image`.
        text: as declared and as resolved, `rgb/image (-> /camera/image_raw)`.
        publishers: how many publish it.
        incompatible: why QoS keeps each unmatched publisher out, '' = it does not.
        received: messages since the last check.
        unstamped: whether its messages carry stamps of zero.
        foreign: which other types are published, and what to do, '' = none.
        otherwise: where else it is published, and what makes the node listen there, '' = nowhere.
        alike: other topics of its type that are published, '' = none.
    """

    topic: str
    text: str
    publishers: int
    incompatible: str = ''
    received: int = 0
    unstamped: bool = False
    foreign: str = ''
    otherwise: str = ''
    alike: str = ''


def causes_of_silence(
    inputs: tuple[InputFacts, ...],
    since_last: Counts,
    period_s: float,
    nearest_gap_ns: int | None = None,
    slop_s: float = 0.0,
    busy_s: float = 0.0,
    clock_is_silent: bool = False,
) -> list[str]:
    """Why there was no output in the last `period_s` seconds, most basic cause first.

    That nobody subscribes is no cause: such a node does what it should.

    Args:
        inputs: colour and depth, and camera_info where it is needed.
        since_last: what was counted in that time.
        nearest_gap_ns: smallest difference between a colour and a depth stamp, if any.
        slop_s: the largest one that makes a pair.
        busy_s: how long one frame has been in the making.
        clock_is_silent: use_sim_time is set and /clock has not been heard.
    """
    causes = [troubles.NO_CLOCK.say()] if clock_is_silent else []
    causes += [cause for facts in inputs if (cause := _input_cause(facts, period_s))]
    if since_last.pairs == 0 and not causes:
        causes.append(_pairing_cause(inputs, period_s, nearest_gap_ns, slop_s))
    elif since_last.pairs and since_last.dropped and NO_SUBSCRIBER not in since_last.dropped:
        dropped = ', '.join(
            f'{cause} {n}'
            + (f' ({since_last.reasons[cause]})' if cause in since_last.reasons else '')
            for cause, n in sorted(since_last.dropped.items())
        )
        causes.append(troubles.ALL_DROPPED.say(pairs=since_last.pairs, causes=dropped))
    if busy_s > period_s:
        causes.append(troubles.SLOW_FRAME.say(seconds=f'{busy_s:.1f}'))
    return causes


def _pairing_cause(
    inputs: tuple[InputFacts, ...], period_s: float, nearest_gap_ns: int | None, slop_s: float
) -> str:
    rates = ', '.join(
        f'{facts.topic.split("/")[0]} {facts.received / period_s:.1f} Hz' for facts in inputs[:2]
    )
    if nearest_gap_ns is None:
        return troubles.NO_TWO_STAMPS.say(rates=rates)
    return troubles.STAMPS_APART.say(
        rates=rates, gap=f'{nearest_gap_ns / 1e6:.1f}', slop=f'{slop_s * 1e3:g}'
    )


def _input_cause(facts: InputFacts, period_s: float) -> str:
    if facts.publishers == 0:
        hint = f'; {facts.otherwise}' if facts.otherwise else troubles.REMEDIES.get(facts.topic, '')
        alike = f'; of its type are published {facts.alike}' if facts.alike else ''
        return troubles.NO_PUBLISHER.say(topic=facts.text) + hint + alike
    if facts.received == 0:
        return _unheard_cause(facts, period_s)
    if facts.unstamped:
        return troubles.ZERO_STAMPS.say(topic=facts.text)
    return ''


def _unheard_cause(facts: InputFacts, period_s: float) -> str:
    publishers = f'{facts.publishers} publisher{"s" if facts.publishers > 1 else ""}'
    known = {'topic': facts.text, 'publishers': publishers}
    if facts.foreign:
        return troubles.OTHER_TYPE.say(types=facts.foreign, **known)
    if facts.incompatible:
        return troubles.INCOMPATIBLE_QOS.say(reason=facts.incompatible, **known)
    return troubles.NO_MESSAGE.say(seconds=f'{period_s:.1f}', **known)


def doubts(name: str, namesakes: int, ahead_s: float, unheard: Mapping[str, str]) -> dict[str, str]:
    """What does not keep output away and is hardly meant: what it is about -> what to do.

    Args:
        name: of the node.
        namesakes: how many nodes have it.
        ahead_s: by how much the latest colour image was stamped after it came.
        unheard: topics of ours that a subscriber cannot hear -> why.
    """
    found = {
        topic: troubles.UNHEARD.say(topic=topic, reason=reason) for topic, reason in unheard.items()
    }
    if namesakes > 1:
        found['name'] = troubles.NAMESAKES.say(count=namesakes, name=name)
    if ahead_s > MOST_AHEAD_S:
        found['clock'] = troubles.FUTURE_STAMPS.say(seconds=f'{ahead_s:.1f}')
    return found


def difference(now: Counts, before: Counts) -> Counts:
    """What was counted between two moments."""
    dropped = _subtract(now.dropped, before.dropped)
    return Counts(
        received=_subtract(now.received, before.received),
        pairs=now.pairs - before.pairs,
        masks=now.masks - before.masks,
        dropped=dropped,
        reasons={cause: now.reasons[cause] for cause in dropped if cause in now.reasons},
    )


def _subtract(now, before) -> dict[str, int]:
    changes = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: change for key, change in changes.items() if change}
