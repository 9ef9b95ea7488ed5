# SPDX-License-Identifier: Apache-2.0
"""Topics and messages as they are read from a bag, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rosbags.typesys import Stores, get_typestore


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag.

    Attributes:
        name: e.g. `/camera/camera/color/image_raw`.
        msgtype: e.g. `sensor_msgs/msg/Image`.
        count: messages in the bag; in a truncated bag, those before the cut.
        latched: late subscribers get the last message as well (transient local).
    """

    name: str
    msgtype: str
    count: int
    latched: bool


@dataclass(frozen=True)
class BagMessage:
    """One recorded message: its topic, when it was recorded, and its CDR bytes."""

    topic: str
    time_ns: int
    cdr: bytes


def topics_by_name(topics: Iterable[BagTopic]) -> dict[str, BagTopic]:
    """The topics in order of name; several entries of one topic become one."""
    by_name: dict[str, BagTopic] = {}
    for topic in topics:
        earlier = by_name.get(topic.name, replace(topic, count=0))
        by_name[topic.name] = replace(
            topic, count=earlier.count + topic.count, latched=earlier.latched or topic.latched
        )
    return dict(sorted(by_name.items()))


@lru_cache(maxsize=1)
def standard_types() -> Any:
    """The message types of ROS 2; sensor_msgs and std_msgs are the same in all distributions."""
    return get_typestore(Stores.ROS2_JAZZY)


def ros1_to_cdr(raw: bytes, msgtype: str) -> bytes:
    """A message of ROS 1 in the bytes of ROS 2."""
    return bytes(standard_types().ros1_to_cdr(raw, msgtype))
