# SPDX-License-Identifier: Apache-2.0
"""Random crops of a sample; pixels, depth, labels and intrinsics are transformed together.

Zoom changes the camera, not the scene: depth stays metric and the focal length scales.
"""

from __future__ import annotations

import torch
import cv2
import numpy as np
from torch import Tensor

from sgnet_core.data.depth_noise import degrade_depth
from sgnet_core.preprocessing import InputSpec, resize_nearest, resize_rgbd
from sgnet_core.training.config import TrainConfig
from sgnet_core.types import UNLABELLED, RgbdFrame, Sample

FLIP_PROBABILITY = 0.5
BLUR_PROBABILITY, BLUR_PX = 0.15, (0.4, 1.2)
GRAIN_PROBABILITY, MAX_GRAIN_GREY = 0.15, 10
JPEG_PROBABILITY, JPEG_QUALITY = 0.15, (30, 90)

Crop = tuple[RgbdFrame, np.ndarray]
"""A frame and its (H, W) uint8 labels."""


def augment(
    sample: Sample,
    spec: InputSpec,
    config: TrainConfig,
    rng: np.random.Generator,
    source: Sample | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a training crop of `sample`; `class_mix` adds classes of `source`, if given.

    Returns:
        image (3, h, w) and spatial (c', h, w) float32 as `spec` encodes them (spatial has no
        channels for `none`), labels (h, w) int64; (h, w) = `config.crop_size`.
    """
    # Geometry comes first: all later steps process the pixels of the crop only.
    crop = _random_crop(sample, spec, config, rng)
    if source is not None:
        crop = class_mix(crop, _random_crop(source, spec, config, rng), rng)
    frame, labels = crop
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
) -> Crop:
    zoom = np.exp(rng.uniform(*np.log(config.scale))) * spec.height / sample.frame.size[0]
    crop = random_crop(sample, config.crop_size, zoom, rng)
    crop = resize_crop(*crop, config.crop_size)
    return flip_crop(*crop) if rng.random() < FLIP_PROBABILITY else crop


def random_crop(
    sample: Sample, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
) -> Crop:
    """Cut out the window that fills `crop_size` at this zoom (output pixels per input pixel).

    Pixels outside the image are black, have no depth and are unlabelled.
    """
    frame = sample.frame
    window = [max(round(n / zoom), 1) for n in crop_size]
    start = [
        int(rng.integers(min(have - want, 0), max(have - want, 0) + 1))
        for have, want in zip(frame.size, window, strict=True)
    ]
    rgb, depth_m, labels = (
        _crop_or_pad(array, start, window, fill)
        for array, fill in ((frame.rgb, 0), (frame.depth_m, np.nan), (sample.labels, UNLABELLED))
    )
    return RgbdFrame(rgb, depth_m, frame.intrinsics.cropped(*start, *window)), labels


def _crop_or_pad(array: np.ndarray, start: list[int], size: list[int], fill: float) -> np.ndarray:
    out = np.full((*size, *array.shape[2:]), fill, array.dtype)
    source, target = [], []
    for begin, length, available in zip(start, size, array.shape, strict=False):
        first, last = max(begin, 0), min(begin + length, available)
        source.append(slice(first, last))
        target.append(slice(first - begin, last - begin))
    out[tuple(target)] = array[tuple(source)]
    return out


def resize_crop(frame: RgbdFrame, labels: np.ndarray, size: tuple[int, int]) -> Crop:
    """Resize a frame and its labels to (height, width), see `resize_rgbd`."""
    rgb, depth_m = resize_rgbd(
        torch.from_numpy(frame.rgb).permute(2, 0, 1), torch.from_numpy(frame.depth_m), size
    )
    labels = resize_nearest(torch.from_numpy(labels), size).numpy()
    rgb = cv2.merge(list(rgb.numpy()))
    return RgbdFrame(rgb, depth_m.numpy(), frame.intrinsics.resized(*size)), labels


def flip_crop(frame: RgbdFrame, labels: np.ndarray) -> Crop:
    """Mirror a frame and its labels left to right."""
    rgb, depth_m, labels = (cv2.flip(array, 1) for array in (frame.rgb, frame.depth_m, labels))
    return RgbdFrame(rgb, depth_m, frame.intrinsics.flipped()), labels


def class_mix(target: Crop, source: Crop, rng: np.random.Generator) -> Crop:
    """Copy a random half of the classes of `source` into `target`, in front of farther pixels.

    ClassMix (Olsson et al., WACV 2021) chooses the classes; depth decides occlusion as in DepthMix
    (Hoyer et al., CVPR 2021). Copied objects keep their metric size. Pixels without depth in either
    crop stay unchanged.
    """
    (frame, labels), (other, other_labels) = target, source
    present = np.unique(other_labels)
    present = present[present != UNLABELLED]
    chosen = np.zeros(UNLABELLED + 1, bool)
    chosen[rng.permutation(present)[: (len(present) + 1) // 2]] = True
    # At another focal length, the same pixels have the same metric size at another distance.
    depth_m = other.depth_m * np.float32(frame.intrinsics.fx / other.intrinsics.fx)
    copied = chosen[other_labels] & (depth_m < frame.depth_m)
    rgb = np.where(copied[..., None], other.rgb, frame.rgb)
    depth_m = np.where(copied, depth_m, frame.depth_m)
    return RgbdFrame(rgb, depth_m, frame.intrinsics), np.where(copied, other_labels, labels)


def jitter_colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change exposure, white balance, contrast and saturation of (H, W, 3) uint8 RGB."""
    gain = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.7, 1.3)
    contrast, saturation = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.4)
    mean = float(gain @ cv2.mean(rgb)[:3]) / 3
    from_grey = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = contrast * from_grey * gain
    offset = np.full((3, 1), (1 - contrast) * mean)
    return cv2.transform(rgb, np.hstack([matrix, offset]))


def degrade_colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply blur, noise and JPEG compression, each at random, to (H, W, 3) uint8 RGB."""
    if rng.random() < BLUR_PROBABILITY:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*BLUR_PX))
    if rng.random() < GRAIN_PROBABILITY:
        most = int(rng.integers(1, MAX_GRAIN_GREY + 1))
        grain = rng.integers(-most, most, rgb.shape, np.int8, endpoint=True)
        rgb = cv2.add(rgb, grain, dtype=cv2.CV_8U)
    if rng.random() < JPEG_PROBABILITY:
        # OpenCV expects BGR here; the order of the channels hardly changes the artefacts.
        quality = int(rng.integers(*JPEG_QUALITY))
        _, content = cv2.imencode('.jpg', rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return rgb
