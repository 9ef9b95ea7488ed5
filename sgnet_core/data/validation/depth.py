# SPDX-License-Identifier: Apache-2.0
"""Checks the unit, scale, resolution and missing values of raw depth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sgnet_core.data.dataset_config import DATASET_FILE, DatasetConfig
from sgnet_core.data.validation.finding import Finding, error, from_problems, share, warning
from sgnet_core.geometry.plausibility import percentile, unit_problems

_VALUES = 1 << 16
_EIGHT_BITS = 256
_MIN_FRAMES = 5
"""Fewer frames do not show what all frames have in common."""


class DepthCheck:
    """Counts raw depth values frame by frame and checks them; `counts` are pixels by value."""

    def __init__(self, file: DatasetConfig) -> None:
        self._scale = file.depth_scale
        self._invalid = [value for value in file.depth_invalid if 0 <= value < _VALUES]
        self.counts = np.zeros(_VALUES, np.int64)
        self._frames = 0
        self._top: list[tuple[int, float, int]] = []
        self._empty: list[str] = []
        self._constant: list[str] = []

    def add(self, sample_id: str, depth: np.ndarray) -> None:
        """Count one image, (H, W) uint16."""
        counts = np.bincount(depth.ravel(), minlength=_VALUES)
        self.counts += counts
        self._frames += 1
        counts = self._without_missing(counts)
        values = np.flatnonzero(counts)
        if values.size > 1:
            top = int(values[-1])
            self._top.append((top, float(counts[top] / depth.size), values.size))
        else:
            (self._constant if values.size else self._empty).append(sample_id)

    def _without_missing(self, counts: np.ndarray) -> np.ndarray:
        counts = counts.copy()
        counts[[0, *self._invalid]] = 0
        return counts

    def measured(self) -> np.ndarray:
        """(65536,) int64: `counts` without the values that mean "no measurement"."""
        return self._without_missing(self.counts)

    def percentile_m(self, percent: float) -> float | None:
        """The percentile of the measured pixels in metres; None if there are none."""
        counts = self.measured()
        values = np.flatnonzero(counts)
        return percentile(values, counts[values], percent) * self._scale if values.size else None

    def histogram(self, step_m: float) -> np.ndarray:
        """Pixels per bin of `step_m` metres, from 0 to the largest depth."""
        counts = self.measured()
        values = np.flatnonzero(counts)
        return np.bincount((values * self._scale / step_m).astype(np.int64), counts[values])

    def findings(self) -> list[Finding]:
        """Problems of the depth counted so far."""
        if not self._frames:
            return []
        sentinel = self._sentinel()
        # A stretched image has no unit, so advice on a unit would mislead.
        scale = list(self._stretched(sentinel)) or [*self._unit(sentinel), *self._quantised()]
        return [*self._missing(sentinel), *scale]

    def _sentinel(self) -> int | None:
        """A largest value far above all others, in many pixels: it means "no measurement"."""
        counts = self.measured()
        values = np.flatnonzero(counts)
        if values.size < 3 or values[-2] > 0.8 * values[-1]:
            return None
        return int(values[-1]) if counts[values[-1]] >= 1e-4 * self.counts.sum() else None

    def _missing(self, sentinel: int | None) -> Iterator[Finding]:
        total = self.counts.sum()
        undeclared = {}
        if self.counts[0] and 0 not in self._invalid:
            undeclared[0] = 'is read as a measurement of 0 m'
        if sentinel is not None:
            undeclared[sentinel] = (
                'is far above all other values: it probably means "no measurement", but is read '
                f'as {sentinel * self._scale:.3g} m'
            )
        for value, problem in undeclared.items():
            seen = f'raw depth {value}, in {share(self.counts[value], total)} of the pixels, '
            remedy = f'add {value} to depth_invalid in {DATASET_FILE}'
            yield error('depth_invalid', seen + problem, remedy)
        if self._empty:
            raised = error if len(self._empty) == self._frames else warning
            remedy = 'delete these frames, or record them again'
            yield raised('depth_empty', 'depth has no measurement', remedy, self._empty)
        if self._constant:
            remedy = 'export the depth again'
            yield error('depth_constant', 'all measured depths are equal', remedy, self._constant)
        missing = 1 - self.measured().sum() / total
        if missing > 0.6 and len(self._empty) < self._frames:
            yield warning(
                'depth_sparse',
                f'{share(missing, 1)} of the pixels have no depth',
                'check depth_invalid and the range of the sensor; S-Conv needs depth',
            )

    def _stretched(self, sentinel: int | None) -> Iterator[Finding]:
        """Depth scaled per frame, as in depth visualisations."""
        if len(self._top) < _MIN_FRAMES:
            return
        tops, parts, levels = (np.array(column) for column in zip(*self._top, strict=True))
        mode, most = int(np.bincount(tops).argmax()), levels.max()
        same = np.mean(tops == mode)
        few_levels = np.mean(levels <= _EIGHT_BITS) > 0.95
        # At the end of a sensor's range many pixels have the last value; if stretched, few have.
        if same >= 0.9 and np.median(parts[tops == mode]) < 0.02 and sentinel is None:
            seen = f'the largest raw depth is {mode} in {share(same, 1)} of the frames'
        elif few_levels and np.count_nonzero(self.measured()) > 4 * most:
            seen = f'each frame has at most {most} depth values, but not the same ones'
        else:
            return
        yield error(
            'depth_stretched',
            f'{seen}: each image is scaled to its own range, so a value has no fixed distance',
            'export the raw depth without normalisation; the metres cannot be recovered',
        )

    def _unit(self, sentinel: int | None) -> list[Finding]:
        counts = self.measured()
        if sentinel is not None:
            counts[sentinel] = 0
        values = np.flatnonzero(counts)
        setting = f'depth_scale in {DATASET_FILE}'
        return from_problems(unit_problems(values, counts[values], self._scale, setting))

    def _quantised(self) -> Iterator[Finding]:
        """Steps coarser than those of any sensor. The first Kinect has 0.003 m at 1 m, times z^2
        (Khoshelham and Elberink, 2012).
        """
        counts = self.measured()
        values = np.flatnonzero(counts)
        if not 1 < values.size <= 2 * _EIGHT_BITS or len(self._top) < _MIN_FRAMES:
            return
        median_m = self.percentile_m(50)
        middle = np.searchsorted(np.cumsum(counts[values]), counts.sum() / 2)
        around = values[max(0, middle - 5) : middle + 6]
        step_m = float(np.median(np.diff(around))) * self._scale
        if step_m >= 0.008 + 0.004 * median_m**2:
            yield warning(
                'depth_coarse',
                f'depth has {values.size} different values in all frames, {1000 * step_m:.0f} mm '
                f'apart at {median_m:.2g} m, as after a conversion to 8 bits',
                'export the raw depth if you can; training works, normals and HHA need finer steps',
            )
