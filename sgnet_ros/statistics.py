# SPDX-License-Identifier: Apache-2.0
"""What came in, what went out, and what became of the rest. Safe to use from several threads."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

LATENCIES_REMEMBERED = 1000


@dataclass(frozen=True)
class Counts:
    """The statistics at one moment.

    Attributes:
        received: stream ('rgb', 'depth', 'camera_info', 'depth_camera_info') -> messages.
        pairs: colour with depth, as the synchronisation made them.
        masks: segmented frames.
        dropped: cause -> how many. Causes of single messages ('rgb_unmatched', 'depth_unmatched',
            'duplicate_stamp', 'time_jump') come before pairs, all others after:
            pairs = masks + those + at most the few under way.
        reasons: cause -> what was wrong the last time, where that is known.
        latency_ms: of the last masks, colour stamp to publication, oldest first.
        processing_ms: of the same, conversions and network and publication.
    """

    received: Mapping[str, int] = field(default_factory=dict)
    pairs: int = 0
    masks: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    latency_ms: tuple[float, ...] = ()
    processing_ms: tuple[float, ...] = ()

    def line(self) -> str:
        """One line for people."""
        dropped = ', '.join(f'{cause} {count}' for cause, count in sorted(self.dropped.items()))
        return f'pairs {self.pairs}, masks {self.masks}, dropped: {dropped or "none"}'

    def to_json(self) -> dict[str, object]:
        """For `--json`: received, pairs, masks, dropped, latency_ms and processing_ms."""
        return {
            'received': dict(self.received),
            'pairs': self.pairs,
            'masks': self.masks,
            'dropped': dict(self.dropped),
            'latency_ms': percentiles(self.latency_ms),
            'processing_ms': percentiles(self.processing_ms),
        }


class Statistics:
    """Counts while the node lives; never reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._pairs = 0
        self._masks = 0
        self._dropped: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._latency_ms: deque[float] = deque(maxlen=LATENCIES_REMEMBERED)
        self._processing_ms: deque[float] = deque(maxlen=LATENCIES_REMEMBERED)

    def received(self, stream: str) -> None:
        """A message of `stream` came in."""
        with self._lock:
            self._received[stream] += 1

    def paired(self) -> None:
        """A colour and a depth message belong together."""
        with self._lock:
            self._pairs += 1

    def dropped(self, cause: str, count: int = 1, reason: str = '') -> None:
        """`count` messages or pairs go no further; `reason` says what is wrong with the last."""
        with self._lock:
            self._dropped[cause] += count
            if reason:
                self._reasons[cause] = reason

    def segmented(self, stamp_ns: int, now_ns: int, started_s: float) -> None:
        """A mask was made of a colour image stamped `stamp_ns`.

        `now_ns` is of the clock that stamps images, `started_s` of `time.monotonic()`.
        """
        processing_ms = (time.monotonic() - started_s) * 1e3
        with self._lock:
            self._masks += 1
            self._latency_ms.append((now_ns - stamp_ns) / 1e6)
            self._processing_ms.append(processing_ms)

    def counts(self) -> Counts:
        """A copy of everything."""
        with self._lock:
            return Counts(
                received=dict(self._received),
                pairs=self._pairs,
                masks=self._masks,
                dropped=dict(self._dropped),
                reasons=dict(self._reasons),
                latency_ms=tuple(self._latency_ms),
                processing_ms=tuple(self._processing_ms),
            )


def percentiles(values: tuple[float, ...]) -> dict[str, float] | None:
    """`p50` and `p95` (nearest rank) of the values; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = {name: -(-len(ordered) * percent // 100) for name, percent in (('p50', 50), ('p95', 95))}
    return {name: ordered[max(index - 1, 0)] for name, index in rank.items()}
