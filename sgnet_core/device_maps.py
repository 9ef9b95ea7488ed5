# SPDX-License-Identifier: Apache-2.0
"""One segmented frame as it is on a GPU, painted there: only pictures leave it.

Every picture is that of `sgnet_core.visualize` or `sgnet_core.labels`, to a grey level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import numpy as np
from torch import Tensor

from sgnet_core.types import UNLABELLED


@dataclass(frozen=True)
class DeviceMaps:
    """Attributes:
    rgb: (H, W, 3) uint8, the colour image.
    labels: (H, W) uint8, class ids; 255 = unlabelled.
    confidence: (H, W) float32 in [0, 1].
    """

    rgb: Tensor
    labels: Tensor
    confidence: Tensor

    def confident(self, threshold: float) -> DeviceMaps:
        """The same, with pixels less confident than `threshold` unlabelled."""
        labels = self.labels.masked_fill(self.confidence < threshold, UNLABELLED)
        return replace(self, labels=labels)

    def colors(self, palette: np.ndarray) -> np.ndarray:
        """As `colorize`: (H, W, 3) uint8.

        Args:
            palette: (C, 3) uint8, of all classes that appear.
        """
        return self._colors(palette).cpu().numpy()

    def overlay(self, palette: np.ndarray, alpha: float) -> np.ndarray:
        """As `overlay`: (H, W, 3) uint8.

        Args:
            palette: (C, 3) uint8, of all classes that appear.
            alpha: 0 shows the image only, 1 the classes only.
        """
        colors = self._colors(palette)
        tinted = torch.lerp(self.rgb.float(), colors.float(), alpha).round().to(torch.uint8)
        if alpha > 0:
            tinted = torch.where(self._borders()[..., None], colors, tinted)
        unlabelled = (self.labels == UNLABELLED)[..., None]
        return torch.where(unlabelled, self.rgb, tinted).cpu().numpy()

    def _colors(self, palette: np.ndarray) -> Tensor:
        table = np.zeros((256, 3), np.uint8)
        table[: len(palette)] = palette
        return torch.from_numpy(table).to(self.labels.device)[self.labels.int()]

    def _borders(self) -> Tensor:
        """(H, W) bool: pixels with a neighbour, above, below, left or right, of another class."""
        borders = torch.zeros_like(self.labels, dtype=torch.bool)
        for axis in (0, 1):
            length = self.labels.shape[axis] - 1
            before, after = (self.labels.narrow(axis, start, length) for start in (0, 1))
            differ = before != after
            borders.narrow(axis, 0, length).logical_or_(differ)
            borders.narrow(axis, 1, length).logical_or_(differ)
        return borders
