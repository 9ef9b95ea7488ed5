# SPDX-License-Identifier: Apache-2.0
"""Which colour and depth messages belong together: a pure policy, no ROS, no clock.

Stamps are integer nanoseconds and are arguments; a message is anything. A pair is made as soon as
nothing better can still arrive:

- equal stamps pair at once;
- otherwise the nearest depth within `slop_s` of a colour pairs, provided that no other colour is
  nearer to it, and that the next message of either stream, which comes at least one of the
  intervals lately seen later, cannot be nearer. So a lost frame never shifts the partners of the
  following ones, however large the slop;
- a message is in one pair at most, and pairs come in the order of their stamps;
- when stamps of a stream go back (a bag loops, a simulation restarts) what waits is cleared.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Any

from sgnet_core.errors import ConfigError

MODES = ('auto', 'exact', 'approximate')
DEFAULT_SLOP_S = 0.015
"""Of the node and of everything that reads bags: below half a period of 30 Hz."""
NANOSECONDS = 1_000_000_000
INTERVALS_REMEMBERED = 8
"""How many of a stream's last intervals bound when its next message can come."""
FIRST_INTERVAL_NS = NANOSECONDS // 60
"""The bound until an interval is seen: the shortest of common cameras."""


class _Stream:
    """The waiting messages of one topic, by stamp, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: OrderedDict[int, Any] = OrderedDict()
        self.newest_ns: int | None = None
        # Its time went back and no pair was made since.
        self.jumped = False
        self._intervals: deque[int] = deque(maxlen=INTERVALS_REMEMBERED)

    def add(self, stamp_ns: int, message: Any) -> None:
        if self.newest_ns is not None:
            self._intervals.append(stamp_ns - self.newest_ns)
        self.newest_ns = stamp_ns
        self.waiting[stamp_ns] = message

    def restart(self) -> int:
        """Forget everything; returns how many messages were waiting."""
        cleared = len(self.waiting)
        self.waiting.clear()
        self._intervals.clear()
        self.newest_ns = None
        return cleared

    def nearest(self, stamp_ns: int) -> int | None:
        """The waiting stamp nearest to this one; of two as near, the earlier."""
        return min(self.waiting, key=lambda own: (abs(own - stamp_ns), own), default=None)

    def next_ns(self) -> int:
        """No later message of this stream is expected to be stamped before this."""
        interval = min(self._intervals, default=FIRST_INTERVAL_NS)
        return self.newest_ns + interval


class RgbdPairing:
    """Pairs colour with depth by stamp.

    Args:
        slop_s: largest difference of stamps, in seconds, that two messages of a pair may have.
        queue_size: how many messages of each stream may wait for a partner.
        mode: 'exact' pairs equal stamps only; 'approximate' also near ones; 'auto' is approximate
            until stamps are equal, and from then on exact: streams stamped by one trigger never
            mix frames. It returns after `queue_size` colours in a row without an equal stamp.

    Attributes:
        pairs: how many pairs were made.
        dropped: cause -> messages. 'rgb_unmatched', 'depth_unmatched': no partner within the slop
            or pushed out of the queue; 'duplicate_stamp': the stamp of the message before;
            'time_jump': waiting when time went back.
        nearest_gap_ns: smallest difference of a colour and a depth stamp since the last pair, or
            None. It says what `slop_s` would have been needed.

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
        # Colours in a row that found no equal stamp; None = no equal stamps seen yet.
        self._unequal: int | None = None
        self.pairs = 0
        self.dropped: Counter[str] = Counter()
        self.nearest_gap_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for a partner."""
        return len(self._rgb.waiting) + len(self._depth.waiting)

    def add_rgb(self, stamp_ns: int, message: Any) -> list[tuple[Any, Any]]:
        """Take a colour message; returns the (colour, depth) pairs it completes."""
        return self._add(self._rgb, self._depth, stamp_ns, message)

    def add_depth(self, stamp_ns: int, message: Any) -> list[tuple[Any, Any]]:
        """Take a depth message; returns the (colour, depth) pairs it completes."""
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
        """Time of `stream` went back: clear what belongs to the time before."""
        cleared = stream.restart()
        if other.jumped and not stream.jumped:
            # The other went back first: what it holds belongs to the new time already.
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
            gap = abs(nearest - stamp_ns)
            known = self.nearest_gap_ns
            self.nearest_gap_ns = gap if known is None else min(known, gap)

    def _max_gap_ns(self) -> int:
        """How far apart the stamps of a pair may be now."""
        if self._mode == 'exact' or (self._mode == 'auto' and self._unequal is not None):
            return 0
        return self._slop_ns

    def _next_final_pair(self) -> tuple[int, int] | None:
        """The earliest (colour, depth) stamps that nothing can better any more."""
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
        """The nearest depth within max_gap that is nearer to no other colour."""
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
        """Drop what no message of `other`, waiting or to come, can pair with."""
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
