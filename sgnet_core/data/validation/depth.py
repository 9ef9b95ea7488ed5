# SPDX-License-Identifier: Apache-2.0
"""What the numbers in depth images say about their unit, their scale and missing measurements."""

from __future__ import annotations

import numpy as np

from sgnet_core.data.dataset_yaml import DATASET_FILE, DatasetFile
from sgnet_core.data.validation.finding import Finding, error, few, share, warning

_VALUES = 1 << 16
PLAUSIBLE_MEDIAN_M = (0.3, 10.0)
FARTHEST_M = 15.0
"""No depth camera measures further indoors."""
UNITS = {
    0.01: 'centimetres',
    1 / 256: '1/256 m',
    0.001: 'millimetres',
    0.00025: '1/4 mm',
    0.0002: '1/5 mm (TUM)',
    0.0001: '1/10 mm',
}
"""Metres per unit of what is found in files, and its name."""
_EIGHT_BITS = 256
_ENOUGH_FRAMES = 5
"""Fewer cannot show what all frames have in common."""


class DepthCheck:
    """Counts raw depth values frame by frame and judges them at the end.

    Attributes:
        counts: (65536,) int64, pixels of every raw value.
    """

    def __init__(self, file: DatasetFile) -> None:
        self._scale = file.depth_scale
        self._invalid = [value for value in file.depth_invalid if 0 <= value < _VALUES]
        self.counts = np.zeros(_VALUES, np.int64)
        self._ids: list[str] = []
        self._top: list[tuple[int, float]] = []
        self._levels: list[int] = []
        self._empty: list[str] = []
        self._constant: list[str] = []

    def add(self, sample_id: str, depth: np.ndarray) -> None:
        """Count one image, (H, W) uint16."""
        counts = np.bincount(depth.ravel(), minlength=_VALUES)
        self.counts += counts
        self._ids.append(sample_id)
        counts[[0, *self._invalid]] = 0
        values = np.flatnonzero(counts)
        if not values.size:
            self._empty.append(sample_id)
            return
        if values.size == 1:
            self._constant.append(sample_id)
            return
        self._top.append((int(values[-1]), float(counts[values[-1]] / depth.size)))
        self._levels.append(values.size)

    def measured(self) -> np.ndarray:
        """(65536,) int64: `counts` without what means "no measurement"."""
        counts = self.counts.copy()
        counts[[0, *self._invalid]] = 0
        return counts

    def percentile_m(self, percent: float) -> float | None:
        """Metres that `percent` of the measured pixels do not exceed; None where nothing is."""
        return _percentile(self.measured(), percent, self._scale)

    def histogram(self, step_m: float) -> np.ndarray:
        """Pixels per `step_m` metres from 0 on, as far as there are any."""
        counts = self.measured()
        values = np.flatnonzero(counts)
        return np.bincount((values * self._scale / step_m).astype(np.int64), counts[values])

    def findings(self) -> list[Finding]:
        """What is wrong with the depth counted so far."""
        if not self._ids:
            return []
        found = [*self._zero(), *self._holes()]
        sentinel = self._sentinel()
        if sentinel:
            found.append(sentinel)
        # A picture has no unit: advice on one would lead astray.
        scaled = self._stretched()
        return [*found, *(scaled or [*self._unit(bool(sentinel)), *self._coarse()])]

    def _zero(self) -> list[Finding]:
        if not self.counts[0] or 0 in self._invalid:
            return []
        return [
            error(
                'depth_invalid',
                f'raw depth 0 in {share(self.counts[0], self.counts.sum())} of the pixels is taken '
                'for 0 m, a measurement',
                f'add 0 to depth_invalid in {DATASET_FILE}',
            )
        ]

    def _sentinel(self) -> Finding | None:
        """A largest value far above all others: not a distance, but a sign for none."""
        values = np.flatnonzero(self.measured())
        if values.size < 3 or values[-2] > 0.8 * values[-1]:
            return None
        top = int(values[-1])
        part = share(self.counts[top], self.counts.sum())
        if self.counts[top] < 1e-4 * self.counts.sum():
            return None
        return error(
            'depth_invalid',
            f'raw depth {top} in {part} of the pixels is far above all others (the next is '
            f'{values[-2]}), so it must mean "no measurement", but is taken for '
            f'{top * self._scale:.3g} m',
            f'add {top} to depth_invalid in {DATASET_FILE}',
        )

    def _holes(self) -> list[Finding]:
        found = []
        if self._empty:
            everything = len(self._empty) == len(self._ids)
            found.append(
                (error if everything else warning)(
                    'depth_empty',
                    'depth has no measurement at all',
                    'take these frames out, or record them again',
                    self._empty,
                )
            )
        if self._constant:
            found.append(
                error(
                    'depth_constant',
                    'depth is the same in every pixel',
                    'export depth again: this is no measurement',
                    self._constant,
                )
            )
        missing = 1 - self.measured().sum() / self.counts.sum()
        if missing > 0.6 and len(self._empty) < len(self._ids):
            found.append(
                warning(
                    'depth_sparse',
                    f'{share(missing, 1)} of the pixels have no depth',
                    'check depth_invalid and the range of the sensor; S-Conv has little to go by',
                )
            )
        return found

    def _stretched(self) -> list[Finding]:
        """Depth whose scale changes from frame to frame, as in pictures made for looking at."""
        if len(self._top) < _ENOUGH_FRAMES:
            return []
        tops = np.array([top for top, _ in self._top])
        parts = np.array([part for _, part in self._top])
        commonest = int(np.bincount(tops).argmax())
        same = np.mean(tops == commonest)
        # Where a sensor's range ends, many pixels have its last value; in a stretched picture few.
        if same >= 0.9 and np.median(parts[tops == commonest]) < 0.02 and not self._sentinel():
            seen = f'the largest raw depth is {commonest} in {share(same, 1)} of the frames'
        elif np.mean(np.array(self._levels) <= _EIGHT_BITS) > 0.95 and np.count_nonzero(
            self.measured()
        ) > 4 * max(self._levels):
            seen = f'each frame has at most {max(self._levels)} different depths, but others'
        else:
            return []
        return [
            error(
                'depth_stretched',
                f'{seen}: each image was stretched to its own range, so that the same number '
                'means another distance in every frame',
                'export the raw depth of the sensor, without normalisation; the metres cannot be '
                'had back',
            )
        ]

    def _unit(self, has_sentinel: bool) -> list[Finding]:
        counts = self.measured()
        if has_sentinel:
            counts[np.flatnonzero(counts)[-1]] = 0
        median = _percentile(counts, 50, 1)
        if median is None:
            return []
        median_m, far_m = median * self._scale, _percentile(counts, 95, self._scale)
        low, high = PLAUSIBLE_MEDIAN_M
        seen = f'median depth is {median_m:.3g} m (raw {median:.0f} at depth_scale {self._scale:g})'
        if not low <= median_m <= high:
            return [
                error(
                    'depth_unit',
                    f'{seen}, expected {low:g} to {high:g} m',
                    _unit_advice(median, np.count_nonzero(counts)),
                )
            ]
        if far_m > FARTHEST_M:
            return [
                warning(
                    'depth_unit',
                    f'5 % of the depth is beyond {far_m:.3g} m, further than depth cameras measure '
                    f'indoors; {seen}',
                    f'unless this is outdoors: {_unit_advice(median, np.count_nonzero(counts))}',
                )
            ]
        return []

    def _coarse(self) -> list[Finding]:
        """Fewer steps than any sensor has; those of the first Kinect are 0.003 m at 1 m, times z^2
        (Khoshelham and Elberink, 2012).
        """
        counts = self.measured()
        values = np.flatnonzero(counts)
        median_m = self.percentile_m(50)
        if median_m is None or values.size > 2 * _EIGHT_BITS or len(self._top) < _ENOUGH_FRAMES:
            return []
        middle = np.searchsorted(np.cumsum(counts[values]), counts.sum() / 2)
        around = values[max(0, middle - 5) : middle + 6]
        step_m = float(np.median(np.diff(around))) * self._scale if around.size > 1 else 0.0
        if step_m < 0.008 + 0.004 * median_m**2:
            return []
        return [
            warning(
                'depth_coarse',
                f'depth has {values.size} different values in all frames, {1000 * step_m:.0f} mm '
                f'apart at {median_m:.2g} m: it went through 8 bits',
                'good enough to learn from, too coarse for normals and HHA; export the raw depth '
                'if you have it',
            )
        ]


def _percentile(counts: np.ndarray, percent: float, scale: float) -> float | None:
    if not counts.any():
        return None
    cumulative = np.cumsum(counts)
    return float(np.searchsorted(cumulative, percent / 100 * cumulative[-1]) * scale)


def _unit_advice(median: float, levels: int) -> str:
    """What to do about raw depths with this median in indoor scenes."""
    if median <= 10 and levels <= 20:
        return 'these look like whole metres: export depth again as uint16 millimetres'
    low, high = 0.6, 6.0
    fitting = [scale for scale in UNITS if low <= median * scale <= high]
    fitting.sort(key=lambda scale: abs(np.log(median * scale / 2)))
    if not fitting:
        return f'find out the unit of the files, and set depth_scale in {DATASET_FILE} to it'
    options = [f'{scale:.6g} for {UNITS[scale]} ({median * scale:.2g} m)' for scale in fitting]
    return f'set depth_scale in {DATASET_FILE} to the unit of the files: {few(options, 4)}'
