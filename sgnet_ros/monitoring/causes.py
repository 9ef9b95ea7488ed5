# SPDX-License-Identifier: Apache-2.0
"""Finds the causes of missing output in the state of inputs and counts. No ROS inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sgnet_ros.monitoring import messages
from sgnet_ros.monitoring.counters import Counts

NO_SUBSCRIBER = 'no_subscriber'
"""Cause of drops: no output has a subscriber. It is not a problem."""
MIN_CAMERA_INFOS, MAX_LOSS_FACTOR = 10, 2
"""Images are lost if so many camera_info come, and more than this factor times the images."""
CLOCK_TOLERANCE_S = 0.1
"""Allowed offset between the clocks of two machines."""


@dataclass(frozen=True)
class InputFacts:
    """The state of one input.

    Attributes:
        topic: declared name, `rgb/image`.
        text: declared and resolved name, `rgb/image (-> /camera/image_raw)`.
        publishers: number of publishers.
        incompatible: the QoS mismatch if no publisher is compatible.
        received: messages since the last check.
        unstamped: whether the stamps of its messages are zero.
        other_types: the wrong types of its publishers, with the remedy.
        other_transport: the other transport that is published, with the remedy.
        same_type_topics: other published topics of its type.
        remedy: what to do if it has no publisher, appended to the message.
    """

    topic: str
    text: str
    publishers: int
    incompatible: str = ''
    received: int = 0
    unstamped: bool = False
    other_types: str = ''
    other_transport: str = ''
    same_type_topics: str = ''
    remedy: str = ''


def diagnose(
    inputs: tuple[InputFacts, ...],
    since_last: Counts,
    period_s: float,
    nearest_gap_ns: int | None = None,
    slop_s: float = 0.0,
    busy_s: float = 0.0,
    clock_is_silent: bool = False,
    unsynchronised: str = '',
) -> list[str]:
    """Causes of missing output in the last `period_s` seconds, most basic cause first.

    A missing subscriber is not a cause: such a node works as intended.

    Args:
        inputs: colour and depth, and camera_info if it is needed.
        since_last: the counts of these seconds.
        nearest_gap_ns: smallest difference between a colour and a depth stamp, if any.
        slop_s: largest difference of the stamps of a pair.
        busy_s: processing time of the current frame.
        clock_is_silent: use_sim_time is true and no /clock was received.
        unsynchronised: remedy for stamps that differ, appended to the message.
    """
    causes = [messages.NO_CLOCK.format()] if clock_is_silent else []
    causes += [cause for facts in inputs if (cause := _input_cause(facts, period_s))]
    if since_last.pairs == 0 and not causes:
        causes += lost_images(inputs, period_s).values()
    if since_last.pairs == 0 and not causes:
        streams = [(facts.topic.split('/')[0], facts.received / period_s) for facts in inputs[:2]]
        rates = ', '.join(f'{stream} {rate_hz:.1f} Hz' for stream, rate_hz in streams)
        if nearest_gap_ns is None:
            causes.append(messages.NO_TWO_STAMPS.format(rates=rates))
        else:
            gap, slop = f'{nearest_gap_ns / 1e6:.1f}', f'{slop_s * 1e3:g}'
            text = messages.STAMPS_APART.format(rates=rates, gap=gap, slop=slop)
            causes.append(text + unsynchronised)
    elif since_last.pairs and since_last.dropped and NO_SUBSCRIBER not in since_last.dropped:
        reasons = since_last.reasons
        dropped = ', '.join(
            f'{cause} {n}' + (f' ({reasons[cause]})' if cause in reasons else '')
            for cause, n in sorted(since_last.dropped.items())
        )
        causes.append(messages.ALL_DROPPED.format(pairs=since_last.pairs, causes=dropped))
    if busy_s > period_s:
        causes.append(messages.SLOW_FRAME.format(seconds=f'{busy_s:.1f}'))
    return causes


def lost_images(inputs: tuple[InputFacts, ...], period_s: float) -> dict[str, str]:
    """Image topics that lose most messages in transit -> message.

    Drivers publish a small camera_info with every image, and it is hardly ever lost.
    """
    lost = {}
    for info in inputs[2:]:
        for images in inputs[:2]:
            if MIN_CAMERA_INFOS <= info.received > MAX_LOSS_FACTOR * images.received > 0:
                lost[images.topic] = messages.LOST_IMAGES.format(
                    topic=images.text,
                    rate=f'{images.received / period_s:.1f}',
                    info=info.topic,
                    info_rate=f'{info.received / period_s:.1f}',
                )
    return lost


def _input_cause(facts: InputFacts, period_s: float) -> str:
    if facts.publishers == 0:
        others = facts.same_type_topics
        return (
            messages.NO_PUBLISHER.format(topic=facts.text)
            + (f'; {facts.other_transport}' if facts.other_transport else '')
            + ('' if facts.other_transport else facts.remedy)
            + (f'; published topics of its type: {others}' if others else '')
        )
    if facts.received == 0:
        publishers = f'{facts.publishers} publisher{"s" if facts.publishers > 1 else ""}'
        known = {'topic': facts.text, 'publishers': publishers}
        if facts.other_types:
            return messages.OTHER_TYPE.format(types=facts.other_types, **known)
        if facts.incompatible:
            return messages.INCOMPATIBLE_QOS.format(reason=facts.incompatible, **known)
        return messages.NO_MESSAGE.format(seconds=f'{period_s:.1f}', **known)
    return messages.ZERO_STAMPS.format(topic=facts.text) if facts.unstamped else ''


def warnings(
    name: str,
    nodes_of_this_name: int,
    ahead_s: float,
    qos_mismatches: Mapping[str, str],
    lost: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Probable mistakes that do not prevent output: subject -> warning.

    Args:
        name: the name of the node.
        nodes_of_this_name: number of nodes with this name.
        ahead_s: offset of the latest colour stamp into the future on arrival.
        qos_mismatches: output topic -> incompatible QoS policy of a subscriber.
        lost: the result of `lost_images`.
    """
    found = {
        topic: messages.QOS_MISMATCH.format(topic=topic, reason=reason)
        for topic, reason in qos_mismatches.items()
    } | dict(lost)
    if nodes_of_this_name > 1:
        found['name'] = messages.DUPLICATE_NAME.format(count=nodes_of_this_name, name=name)
    if ahead_s > CLOCK_TOLERANCE_S:
        found['clock'] = messages.FUTURE_STAMPS.format(seconds=f'{ahead_s:.1f}')
    return found


def difference(now: Counts, before: Counts) -> Counts:
    """The counts between two moments."""
    dropped = _subtract(now.dropped, before.dropped)
    return Counts(
        received=_subtract(now.received, before.received),
        pairs=now.pairs - before.pairs,
        masks=now.masks - before.masks,
        dropped=dropped,
        reasons={cause: now.reasons[cause] for cause in dropped if cause in now.reasons},
    )


def _subtract(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    changes = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: change for key, change in changes.items() if change}
