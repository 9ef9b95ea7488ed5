# SPDX-License-Identifier: Apache-2.0
"""Says why no output comes: what is known about inputs and counts, to sentences. No ROS here."""

from __future__ import annotations

from dataclasses import dataclass

from sgnet_ros.statistics import Counts

NO_SUBSCRIBER = 'no_subscriber'
"""Of what is dropped: pairs that nobody wanted. They came as far as they should."""
MOST_AHEAD_S = 0.1
"""Clocks of two machines may differ by so much before it is said."""
REMEDIES = {
    'depth/image': '; RealSense: align_depth.enable:=true',
    'rgb/camera_info': '; or give camera.fx, camera.fy, camera.cx and camera.cy',
    'depth/camera_info': '; or take depth that is registered already, without depth.register',
}


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
    """

    topic: str
    text: str
    publishers: int
    incompatible: str = ''
    received: int = 0
    unstamped: bool = False
    foreign: str = ''
    otherwise: str = ''


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
    causes = ['use_sim_time is true but /clock is silent'] if clock_is_silent else []
    causes += [cause for facts in inputs if (cause := _input_cause(facts, period_s))]
    if since_last.pairs == 0 and not causes:
        causes.append(_pairing_cause(inputs, period_s, nearest_gap_ns, slop_s))
    elif since_last.pairs and since_last.dropped and NO_SUBSCRIBER not in since_last.dropped:
        dropped = ', '.join(
            f'{cause} {n}'
            + (f' ({since_last.reasons[cause]})' if cause in since_last.reasons else '')
            for cause, n in sorted(since_last.dropped.items())
        )
        causes.append(f'pairs {since_last.pairs}, masks 0, dropped: {dropped}')
    if busy_s > period_s:
        causes.append(f'one frame has been in the making for {busy_s:.1f} s')
    return causes


def _pairing_cause(
    inputs: tuple[InputFacts, ...], period_s: float, nearest_gap_ns: int | None, slop_s: float
) -> str:
    rates = [
        f'{facts.topic.split("/")[0]} {facts.received / period_s:.1f} Hz' for facts in inputs[:2]
    ]
    gap = 'no two stamps to compare'
    if nearest_gap_ns is not None:
        gap = f'nearest stamps {nearest_gap_ns / 1e6:.1f} ms apart, sync.slop {slop_s * 1e3:g} ms'
    return f'{", ".join(rates)}, 0 pairs: {gap}'


def _input_cause(facts: InputFacts, period_s: float) -> str:
    if facts.publishers == 0:
        remedy = f'; {facts.otherwise}' if facts.otherwise else REMEDIES.get(facts.topic, '')
        return f'{facts.text}: 0 publishers{remedy}'
    publishers = f'{facts.publishers} publisher{"s" if facts.publishers > 1 else ""}'
    if facts.received == 0 and facts.foreign:
        return f'{facts.text}: {publishers} of {facts.foreign}'
    if facts.received == 0 and facts.incompatible:
        return f'{facts.text}: {publishers}, incompatible QoS ({facts.incompatible})'
    if facts.received == 0:
        return f'{facts.text}: {publishers}, no message in {period_s:.1f} s'
    if facts.unstamped:
        return f'{facts.text}: stamps are zero'
    return ''


def doubts(name: str, namesakes: int, ahead_s: float) -> dict[str, str]:
    """What does not keep output away and is hardly meant: what it is about -> what to do.

    Args:
        name: of the node.
        namesakes: how many nodes have it.
        ahead_s: by how much the latest colour image was stamped after it came.
    """
    found = {}
    if namesakes > 1:
        found['name'] = (
            f'{namesakes} nodes are called {name}: their outputs and services mix; rename one by '
            '-r __node:=NAME or a namespace (one that crashed is gone after 20 s)'
        )
    if ahead_s > MOST_AHEAD_S:
        found['clock'] = (
            f'rgb/image is stamped {ahead_s:.1f} s in the future; synchronise the clocks of camera '
            'and node (chrony, PTP), or set use_sim_time for a simulation'
        )
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
