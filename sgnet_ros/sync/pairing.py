# SPDX-License-Identifier: Apache-2.0
"""Pairs colour and depth messages by stamp: a pure policy, no ROS, no clock.

Stamps are integer nanoseconds; a message is any object. A pair is made as soon as no better pair
can arrive:

- Equal stamps pair at once.
- Otherwise a colour pairs with the nearest depth within `slop_s`, if no other colour is nearer to
  that depth and the next message of either stream cannot be nearer. The shortest recent interval
  of a stream bounds its next stamp. A lost frame therefore never shifts later pairs.
- A message is in one pair at most, and pairs come in the order of their stamps.
- If the stamps of a stream jump back (a bag loops), waiting messages are dropped.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Any

from sgnet_core.errors import ConfigError

MODES = ('auto', 'exact', 'approximate')
DEFAULT_SLOP_S = 0.015
"""Default of node and commands: below half a period of 30 Hz."""
NANOSECONDS = 1_000_000_000
RECENT_INTERVALS = 8
"""Number of intervals of a stream that bound its next stamp."""
FIRST_INTERVAL_NS = NANOSECONDS // 60
"""Bound before the first interval: the shortest period of common cameras."""


class _Stream:
    """The waiting messages of one topic, by stamp, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: OrderedDict[int, Any] = OrderedDict()
        self.newest_ns: int | None = None
        self.jumped = False  # stamps went back, and no pair was made since
        self._intervals: deque[int] = deque(maxlen=RECENT_INTERVALS)

    def add(self, stamp_ns: int, message: Any) -> None:
        if self.newest_ns is not None:
            self._intervals.append(stamp_ns - self.newest_ns)
        self.newest_ns = stamp_ns
        self.waiting[stamp_ns] = message

    def restart(self) -> int:
        """Forget everything; returns the number of dropped messages."""
        cleared = len(self.waiting)
        self.waiting.clear()
        self._intervals.clear()
        self.newest_ns = None
        return cleared

    def nearest(self, stamp_ns: int) -> int | None:
        """The waiting stamp nearest to this one, the earlier of two."""
        return min(self.waiting, key=lambda own: (abs(own - stamp_ns), own), default=None)

    def next_ns(self) -> int:
        """The earliest expected stamp of the next message."""
        return self.newest_ns + min(self._intervals, default=FIRST_INTERVAL_NS)


class RgbdPairing:
    """Pairs colour with depth by stamp.

    Args:
        slop_s: largest difference of the stamps of a pair, in seconds.
        queue_size: number of unpaired messages kept for each stream.
        mode: 'exact' pairs equal stamps only; 'approximate' also near ones; 'auto' is approximate
            until stamps are equal, then exact, and approximate again after `queue_size` colours
            in a row without an equal stamp.

    Attributes:
        pairs: number of pairs.
        dropped: cause -> number of messages. 'rgb_unmatched', 'depth_unmatched': no partner;
            'duplicate_stamp': same stamp as the message before; 'time_jump': waiting when stamps
            went back.
        nearest_gap_ns: smallest difference of a colour and a depth stamp since the last pair, or
            None: the slop that a pair would have needed.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self, slop_s: float = DEFAULT_SLOP_S, queue_size: int = 10, mode: str = 'auto'
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'sync mode must be one of {", ".join(MODES)}, got {mode!r}')
        if not slop_s >= 0:
            raise ConfigError(f'sync slop must be 0 seconds or more, got {slop_s}')
        if queue_size < 1:
            raise ConfigError(f'sync queue size must be 1 or more, got {queue_size}')
        self._mode = mode
        self._slop_ns = round(slop_s * NANOSECONDS)
        self._queue_size = queue_size
        self._rgb = _Stream('rgb')
        self._depth = _Stream('depth')
        # Colours in a row without an equal stamp; None = no equal stamps yet.
        self._unequal: int | None = None
        self.pairs = 0
        self.dropped: Counter[str] = Counter()
        self.nearest_gap_ns: int | None = None

    @property
    def waiting(self) -> int:
        """Number of messages that wait for a partner."""
        return len(self._rgb.waiting) + len(self._depth.waiting)

    def add_rgb(self, stamp_ns: int, message: Any) -> list[tuple[Any, Any]]:
        """Add a colour message; returns the (colour, depth) pairs that it completes."""
        return self._add(self._rgb, self._depth, stamp_ns, message)

    def add_depth(self, stamp_ns: int, message: Any) -> list[tuple[Any, Any]]:
        """Add a depth message; returns the (colour, depth) pairs that it completes."""
        return self._add(self._depth, self._rgb, stamp_ns, message)

    def _add(self, stream: _Stream, other: _Stream, stamp_ns: int, message: Any):
        if stream.newest_ns is not None and stamp_ns == stream.newest_ns:
            self.dropped['duplicate_stamp'] += 1
            return []
        if stream.newest_ns is not None and stamp_ns < stream.newest_ns:
            self._handle_time_jump(stream, other)
        stream.add(stamp_ns, message)
        self._update_nearest_gap(other, stamp_ns)
        pairs = []
        while (stamps := self._next_final_pair()) is not None:
            pairs.append(self._take(*stamps))
        self._drop_unmatchable(self._rgb, self._depth)
        self._drop_unmatchable(self._depth, self._rgb)
        while len(stream.waiting) > self._queue_size:
            self._drop(stream, next(iter(stream.waiting)))
        return pairs

    def _handle_time_jump(self, stream: _Stream, other: _Stream) -> None:
        """Drop the messages from before the jump of `stream`."""
        cleared = stream.restart()
        if other.jumped and not stream.jumped:
            # The other stream jumped first: its messages are new already.
            stream.jumped = True
        else:
            cleared += len(other.waiting)
            other.waiting.clear()
            stream.jumped, other.jumped = True, False
        self.dropped['time_jump'] += cleared
        self._unequal = None
        self.nearest_gap_ns = None

    def _update_nearest_gap(self, other: _Stream, stamp_ns: int) -> None:
        nearest = other.nearest(stamp_ns)
        if nearest is not None:
            gaps = abs(nearest - stamp_ns), self.nearest_gap_ns
            self.nearest_gap_ns = min(gap for gap in gaps if gap is not None)

    def _max_gap_ns(self) -> int:
        """The largest difference of the stamps of a pair now."""
        if self._mode == 'exact' or (self._mode == 'auto' and self._unequal is not None):
            return 0
        return self._slop_ns

    def _next_final_pair(self) -> tuple[int, int] | None:
        """The earliest (colour, depth) stamps that no later message can improve."""
        max_gap = self._max_gap_ns()
        for rgb_ns in self._rgb.waiting:
            depth_ns = self._best_depth(rgb_ns, max_gap)
            if depth_ns is None:
                continue
            gap = abs(rgb_ns - depth_ns)
            if gap == 0 or (
                self._depth.next_ns() >= rgb_ns + gap and self._rgb.next_ns() >= depth_ns + gap
            ):
                return rgb_ns, depth_ns
        return None

    def _best_depth(self, rgb_ns: int, max_gap: int) -> int | None:
        """The nearest depth within `max_gap` that is not nearer to another colour."""
        within = [d for d in self._depth.waiting if abs(d - rgb_ns) <= max_gap]
        own = [d for d in within if self._rgb.nearest(d) == rgb_ns]
        return min(own, key=lambda d: abs(d - rgb_ns), default=None)

    def _take(self, rgb_ns: int, depth_ns: int) -> tuple[Any, Any]:
        pair = self._rgb.waiting.pop(rgb_ns), self._depth.waiting.pop(depth_ns)
        for stream, stamp_ns in ((self._rgb, rgb_ns), (self._depth, depth_ns)):
            stream.jumped = False
            for older in [own for own in stream.waiting if own < stamp_ns]:
                self._drop(stream, older)
        if rgb_ns == depth_ns:
            self._unequal = 0
        self.pairs += 1
        self.nearest_gap_ns = None
        return pair

    def _drop_unmatchable(self, stream: _Stream, other: _Stream) -> None:
        """Drop messages that no waiting or later message of `other` can pair with."""
        if other.newest_ns is None or (stream.jumped and not other.jumped):
            return
        max_gap = self._max_gap_ns()
        for stamp_ns in list(stream.waiting):
            nearest = other.nearest(stamp_ns)
            reachable = nearest is not None and abs(nearest - stamp_ns) <= max_gap
            if not reachable and other.newest_ns >= stamp_ns + max_gap:
                self._drop(stream, stamp_ns)

    def _drop(self, stream: _Stream, stamp_ns: int) -> None:
        del stream.waiting[stamp_ns]
        self.dropped[f'{stream.name}_unmatched'] += 1
        if stream is self._rgb and self._unequal is not None:
            self._unequal += 1
            if self._unequal >= self._queue_size:
                self._unequal = None
