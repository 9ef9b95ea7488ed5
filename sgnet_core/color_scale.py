# SPDX-License-Identifier: Apache-2.0
"""One colour scale for several maps, and the bar that explains it. Pictures are RGB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sgnet_core.lettering import (
    FAINT_INK,
    GAP,
    INK,
    MARGIN,
    TEXT_SIZE,
    blank_paper,
    text_strip,
    text_width,
    write_text,
)

TICKS = (1, 1.5, 2, 3, 4, 5, 7)
"""Of every decade: at least one is in any scale that ends at 1.5 times where it starts."""


@dataclass(frozen=True)
class LogColorScale:
    """Viridis over the logarithm of a quantity, from `low` to `high` > `low` > 0."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> LogColorScale:
        """A scale that all maps share, from the 1st percentile of the one with the smallest values
        to the 99th of the one with the largest, but two decades at most; values are >= 0.
        """
        finite = [m[np.isfinite(m)] for m in maps]
        bounds = [np.percentile(m, (1, 99)) for m in finite if m.size] or [(0, 0)]
        # Taps of an untrained layer do not move at all: never an empty scale.
        high = max(1.0, *(float(b[1]) for b in bounds))
        low = max(high / 100, min(float(b[0]) for b in bounds))
        return cls(low, max(high, 1.5 * low))

    def fraction(self, values: np.ndarray) -> np.ndarray:
        """0 at `low` or less, 1 at `high` or more and at NaN."""
        inside = np.clip(np.nan_to_num(values, nan=self.high), self.low, self.high)
        return np.log(inside / self.low) / math.log(self.high / self.low)

    def colors(self, values: np.ndarray) -> np.ndarray:
        """(H, W) values to (H, W, 3) uint8 RGB."""
        grey = np.rint(255 * self.fraction(values)).astype(np.uint8)
        return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)

    def bar(self, width: int, quantity: str) -> np.ndarray:
        """The scale below the name of its quantity and above its numbers, on paper `width` wide."""
        length, thickness = width - 2 * MARGIN, 14
        paper = np.vstack(
            [
                text_strip([quantity], width, width, TEXT_SIZE, INK),
                blank_paper(thickness + TEXT_SIZE + 2 * GAP, width),
            ]
        )
        top = TEXT_SIZE + 2 * GAP
        values = self.low * (self.high / self.low) ** np.linspace(0, 1, length)
        paper[top : top + thickness, MARGIN : MARGIN + length] = self.colors(values[None])
        for tick in self._ticks():
            left = MARGIN + round(float(self.fraction(np.array(tick))) * (length - 1))
            paper[top + thickness : top + thickness + 5, left] = FAINT_INK
            text, below = f'{tick:g}', top + thickness + GAP
            middle = left - text_width(text, TEXT_SIZE) // 2
            write_text(paper, text, middle, below, TEXT_SIZE, FAINT_INK)
        return paper

    def _ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [float(f'{digit}e{decade}') for decade in decades for digit in TICKS]
        return [tick for tick in ticks if self.low <= tick <= self.high]
