# SPDX-License-Identifier: Apache-2.0
"""Random views of a sample: the pixels, the depth, the labels and the intrinsics move together.

Zooming changes the camera, not the scene: depth stays metric and the focal length scales.
"""

from __future__ import annotations

import torch
import cv2
import numpy as np
from torch import Tensor

from sgnet_core.data.depth_noise import degrade_depth
from sgnet_core.preprocessing import InputSpec, resize_nearest, resize_rgbd
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.paste import class_mix
from sgnet_core.types import UNLABELLED, RgbdFrame, Sample

FLIP_PROBABILITY = 0.5
BLUR_PROBABILITY, BLUR_PX = 0.15, (0.4, 1.2)
GRAIN_PROBABILITY, MAX_GRAIN_GREY = 0.15, 10
JPEG_PROBABILITY, JPEG_QUALITY = 0.15, (30, 90)


def augment(
    sample: Sample,
    spec: InputSpec,
    config: TrainConfig,
    rng: np.random.Generator,
    source: Sample | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One training view, with things of `source` in it where there is one.

    Returns:
        image (3, h, w) and spatial (c', h, w) float32 as `spec` encodes them (spatial has no
        channels for `none`), labels (h, w) int64; (h, w) = `config.crop_size`.
    """
    # Geometry first: everything after it then works on the pixels of the crop only.
    frame, labels = _random_crop(sample, spec, config, rng)
    if source is not None:
        other = _random_crop(source, spec, config, rng)
        frame, labels = class_mix((frame, labels), other, rng)
    depth_m = frame.depth_m
    if config.degrade_depth:
        depth_m = degrade_depth(depth_m, frame.rgb, rng)
    rgb = degrade_colour(jitter_colour(frame.rgb, rng), rng)
    image, spatial = spec.encode(
        torch.from_numpy(np.stack(cv2.split(rgb))).float(),
        torch.from_numpy(depth_m),
        frame.intrinsics,
    )
    spatial = image.new_empty(0, *config.crop_size) if spatial is None else spatial[0]
    return image[0], spatial, torch.from_numpy(labels).long()


def _random_crop(
    sample: Sample, spec: InputSpec, config: TrainConfig, rng: np.random.Generator
) -> tuple[RgbdFrame, np.ndarray]:
    zoom = np.exp(rng.uniform(*np.log(config.scale))) * spec.height / sample.frame.size[0]
    crop = random_crop(sample, config.crop_size, zoom, rng)
    crop = resize_crop(*crop, config.crop_size)
    return flip_crop(*crop) if rng.random() < FLIP_PROBABILITY else crop


def random_crop(
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
        _crop_or_pad(array, start, window, fill)
        for array, fill in ((frame.rgb, 0), (frame.depth_m, np.nan), (sample.labels, UNLABELLED))
    ]
    return RgbdFrame(*arrays[:2], frame.intrinsics.cropped(*start, *window)), arrays[2]


def _crop_or_pad(array: np.ndarray, start: list[int], size: list[int], fill: float) -> np.ndarray:
    out = np.full((*size, *array.shape[2:]), fill, array.dtype)
    source, target = [], []
    for begin, length, available in zip(start, size, array.shape, strict=False):
        first, last = max(begin, 0), min(begin + length, available)
        source.append(slice(first, last))
        target.append(slice(first - begin, last - begin))
    out[tuple(target)] = array[tuple(source)]
    return out


def resize_crop(
    frame: RgbdFrame, labels: np.ndarray, size: tuple[int, int]
) -> tuple[RgbdFrame, np.ndarray]:
    """Resize a frame and its labels to (height, width), see `resize_rgbd`."""
    rgb, depth_m = resize_rgbd(
        torch.from_numpy(frame.rgb).permute(2, 0, 1), torch.from_numpy(frame.depth_m), size
    )
    labels = resize_nearest(torch.from_numpy(labels), size).numpy()
    rgb = cv2.merge(list(rgb.numpy()))
    return RgbdFrame(rgb, depth_m.numpy(), frame.intrinsics.resized(*size)), labels


def flip_crop(frame: RgbdFrame, labels: np.ndarray) -> tuple[RgbdFrame, np.ndarray]:
    """Mirror a frame and its labels left to right."""
    rgb, depth_m, labels = (cv2.flip(array, 1) for array in (frame.rgb, frame.depth_m, labels))
    return RgbdFrame(rgb, depth_m, frame.intrinsics.flipped()), labels


def jitter_colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, contrast and saturation, in one linear map.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        The same shape and dtype.
    """
    gain = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.7, 1.3)
    contrast, saturation = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.4)
    mean = float(gain @ cv2.mean(rgb)[:3]) / 3
    from_grey = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = contrast * from_grey * gain
    offset = np.full((3, 1), (1 - contrast) * mean)
    return cv2.transform(rgb, np.hstack([matrix, offset]))


def degrade_colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Now and then what lens, sensor and transport do: blur, noise, JPEG, in this order.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        The same shape and dtype.
    """
    if rng.random() < BLUR_PROBABILITY:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*BLUR_PX))
    if rng.random() < GRAIN_PROBABILITY:
        most = int(rng.integers(1, MAX_GRAIN_GREY + 1))
        grain = rng.integers(-most, most, rgb.shape, np.int8, endpoint=True)
        rgb = cv2.add(rgb, grain, dtype=cv2.CV_8U)
    if rng.random() < JPEG_PROBABILITY:
        # The codec believes this RGB to be BGR; which channel is coarser then is immaterial.
        quality = int(rng.integers(*JPEG_QUALITY))
        _, content = cv2.imencode('.jpg', rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return rgb
