# SPDX-License-Identifier: Apache-2.0
"""Counts of messages, pairs, masks and drops, and times. Safe for several threads."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sgnet_ros.monitoring.stage_timer import CONVERT, PUBLISH, SEGMENT, STAGES

FRAMES_REMEMBERED = 1000


@dataclass(frozen=True)
class Counts:
    """The counters at one moment.

    Attributes:
        received: stream ('rgb', 'depth', 'camera_info', 'depth_camera_info') -> messages.
        pairs: synchronised pairs of colour and depth.
        masks: segmented frames.
        dropped: cause -> number. 'rgb_unmatched', 'depth_unmatched', 'duplicate_stamp' and
            'time_jump' count messages without a pair. The others count pairs:
            pairs = masks + dropped pairs + pairs in progress.
        reasons: cause -> the latest reason, if known.
        stages_ms: stage (see `stage_timer`) -> its times for the last masks, oldest first.
    """

    received: Mapping[str, int] = field(default_factory=dict)
    pairs: int = 0
    masks: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    stages_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def latency_ms(self) -> tuple[float, ...]:
        """From colour stamp to publication, for the last masks."""
        return tuple(map(sum, zip(*self.stages_ms.values(), strict=True)))

    @property
    def processing_ms(self) -> tuple[float, ...]:
        """Conversion, network and publication, for the last masks."""
        times = (self.stages_ms.get(stage, ()) for stage in (CONVERT, SEGMENT, PUBLISH))
        return tuple(map(sum, zip(*times, strict=True)))

    def line(self) -> str:
        """A summary in one line."""
        dropped = ', '.join(f'{cause} {count}' for cause, count in sorted(self.dropped.items()))
        return f'pairs {self.pairs}, masks {self.masks}, dropped: {dropped or "none"}'

    def to_json(self) -> dict[str, object]:
        """For `--json`: counts, and `p50` and `p95` of the times in ms."""
        return {
            'received': dict(self.received),
            'pairs': self.pairs,
            'masks': self.masks,
            'dropped': dict(self.dropped),
            'latency_ms': percentiles(self.latency_ms),
            'processing_ms': percentiles(self.processing_ms),
            'stages_ms': {stage: percentiles(ms) for stage, ms in self.stages_ms.items()},
        }


class Counters:
    """Counts for the lifetime of the node, without reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._pairs = 0
        self._masks = 0
        self._dropped: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._stages_ms: dict[str, deque[float]] = {
            stage: deque(maxlen=FRAMES_REMEMBERED) for stage in STAGES
        }

    def received(self, stream: str) -> None:
        """Count a message of `stream`."""
        with self._lock:
            self._received[stream] += 1

    def paired(self) -> None:
        """Count a pair of colour and depth."""
        with self._lock:
            self._pairs += 1

    def dropped(self, cause: str, count: int = 1, reason: str = '') -> None:
        """Count dropped messages or pairs; `reason` describes the last one."""
        with self._lock:
            self._dropped[cause] += count
            if reason:
                self._reasons[cause] = reason

    def segmented(self, stages_ms: Mapping[str, float]) -> None:
        """Count a mask, with the time of each of `STAGES`."""
        with self._lock:
            self._masks += 1
            for stage, times in self._stages_ms.items():
                times.append(stages_ms[stage])

    def counts(self) -> Counts:
        """A copy of everything."""
        with self._lock:
            return Counts(
                received=dict(self._received),
                pairs=self._pairs,
                masks=self._masks,
                dropped=dict(self._dropped),
                reasons=dict(self._reasons),
                stages_ms={stage: tuple(times) for stage, times in self._stages_ms.items()},
            )


def percentiles(
    values: Collection[float], percents: Collection[int] = (50, 95)
) -> dict[str, float] | None:
    """`p50` and `p95`, or others, by nearest rank; None without values."""
    if not len(values):
        return None
    ordered = sorted(values)
    rank = {f'p{percent}': -(-len(ordered) * percent // 100) for percent in percents}
    return {name: float(ordered[max(index - 1, 0)]) for name, index in rank.items()}
