# SPDX-License-Identifier: Apache-2.0
"""Topics and messages of a bag in any format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rosbags.typesys import Stores, get_typestore


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag, with the number of readable messages.

    Late subscribers of a latched (transient local) topic receive earlier messages.
    """

    name: str
    msgtype: str
    count: int
    latched: bool


@dataclass(frozen=True)
class BagMessage:
    """A message, recorded at `time_ns`."""

    topic: str
    time_ns: int
    cdr: bytes


def topics_by_name(topics: Iterable[BagTopic]) -> dict[str, BagTopic]:
    """The topics in order of name.

    Entries of the same name and type are merged. Of several types, the most frequent is kept.
    """
    by_type: dict[tuple[str, str], BagTopic] = {}
    for topic in topics:
        earlier = by_type.get((topic.name, topic.msgtype), replace(topic, count=0))
        count, latched = earlier.count + topic.count, earlier.latched or topic.latched
        by_type[topic.name, topic.msgtype] = replace(topic, count=count, latched=latched)
    # The last of equal keys stays.
    return {topic.name: topic for topic in sorted(by_type.values(), key=_name_and_count)}


@lru_cache(maxsize=1)
def standard_types() -> Any:
    """The ROS 2 message types; sensor_msgs and std_msgs are equal in all distributions."""
    return get_typestore(Stores.ROS2_JAZZY)


def _name_and_count(topic: BagTopic) -> tuple[str, int]:
    return topic.name, topic.count
