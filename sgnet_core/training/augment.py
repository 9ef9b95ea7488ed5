# SPDX-License-Identifier: Apache-2.0
"""Random views of a sample: the pixels, the depth, the labels and the intrinsics move together.

Zooming changes the camera, not the scene: depth stays metric and the focal length scales.
"""

from __future__ import annotations

import torch
import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sgnet_core.data.sample import Sample
from sgnet_core.input_spec import InputSpec, resize_rgbd
from sgnet_core.types import UNLABELLED, RgbdFrame

FLIP_PROBABILITY = 0.5
HOLES_PROBABILITY = 0.5
MAX_HOLE_SHARE = 0.4
DEPTH_SCALE_ERROR = 0.03
DEPTH_LOSS_PROBABILITY = 0.05


def augment(
    sample: Sample,
    spec: InputSpec,
    crop_size: tuple[int, int],
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """One training view.

    Returns:
        image (3, h, w) and spatial (c', h, w) float32 as `spec` encodes them (spatial has no
        channels for `none`), labels (h, w) int64; (h, w) = `crop_size`.
    """
    zoom = np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]))) * spec.height
    frame, labels = random_window(sample, crop_size, zoom / sample.frame.size[0], rng)
    if rng.random() < FLIP_PROBABILITY:
        frame = RgbdFrame(
            np.ascontiguousarray(frame.rgb[:, ::-1]),
            np.ascontiguousarray(frame.depth_m[:, ::-1]),
            frame.intrinsics.flipped(),
        )
        labels = np.ascontiguousarray(labels[:, ::-1])
    depth_m = degrade_depth(frame.depth_m, rng)
    rgb, depth = resize_rgbd(
        torch.from_numpy(frame.rgb).permute(2, 0, 1), torch.from_numpy(depth_m), crop_size
    )
    target = F.interpolate(torch.from_numpy(labels)[None, None], crop_size, mode='nearest-exact')
    image, spatial = spec.encode(
        jitter_colour(rgb, rng), depth, frame.intrinsics.resized(*crop_size)
    )
    spatial = image.new_empty(0, *crop_size) if spatial is None else spatial[0]
    return image[0], spatial, target[0, 0].long()


def random_window(
    sample: Sample, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
) -> tuple[RgbdFrame, np.ndarray]:
    """The part of the sample that fills `crop_size` at this zoom (output pixels per input pixel).

    Where the window is larger than the image, the rest is black, without depth and unlabelled.
    """
    frame = sample.frame
    window = [max(round(n / zoom), 1) for n in crop_size]
    start = [
        int(rng.integers(min(have - want, 0), max(have - want, 0) + 1))
        for have, want in zip(frame.size, window, strict=True)
    ]
    arrays = [
        _window(array, start, window, fill)
        for array, fill in ((frame.rgb, 0), (frame.depth_m, np.nan), (sample.labels, UNLABELLED))
    ]
    return RgbdFrame(*arrays[:2], frame.intrinsics.cropped(*start, *window)), arrays[2]


def _window(array: np.ndarray, start: list[int], size: list[int], fill: float) -> np.ndarray:
    out = np.full((*size, *array.shape[2:]), fill, array.dtype)
    source, target = [], []
    for begin, length, available in zip(start, size, array.shape, strict=False):
        first, last = max(begin, 0), min(begin + length, available)
        source.append(slice(first, last))
        target.append(slice(first - begin, last - begin))
    out[tuple(target)] = array[tuple(source)]
    return out


def degrade_depth(depth_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What sensors do and filled depth hides: a scale error, blobs without measurement, no depth.

    Args:
        depth_m: (H, W) float32 metres.

    Returns:
        A changed copy.
    """
    if rng.random() < DEPTH_LOSS_PROBABILITY:
        return np.full_like(depth_m, np.nan)
    depth_m = depth_m * np.float32(1 + rng.uniform(-DEPTH_SCALE_ERROR, DEPTH_SCALE_ERROR))
    if rng.random() < HOLES_PROBABILITY:
        cells = rng.random((int(rng.integers(6, 24)), int(rng.integers(8, 32)))).astype(np.float32)
        blobs = cv2.resize(cells, depth_m.shape[::-1], interpolation=cv2.INTER_CUBIC)
        share = rng.uniform(0, MAX_HOLE_SHARE)
        depth_m[blobs < np.quantile(cells, share)] = np.nan
    return depth_m


def jitter_colour(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    """Exposure, contrast, saturation and white balance; (3, H, W) float32 in 0..255 and back."""
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (3, 1, 1)).astype(np.float32))
    rgb = rgb * (gain * float(rng.uniform(0.7, 1.3)))
    mean = rgb.mean()
    rgb = mean + (rgb - mean) * float(rng.uniform(0.7, 1.3))
    grey = rgb.mean(0, keepdim=True)
    return (grey + (rgb - grey) * float(rng.uniform(0.5, 1.4))).clamp(0, 255)
