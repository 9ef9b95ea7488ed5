# SPDX-License-Identifier: Apache-2.0
"""Sampling locations of an S-Conv layer, in pixels of the colour image.

Three grids are linked, each with pixel centres at whole numbers:

* A layer's input pixel q lies at pixel q * s of the network's input, s its stride: convolutions and
  poolings of stride 2 are padded equally on all sides.
* The network's input is the frame resized by pixel areas: u' + 1/2 = (u + 1/2) W' / W.
* Output pixel p of the layer samples its input at stride * p - padding + dilation * (i, j) + offset
  for sampling point (i, j), as `modulated_deform_conv2d` defines it.

These are the exact centres of the features. Depth and scores are resized with corners aligned: at
the bottom right they lie s - 1 pixels further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgnet_core.errors import InputError

Size = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True)
class SamplingLocations:
    """The K sampling points of one S-Conv layer, in rows, for h x w output pixels of one frame.

    Attributes:
        name: of the layer in the network, for example `backbone.layer1.0.conv2`.
        offset: (2K, h, w) float32, (dy, dx) per sampling point, in pixels of the layer's input.
        mask: (K, h, w) float32 in [0, 1], the weight of each sampling point.
        stride, padding, dilation: of the layer; its input is `stride` times its output.
        network_size, frame_size: (height, width) of the network's input and of the colour image.

    Raises:
        InputError: shapes do not fit together.
    """

    name: str
    offset: np.ndarray
    mask: np.ndarray
    stride: int
    padding: int
    dilation: int
    network_size: Size
    frame_size: Size

    def __post_init__(self) -> None:
        points, *size = self.mask.shape
        if math.isqrt(points) ** 2 != points or self.offset.shape != (2 * points, *size):
            raise InputError(
                f'{self.name}: the offsets must be (2K, h, w) and the masks (K, h, w), K a square '
                f'number; got {self.offset.shape} and {self.mask.shape}'
            )

    @property
    def short_name(self) -> str:
        """`layer1.0` of `backbone.layer1.0.conv2`."""
        parts = self.name.split('.')
        return '.'.join(part for part in parts if part not in ('backbone', 'head', 'conv2'))

    @property
    def size(self) -> Size:
        """(h, w) of the layer's output."""
        return self.mask.shape[1], self.mask.shape[2]

    @property
    def input_stride(self) -> tuple[float, float]:
        """(vertical, horizontal) pixels of the network's input per pixel of the layer's input."""
        (height, width), (h, w) = self.network_size, self.size
        return height / (h * self.stride), width / (w * self.stride)

    @property
    def frame_step(self) -> tuple[float, float]:
        """(vertical, horizontal) pixels of the colour image per pixel of the layer's input."""
        scales = (f / n for f, n in zip(self.frame_size, self.network_size, strict=True))
        down, right = (s * scale for s, scale in zip(self.input_stride, scales, strict=True))
        return down, right

    def pixel_at(self, column: int, row: int) -> tuple[int, int]:
        """(y, x) of the layer's output pixel whose samples without offsets surround a pixel.

        Raises:
            InputError: the pixel is outside the colour image.
        """
        height, width = self.frame_size
        if not (0 <= column < width and 0 <= row < height):
            raise InputError(
                f'pixel {column},{row} (column,row) is outside the image of {width}x{height}: '
                f'columns are 0..{width - 1}, rows 0..{height - 1}'
            )
        scale = np.array(self.network_size) / self.frame_size
        on_input = ((np.array([row, column], float) + 0.5) * scale - 0.5) / self.input_stride
        middle = self.dilation * (math.isqrt(len(self.mask)) - 1) / 2 - self.padding
        nearest = np.rint((on_input - middle) / self.stride).astype(int)
        y, x = np.clip(nearest, 0, np.array(self.size) - 1)
        return int(y), int(x)

    def positions_at(self, column: int, row: int, moved: bool = True) -> np.ndarray:
        """Sampling locations for a pixel of the colour image, without offsets unless `moved`.

        Returns:
            (K, 2) float64, (column, row) in pixels of the colour image, possibly outside.

        Raises:
            InputError: the pixel is outside the colour image.
        """
        y, x = self.pixel_at(column, row)
        side = range(math.isqrt(len(self.mask)))
        window = np.array([(i, j) for i in side for j in side], float)
        on_input = self.stride * np.array([y, x]) - self.padding + self.dilation * window
        if moved:
            on_input += self.offset[:, y, x].reshape(-1, 2)
        scale = np.array(self.frame_size) / self.network_size
        return ((on_input * self.input_stride + 0.5) * scale - 0.5)[:, ::-1]

    def weights_at(self, column: int, row: int) -> np.ndarray:
        """(K,) float32 in [0, 1], the weights of `positions_at`."""
        y, x = self.pixel_at(column, row)
        return self.mask[:, y, x]

    def movement(self) -> np.ndarray:
        """Sum of |offset| over all sampling points, (h, w) float32 in image pixels."""
        down, right = self.frame_step
        return np.hypot(self.offset[::2] * down, self.offset[1::2] * right).sum(axis=0)
