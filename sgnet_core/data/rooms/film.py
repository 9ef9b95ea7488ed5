# SPDX-License-Identifier: Apache-2.0
"""Turns the light of a generated room into the bytes of a camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

_GRAINS = 1 << 18
"""More than a strip has pixels."""


@dataclass(frozen=True)
class Exposure:
    """How the camera of one room is set.

    Attributes:
        gain: factor on linear light.
        balance: (3,) float32, factors on red, green and blue.
        blur_sigma_px: softness of the lens.
        vignette: share of light lost in the corners.
        noise: standard deviation of the grain, in steps of 1/255.
    """

    gain: float
    balance: np.ndarray
    blur_sigma_px: float
    vignette: float
    noise: float


class Film:
    """Exposes the strips of one image of `size` (height, width); `rng` throws the grain."""

    def __init__(self, exposure: Exposure, size: tuple[int, int], rng) -> None:
        self._exposure = exposure
        height, width = size
        x = np.linspace(-1, 1, width, dtype=np.float32)
        y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(height / width)
        fade = np.float32(exposure.vignette / 1.5)
        self._x, self._y = 1 - fade * x * x, fade * y * y
        self._rng = rng

    def exposed(self, light: list[np.ndarray], strip: slice) -> np.ndarray:
        """(h, w, 3) uint8 sRGB of three (h, w) float32 linear channels, which it overwrites."""
        brightness = self._x - self._y[strip, None]
        brightness *= np.float32(self._exposure.gain)
        shape = brightness.shape
        first = self._rng.integers(0, _GRAINS, 3)
        for channel, balance, start in zip(light, self._exposure.balance, first, strict=True):
            channel *= brightness
            channel *= balance
            _develop(channel)
            grain = _grains()[start : start + channel.size].reshape(shape)
            channel += np.float32(self._exposure.noise) * grain
        return cv2.merge([cv2.convertScaleAbs(np.maximum(c, 0, out=c)) for c in light])


def _develop(light: np.ndarray) -> None:
    """Linear light to values of 0 to 255, in place.

    Bright light bends towards white (Reinhard's curve with a white point of 2.5); the square root
    stands for the display's gamma and costs a tenth of a power.
    """
    np.minimum(light, 2.5, out=light)
    bent = light * np.float32(1 / 2.5**2)
    bent += 1
    light += 1
    np.divide(bent, light, out=bent)
    light -= 1
    light *= bent
    np.sqrt(light, out=light)
    light *= 255


@lru_cache(maxsize=1)
def _grains() -> np.ndarray:
    """(2 * _GRAINS,) float32 of a standard normal distribution; images start anywhere in it."""
    return np.random.default_rng(7).standard_normal(2 * _GRAINS, np.float32)
