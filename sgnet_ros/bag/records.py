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
    """The topics in order of name; entries of the same name are merged."""
    by_name: dict[str, BagTopic] = {}
    for topic in topics:
        earlier = by_name.get(topic.name, replace(topic, count=0))
        count, latched = earlier.count + topic.count, earlier.latched or topic.latched
        by_name[topic.name] = replace(topic, count=count, latched=latched)
    return dict(sorted(by_name.items()))


@lru_cache(maxsize=1)
def standard_types() -> Any:
    """The ROS 2 message types; sensor_msgs and std_msgs are equal in all distributions."""
    return get_typestore(Stores.ROS2_JAZZY)
